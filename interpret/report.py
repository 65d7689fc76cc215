"""What was found, as plain data for programs and as lines for a terminal: what `python -m interpret` prints."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from interpret.ablation import WRITES, Part, importance, losses_without
from interpret.attention_patterns import attention_patterns
from interpret.head_scores import head_scores, induction_scores
from interpret.logit_lens import logit_lens, next_by_stage
from interpret.prove import Proof
from interpret.subject import Subject, Text

SCORES = ("previous_token", "first_token", "entropy_bits", "induction")
GUESSES = 10
NAME_WIDTH = 12  # of a token in a table; longer ones are cut

Data = dict[str, Any]
Table = list[list[str]]


def heads(subject: Subject, text: Text) -> tuple[Data, Table]:
    """Four scores of every head."""
    scores = head_scores(attention_patterns(subject.model, text.tokens), induction_scores(subject.model))
    rows = [["layer", "head", "previous token", "first token", "entropy (bits)", "induction"]]
    rows += [[str(s.layer), str(s.head), *(_number(getattr(s, name)) for name in SCORES)] for s in scores]
    return {"heads": [asdict(score) for score in scores]}, rows


def lens(subject: Subject, text: Text) -> tuple[Data, Table]:
    """The likeliest next token after every layer, its probability in percent, and the rank of the one that comes."""
    found = logit_lens(subject.model, text.tokens, guesses=1)
    stages = ["embedding", *(f"layer {layer}" for layer in range(len(found.tokens) - 1))]
    guesses = [[subject.name_of(token) for token in row] for row in found.tokens[:, :, 0].tolist()]
    shares, ranks = found.probabilities[:, :, 0].tolist(), found.truth_rank.tolist()
    rows = [["after", *stages, "then comes"]]
    for at, name in enumerate(text.names):
        cells = [_cell(guesses[stage][at], shares[stage][at], ranks[stage][at]) for stage in range(len(stages))]
        rows.append([name[:NAME_WIDTH], *cells, *(text.names[at + 1 : at + 2] or ("?",))])
    probabilities = found.truth_probability.tolist()
    data = [
        {"stage": stage, "guesses": guess, "probabilities": share, "truth_ranks": rank, "truth_probabilities": truth}
        for stage, guess, share, rank, truth in zip(stages, guesses, shares, ranks, probabilities, strict=True)
    ]
    return {"stages": data}, rows


def following(subject: Subject, text: Text) -> tuple[Data, Table]:
    """The likeliest tokens after the text."""
    tokens, stages = next_by_stage(subject.model, text.tokens, GUESSES)
    pairs = zip(tokens.tolist(), stages[-1, tokens].tolist(), strict=True)
    data = [{"token": token, "text": subject.name_of(token), "probability": share} for token, share in pairs]
    rows = [["next token", "probability"], *([str(guess["text"]), f"{guess['probability']:.2%}"] for guess in data)]
    return {"next": data}, rows


def worth(subject: Subject, text: Text, replacement: str, switched_off: Sequence[str]) -> tuple[Data, Table]:
    """What the parts named cost together; of none named, every part alone, dearest first.

    Raises:
        ValueError: a name is that of no part.
    """
    if switched_off:
        return without(subject, text, [part_named(words) for words in switched_off], replacement)
    whole, effects = importance(subject.model, text.tokens, replacement)
    effects.sort(key=lambda effect: -effect.change)
    rows = [["part", "change of loss (nats per token)", "loss"], ["the whole model", "", f"{whole:.4f}"]]
    rows += [[str(effect.part), f"{effect.change:+.4f}", f"{effect.loss:.4f}"] for effect in effects]
    parts = [{**asdict(effect.part), "loss": effect.loss, "change": effect.change} for effect in effects]
    return {"replacement": replacement, "loss_nats": whole, "parts": parts}, rows


def without(subject: Subject, text: Text, parts: list[Part], replacement: str) -> tuple[Data, Table]:
    """What the loss becomes with all these parts switched off at once."""
    whole, left = losses_without(subject.model, text.tokens, [(), parts], replacement)
    names = ", ".join(map(str, parts))
    rows = [["", "loss (nats per token)"], ["the whole model", f"{whole:.4f}"], [f"without {names}", f"{left:.4f}"]]
    data = {"replacement": replacement, "loss_nats": whole, "without": [asdict(part) for part in parts]}
    return data | {"loss_without_nats": left, "change": left - whole}, rows


def part_named(words: str) -> Part:
    """The part that is meant by 2.mlp, 2.attention, 2.layer, or 2.1 for head 1 of layer 2.

    Raises:
        ValueError: the words name no part.
    """
    layer, _, name = words.partition(".")
    if layer.isdecimal() and name in WRITES:
        return Part(int(layer), name)
    if layer.isdecimal() and name.isdecimal():
        return Part(int(layer), "head", int(name))
    raise ValueError(f"{words[:40]!r} names no part: write 2.mlp, 2.attention, 2.layer, or 2.1 for head 1 of layer 2")


def proof_lines(proof: Proof) -> list[str]:
    """What was proved, and each check with its numbers."""
    lines = [f"proved in {proof.seconds:.1f} s: {what_was_proved(proof)}"]
    return lines + [
        f"{'ok    ' if check.passed else 'FAILED'}  {check.name}: {check.sentence}" for check in proof.checks
    ]


def what_was_proved(proof: Proof) -> str:
    """The configuration itself, or what was made smaller for it."""
    if not proof.smaller:
        return "the model as it is"
    sizes = ", ".join(f"{name} {after:,} for {before:,}" for name, (before, after) in proof.smaller.items())
    return f"a smaller model of the same kind, {sizes}; its parameters are counted at full size"


def aligned(rows: Table) -> str:
    """Columns side by side, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _cell(guess: str, share: float, truth_rank: int) -> str:
    """the 43% #2: the likeliest token, its probability, and the rank of the one that comes."""
    return f"{guess[:NAME_WIDTH]} {share:.0%}" + (f" #{truth_rank}" if truth_rank else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
