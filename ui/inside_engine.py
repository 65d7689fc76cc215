"""The door from Look inside to `interpret`; as in `ui/engines.py`, engines come when called.

Everything here is a function of a checkpoint's content and a text, so it is cached by both. Checkpoints are opened in
the einops implementation, whatever they were trained with: the parameters are the same, and there every value has a
name. What cannot be done raises a ValueError whose sentence the page shows.
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from ui.generation_engine import NextToken, Stage

MOST_TOKENS = 96  # looked at on the page; more would be too small to read
THUMBNAIL = 48  # pixels of a side, at most
GUESSES = 5
NEXT_TOKENS = 10
NEURONS = 12
MOST_PLACED = 1_000  # vectors in a picture
NEIGHBOURS = 5
KINDS = ("begins with a space", "lower case", "upper case", "digits", "punctuation", "other")


@dataclass(frozen=True)
class Look:
    """What is looked at: a checkpoint by its content, and the tokens of a text."""

    path: str
    stamp: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """A text as the model sees it; `problem` says why it cannot."""

    tokens: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    left_out: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Head:
    """One head: a small picture of its pattern, one byte for a pixel, and its scores; None is not measurable."""

    layer: int
    head: int
    pixels: str
    scores: dict[str, float | None]


@dataclass(frozen=True)
class Cell:
    """What one stage guesses at one position: the likeliest tokens with their probabilities, and the truth's."""

    guesses: tuple[tuple[str, float], ...]
    truth_rank: int  # 0: nothing comes after the last token
    truth_probability: float


@dataclass(frozen=True)
class Norms:
    """Sizes of vectors, [stage or layer][position]."""

    stream: list[list[float]]
    attention: list[list[float]]
    mlp: list[list[float]]


@dataclass(frozen=True)
class Points:
    """Token or position vectors as a picture."""

    coordinates: list[list[float]]  # [point][dimension]
    names: list[str]
    kinds: list[str]
    neighbours: list[str]
    shares: tuple[float, ...]  # of the variance, by dimension; empty for t-SNE
    rows: int  # vectors there are, of which the first are shown


@st.cache_resource(max_entries=2, show_spinner="Opening the checkpoint …")
def _subject(path: str, stamp: str) -> Any:
    import os

    import torch

    from interpret.subject import open_subject

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # a training on this machine needs the others
    return open_subject(path)


def _tokens(look: Look) -> Any:
    return _subject(look.path, look.stamp).cut(list(look.tokens)).tokens


def read_text(path: str, stamp: str, text: str) -> Reading:
    """Cut a text into tokens, as many as fit."""
    from config.errors import TextError

    try:
        found = _subject(path, stamp).read(text, MOST_TOKENS)
    except TextError as error:
        return Reading(problem=str(error))
    return Reading(tuple(found.tokens.tolist()), found.names, found.left_out)


@st.cache_resource(max_entries=4, show_spinner=False)
def _patterns(look: Look) -> Any:
    from interpret.attention_patterns import attention_patterns

    return attention_patterns(_subject(look.path, look.stamp).model, _tokens(look))


@st.cache_data(max_entries=8, show_spinner="Looking where the heads look …")
def heads(look: Look) -> list[Head]:
    """Every head as a thumbnail with its scores. Pixels are the root of the weights, so that weak ones show."""
    import torch.nn.functional as F

    from interpret.head_scores import head_scores

    patterns = _patterns(look)
    size = min(THUMBNAIL, len(look.tokens))
    found = []
    for score in head_scores(patterns, {}):
        pattern = patterns[score.layer][score.head]
        small = F.adaptive_max_pool2d(pattern[None], size)[0]
        pixels = (small.clamp(0, 1).sqrt() * 255).round().byte().flatten().tolist()
        names = ("previous_token", "first_token", "entropy_bits")
        scores = {name: getattr(score, name) for name in names}
        found.append(Head(score.layer, score.head, base64.b64encode(bytes(pixels)).decode(), scores))
    return found


@st.cache_data(max_entries=32, show_spinner="Trying the heads on random tokens that repeat …")
def induction(path: str, stamp: str) -> dict[tuple[int, int], float]:
    """The induction score of every head, by layer and head; empty where the context is too short."""
    from interpret.head_scores import induction_scores

    found = induction_scores(_subject(path, stamp).model)
    return {(layer, head): score for layer, row in found.items() for head, score in enumerate(row.tolist())}


def pattern(look: Look, layer: int, head: int) -> list[list[float]]:
    """One head's pattern, [query][key]."""
    return _patterns(look)[layer][head].tolist()


@st.cache_data(max_entries=8, show_spinner="Reading the stream after every layer …")
def lens(look: Look) -> list[list[Cell]]:
    """The logit lens, [stage][position]; stage 0 is the embedding."""
    from interpret.logit_lens import logit_lens

    subject = _subject(look.path, look.stamp)
    found = logit_lens(subject.model, _tokens(look), GUESSES)
    tables = (found.tokens, found.probabilities, found.truth_rank, found.truth_probability)
    return [
        [
            Cell(tuple((subject.name_of(token), share) for token, share in zip(*top, strict=True)), rank, truth)
            for *top, rank, truth in zip(*stage, strict=True)
        ]
        for stage in zip(*(table.tolist() for table in tables), strict=True)
    ]


@st.cache_data(max_entries=8, show_spinner=False)
def next_token(look: Look) -> NextToken:
    """The likeliest tokens after the text, and their probabilities after every layer."""
    import torch

    from interpret.logit_lens import next_by_stage

    subject = _subject(look.path, look.stamp)
    tokens, stages = next_by_stage(subject.model, _tokens(look), NEXT_TOKENS)
    entropies = -torch.special.xlogy(stages, stages).sum(dim=-1) / math.log(2.0)
    titles = ["embedding", *(f"after layer {layer}" for layer in range(len(stages) - 1))]
    shown = [
        Stage(title, stages.shape[1], entropy, tuple(row))
        for title, entropy, row in zip(titles, entropies.tolist(), stages[:, tokens].tolist(), strict=True)
    ]
    return NextToken(tuple((token, subject.name_of(token)) for token in tokens.tolist()), tuple(shown))


@st.cache_data(max_entries=8, show_spinner=False)
def norms(look: Look) -> Norms:
    """Sizes of the stream and of what is added to it."""
    from interpret.stream_norms import stream_norms

    found = stream_norms(_subject(look.path, look.stamp).model, _tokens(look))
    return Norms(found.stream.tolist(), found.attention.tolist(), found.mlp.tolist())


def neuron_places(path: str, stamp: str) -> list[str]:
    """The points that have neurons, by name."""
    from interpret.stream_norms import neuron_places as places

    return places(_subject(path, stamp).model)


@st.cache_data(max_entries=16, show_spinner=False)
def neurons(look: Look, place: str, asked: int | None) -> tuple[int, list[tuple[int, list[float]]]]:
    """How many neurons there are, and the values over the text of those that vary most, or of the one asked for."""
    from interpret.stream_norms import most_varied, neuron_activations

    found = neuron_activations(_subject(look.path, look.stamp).model, _tokens(look), place)
    chosen = most_varied(found, NEURONS) if asked is None else [min(asked, found.shape[1] - 1)]
    return found.shape[1], [(index, found[:, index].tolist()) for index in chosen]


@st.cache_data(max_entries=16, show_spinner="Placing the vectors …")
def picture(path: str, stamp: str, which: str, method: str, dimensions: int) -> Points:
    """The vectors of tokens or positions in 2 or 3 dimensions, with their nearest neighbours in all of them."""
    from interpret.embeddings import embedding_matrix, nearest, project

    subject = _subject(path, stamp)
    matrix = embedding_matrix(subject.model, which)
    vectors = matrix[: MOST_PLACED if which == "position" else min(MOST_PLACED, subject.tokenizer.vocab_size)]
    names = [str(row) if which == "position" else subject.name_of(row) for row in range(len(vectors))]
    found = project(vectors, method, dimensions)
    neighbours = ["  ".join(names[row] for row in rows) for rows in nearest(vectors, NEIGHBOURS).tolist()]
    kinds = ["position" if which == "position" else kind_of(name) for name in names]
    return Points(found.points.tolist(), names, kinds, neighbours, found.variance_shares, len(matrix))


def kind_of(name: str) -> str:
    """What sort of text a token is."""
    if len(name) > 1 and name.startswith("␣"):
        return KINDS[0]
    checks = (str.islower, str.isupper, str.isdigit, lambda text: not any(map(str.isalnum, text)))
    return next((kind for kind, fits in zip(KINDS[1:], checks, strict=False) if fits(name)), KINDS[-1])


def parts(path: str, stamp: str) -> list[tuple[int, str, int | None]]:
    """What can be switched off: layer, kind, head."""
    from interpret.ablation import parts_of

    return [(part.layer, part.kind, part.head) for part in parts_of(_subject(path, stamp).model)]


@st.cache_data(max_entries=128, show_spinner=False)
def losses_without(look: Look, rows: Sequence[Sequence[tuple[int, str, int | None]]], replacement: str) -> list[float]:
    """The loss on the text, in nats per token, with the parts of each row switched off."""
    from interpret import ablation

    switched = [[ablation.Part(*part) for part in row] for row in rows]
    subject = _subject(look.path, look.stamp)
    return ablation.losses_without(subject.model, _tokens(look), switched, replacement)


def label_of(path: str) -> str:
    """The run's name and the step of a checkpoint."""
    from runs.folder import RunFolder

    folder = Path(path)
    return f"{RunFolder(folder.parent).read_label().name}, step {int(folder.name.removeprefix('step_')):,}"
