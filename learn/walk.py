"""A sentence on its way through a model: every number on the way, and the formula that it comes from.

    tokens ─> rows of the embedding ─> who listens to whom ─> the stream, layer by layer ─> scores ─> probabilities

What is shown are the values at the activation points (interpret/activations.py) of a trained checkpoint. Each can be
*explained*: its formula, with the numbers in it. The explanations compute from parts and so check what they explain;
`tests/learn/test_walk.py` holds them together.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from components.model import Transformer
from interpret.activations import capture, layer_points
from interpret.subject import Subject

MOST_TOKENS = 16  # a table that still fits on a screen
SHOWN_TERMS = 4  # of a long sum
LIKELIEST = 8


@dataclass(frozen=True)
class Walk:
    """One text in one model; lists of plain numbers, token after token."""

    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    left_out: int  # tokens at the end that are not shown
    d_model: int
    d_vocab: int
    n_heads: int
    embedding_scale: float
    norm_placement: str
    embedding: list[list[float]]  # [pos d_model]
    patterns: dict[int, list[list[list[float]]]]  # by layer: [head query key]
    scores: dict[int, list[list[list[float]]]]  # the same before softmax
    stream: list[list[float]]  # length of the stream after stage 0 (embedding), 1 … n_layers: [stage pos]
    final: list[list[float]]  # what the unembedding reads: [pos d_model]
    next_tokens: list[list[tuple[str, int, float, float]]]  # for each position: token, id, logit, probability
    log_total: list[float]  # ln Σ exp(logit) of each position


@torch.no_grad()
def walk(subject: Subject, text: str) -> Walk:
    """Follow a text through a model.

    Raises:
        TextError: it has characters that the tokenizer has never seen.
    """
    model, read = subject.model, subject.read(text, MOST_TOKENS)
    patterns = layer_points(model, "attn.hook_pattern")
    scores = layer_points(model, "attn.hook_attn_scores")
    stream = ["blocks.0.hook_resid_pre", *layer_points(model, "hook_resid_post").values()]
    names = ["hook_embed", *patterns.values(), *scores.values(), *stream]
    found = capture(model, read.tokens[None], names)
    logits = found.logits[0]
    probabilities = logits.softmax(dim=-1)
    top = logits.topk(min(LIKELIEST, logits.shape[-1]), dim=-1).indices.tolist()
    return Walk(
        tokens=read.names,
        ids=tuple(read.tokens.tolist()),
        left_out=read.left_out,
        d_model=model.config.d_model,
        d_vocab=logits.shape[-1],
        n_heads=model.config.n_heads,
        embedding_scale=model.config.embedding_scale,
        norm_placement=model.config.norm_placement,
        embedding=found.values["hook_embed"][0].tolist(),
        patterns={layer: found.values[name][0].tolist() for layer, name in patterns.items()},
        scores={layer: found.values[name][0].tolist() for layer, name in scores.items()},
        stream=[found.values[name][0].norm(dim=-1).tolist() for name in stream],
        final=read_by_unembedding(model, found.values[stream[-1]])[0].tolist(),
        next_tokens=[
            [(subject.name_of(token), token, row[token].item(), share[token].item()) for token in best]
            for best, row, share in zip(top, logits, probabilities, strict=True)
        ],
        log_total=logits.logsumexp(dim=-1).tolist(),
    )


def read_by_unembedding(model: Transformer, stream: Tensor) -> Tensor:
    """The last stream after the final norm: what each row of the unembedding is compared with."""
    return model.final_norm(stream)


def explain_share(found: Walk, layer: int, head: int, query: int, key: int) -> str:
    """How much one token takes from another, from the scores of its row."""
    if key > query:
        return f"{found.tokens[key]!r} comes after {found.tokens[query]!r}: nobody looks ahead, so the share is 0."
    row = found.scores[layer][head][query][: query + 1]
    share = found.patterns[layer][head][query][key]
    powers = " + ".join(f"e^{score:.2f}" for score in row)
    total = sum(map(math.exp, row))
    if share and (sink := math.exp(row[key]) / share - total) > 1e-3 * total:  # the row sums to less than 1
        powers += f" + e^{math.log(sink):.2f} of the sink, which is no token"
    return (
        f"share = e^score / Σ e^score over {found.tokens[query]!r} and all before it\n"
        f"      = e^{row[key]:.2f} / ({powers})\n"
        f"      = {share:.4f}"
    )


def explain_embedding(found: Walk, pos: int, dimension: int) -> str:
    """Where one number of a token's vector stands."""
    scale = "" if found.embedding_scale == 1.0 else f" · {found.embedding_scale:.4g}"
    return (
        f"x[{pos}, {dimension}] = E[token, dimension]{scale} = E[{found.ids[pos]}, {dimension}]{scale}"
        f" = {found.embedding[pos][dimension]:.4f}\n"
        f"Token {found.ids[pos]} is {found.tokens[pos]!r}; every such token has this number here."
    )


def explain_probability(found: Walk, pos: int, place: int) -> str:
    """The probability of one next token, from its logit."""
    name, _, logit, probability = found.next_tokens[pos][place]
    return (
        f"p({name!r} after {found.tokens[pos]!r}) = e^logit / Σ e^logit over all {found.d_vocab:,} tokens\n"
        f"      = e^{logit:.2f} / e^{found.log_total[pos]:.2f}\n"
        f"      = {probability:.4f}"
    )


def explain_logit(subject: Subject, found: Walk, pos: int, place: int) -> str:
    """The logit of one next token: a dot product of the last vector with its row."""
    name, token, logit, _ = found.next_tokens[pos][place]
    row = subject.model.unembedding_matrix[token].tolist()
    terms = [value * weight for value, weight in zip(found.final[pos], row, strict=True)]
    shown = " + ".join(
        f"{value:.2f}·{weight:.2f}" for value, weight in list(zip(found.final[pos], row, strict=True))[:SHOWN_TERMS]
    )
    rest = sum(terms[SHOWN_TERMS:])
    return (
        f"logit({name!r}) = Σ over {found.d_model} dimensions of normed stream · U[{token}]\n"
        f"      = {shown} + … ({rest:.2f} from the other {len(terms) - SHOWN_TERMS})\n"
        f"      = {sum(terms):.4f}" + ("" if abs(sum(terms) - logit) < 1e-3 else f", scaled or bounded to {logit:.4f}")
    )


def explain_length(found: Walk, stage: int, pos: int) -> str:
    """How long the stream of one token has become."""
    here = found.stream[stage][pos]
    if stage == 0:
        return f"|x| = {here:.3f}: the length of {found.tokens[pos]!r}'s vector before the first block."
    before = found.stream[stage - 1][pos]
    why = "lengths do not simply add up."
    if found.norm_placement == "post":
        why = "the stream was normalized after each (post-norm), so the last norm decides how long it is."
    return (
        f"|x after block {stage}| = {here:.3f}, before it {before:.3f}.\n"
        f"The block added two vectors, one from attention and one from the MLP; {why}"
    )
