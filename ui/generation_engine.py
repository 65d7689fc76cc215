"""The door from the Generate page to a checkpoint that writes; as in `ui/engines.py`, engines are imported when called.

Models and tokenizers are shared by all sessions and only read. Caches, generators and texts belong to one call.
"""

import codecs
import functools
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from ui.sampler_settings import SamplerSettings
from ui.writing import Choice, Piece, Words, Writing

N_ALTERNATIVES = 5
SHOWN_TOKENS = 12  # of the next token's distribution


@dataclass(frozen=True)
class PromptFacts:
    """A prompt as the model will see it."""

    known: str  # the prompt without the characters that the tokenizer cannot encode
    line: str  # tokens and window, in words
    n_ctx: int
    tokens: tuple[int, ...]  # empty where it cannot be written on
    problem: str = ""  # why it cannot be written on: characters the tokenizer has never seen


@dataclass(frozen=True)
class Stage:
    """The distribution of the next token after one stage of the sampler."""

    name: str
    possible: int  # tokens that can still be drawn
    entropy_bits: float
    probabilities: tuple[float, ...]  # of the shown tokens


@dataclass(frozen=True)
class NextToken:
    """What may come next: a few tokens, and their probabilities from stage to stage."""

    tokens: tuple[tuple[int, str], ...]  # id and text
    stages: tuple[Stage, ...]  # the model's own first


def checkpoint_stamp(path: str) -> str:
    """Changes when the content of a checkpoint does: its commit record holds the hash of every file.

    Raises:
        CheckpointError: it is gone.
    """
    import hashlib

    from config.errors import CheckpointError

    try:
        return hashlib.sha256(Path(path, "commit.json").read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(f"checkpoint {Path(path).name} is gone: {error.strerror}") from error


@st.cache_resource(max_entries=1, show_spinner=False)
def warm_up() -> None:
    """Import torch beside the page that will need it: two seconds that nobody waits for."""
    import importlib
    import threading

    threading.Thread(target=importlib.import_module, args=("training.checkpoint",), daemon=True).start()


@st.cache_resource(max_entries=2, show_spinner="Loading the model …")
def _model(path: str, stamp: str) -> Any:
    """One model for all sessions."""
    import os

    import torch

    from training.checkpoint import load_model

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # a training on this machine needs the others
    return load_model(path)


@st.cache_resource(max_entries=8, show_spinner=False)
def _tokenizer_of(run_path: str, stamp: str) -> Any:
    from text.tokenizer_types import load_tokenizer

    return load_tokenizer(Path(run_path, "tokenizer"))


def check_prompt(path: str, stamp: str, prompt: str) -> PromptFacts:
    """Cut the prompt into tokens, count them against the window, and name what the tokenizer cannot encode.

    Raises:
        CheckpointError: the tokenizer of the run is missing or damaged.
        RunError: its configuration cannot be read.
        TextError: the prompt is no text.
    """
    from generation.prompt import encode_prompt
    from runs.folder import RunFolder

    folder = Path(path).parent
    tokenizer = _tokenizer_of(str(folder), stamp)
    n_ctx = RunFolder(folder).read_model_config().n_ctx
    unknown = tokenizer.unknown_characters(prompt)
    known = prompt.translate({ord(character): None for character in unknown})
    count = len(tokenizer.encode_array(known))
    line = f"{count:,} tokens · the model sees {n_ctx:,} at once"
    if count > n_ctx:
        line = f"{count:,} tokens · the model sees only the last {n_ctx:,} of them"
    if not unknown:
        return PromptFacts(known, line, n_ctx, tuple(encode_prompt(tokenizer, prompt)))
    shown = " ".join(unknown[:12]) + (" …" if len(unknown) > 12 else "")
    problem = f"This run's tokenizer has never seen {shown}, so the model cannot read it."
    return PromptFacts(known, line, n_ctx, (), problem)


def tokens_of(path: str, stamp: str, pieces: Sequence[Piece]) -> list[int]:
    """The tokens of a written text; of one that a stop string has cut, those of what is left of it."""
    tokenizer = _tokenizer_of(str(Path(path).parent), stamp)
    found: list[int] = []
    for piece in pieces:
        found += [piece.token] if piece.whole else tokenizer.encode(piece.text)
    return found


def placed(path: str, stamp: str, before: Sequence[Piece], choice: Choice) -> Piece:
    """Another token after these, as a piece of the text."""
    tokenizer = _tokenizer_of(str(Path(path).parent), stamp)
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    decoder.decode(tokenizer.decode_bytes(tokens_of(path, stamp, before)))
    return Piece(decoder.decode(tokenizer.decode_bytes([choice.token])), choice.token, choice.probability)


def write(
    path: str, stamp: str, prompt: Sequence[int], kept: Sequence[Sequence[int]], settings: SamplerSettings
) -> Writing:
    """Start to write with the weights of a checkpoint.

    Args:
        prompt: tokens.
        kept: for each text, what was written after the prompt before; sample i has the seed `settings.seed + i`.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        ConfigError: the settings cannot.
    """
    from generation.generate import generate_batch
    from generation.prompt import TextStream

    model, tokenizer = _model(path, stamp), _tokenizer_of(str(Path(path).parent), stamp)
    ends = _ends(tokenizer)
    samplers = _samplers(settings, ends, len(prompt))

    def steps() -> Generator[Any, None, None]:
        return generate_batch(
            model, [[*prompt, *written] for written in kept], max_new_tokens=settings.max_new_tokens,
            samplers=samplers, seeds=[settings.seed + index for index in range(len(kept))],
            vocab_size=tokenizer.vocab_size, stop_tokens=ends, n_alternatives=N_ALTERNATIVES,
        )  # fmt: skip

    words = Words(
        bytes_of=lambda token: tokenizer.decode_bytes([token]),
        name_of=functools.cache(tokenizer.token_text),
        ends=ends,
        watch=(lambda: TextStream(tokenizer, settings.stop)) if settings.stop else None,
        least=settings.min_new_tokens,
    )
    return Writing(steps, words, kept)


@st.cache_data(max_entries=32, show_spinner=False)
def next_token(
    path: str, stamp: str, prompt: tuple[int, ...], written: tuple[int, ...], settings: SamplerSettings
) -> NextToken:
    """What may come after a text, before and after each stage of the sampler.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        ConfigError: the settings cannot.
    """
    import torch

    from config.errors import CheckpointError
    from generation.sampler import Text
    from generation.window import Window

    model, tokenizer = _model(path, stamp), _tokenizer_of(str(Path(path).parent), stamp)
    chain = _chain(settings, _ends(tokenizer))
    text = [*prompt, *written]
    with torch.inference_mode():
        logits = Window(model, [text], None, "reencode", False).next_logits()[:, : tokenizer.vocab_size]
        if not bool(logits.isfinite().all()):
            raise CheckpointError("the model's output is not finite (NaN or infinity): its training diverged")
        traced = [(name, row[0]) for name, row in chain.trace(logits, [Text(text, len(prompt))])]
        highest = torch.stack([row for _, row in traced]).amax(dim=0)
        shown = highest.topk(min(SHOWN_TOKENS, len(highest))).indices.tolist()
    shown.sort(key=lambda token: -float(traced[0][1][token]))
    stages = [
        Stage(name, int((row > 0).sum()), float(-torch.special.xlogy(row, row).sum() / torch.log(torch.tensor(2.0))),
              tuple(row[shown].tolist()))
        for name, row in traced
    ]  # fmt: skip
    return NextToken(tuple((token, tokenizer.token_text(token)) for token in shown), tuple(stages))


def _ends(tokenizer: Any) -> frozenset[int]:
    return frozenset(tokenizer.ends)


def _chain(settings: SamplerSettings, ends: frozenset[int]) -> Any:
    from generation.samplers import build_samplers

    return build_samplers(
        settings.temperature, settings.top_k, settings.top_p, settings.greedy, min_p=settings.min_p,
        typical=settings.typical, repetition_penalty=settings.repetition_penalty,
        frequency_penalty=settings.frequency_penalty, presence_penalty=settings.presence_penalty,
        no_repeat_ngram_size=settings.no_repeat_ngram_size, min_new_tokens=settings.min_new_tokens, stop_tokens=ends,
    )  # fmt: skip


def _samplers(settings: SamplerSettings, ends: frozenset[int], n_prompt: int) -> Any:
    """The chain for a text that may have been begun before: what was written then was no prompt."""
    from generation.sampler import Logits, Sampler, Text

    chain = _chain(settings, ends)

    class Onward(Sampler):
        def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
            return chain(logits, [Text(text.tokens, n_prompt) for text in texts])

    return Onward()
