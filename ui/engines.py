"""The only door from a page to what computes: every function here is cached, and imports its engine when called.

A function that can fail for a reason the person can mend returns that reason as a sentence, so that it is cached, too.
"""

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from config.data_config import DataConfig
from config.run_config import RunConfig

MOST_CHARACTERS = 4_000_000  # tokenized for the numbers on the page; of a longer text, this much stands for all
PREVIEW_CHARACTERS = 36  # of each row: one line in the form's column

# --- set-up: the text and its tokens, before a run exists ---------------------------------------------------------


@dataclass(frozen=True)
class TextFacts:
    """What a text is, before it is cut into tokens; `problem` says why it is not one."""

    name: str = ""
    characters: int = 0
    bytes: int = 0
    different: int = 0  # characters
    notes: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class TokenFacts:
    """How many tokens a text has with a tokenizer; `problem` says why it cannot be cut so."""

    d_vocab: int = 0
    train_tokens: int = 0
    val_tokens: int = 0
    exact: bool = True  # False: reckoned from the beginning of a long text
    problem: str = ""


def file_stamp(path: str) -> tuple[int, int]:
    """Changes when the file does: what caches are keyed by beside the path."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):  # ValueError: a zero byte in the path
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


@st.cache_data(max_entries=16, show_spinner=False)
def text_facts(path: str, stamp: tuple[int, int], encoding: str, data_size: str) -> TextFacts:
    """Read a text as the worker will, and say what it is."""
    from config.errors import TextError
    from text.corpus import read_text

    try:
        corpus = read_text(path, encoding, data_size)
    except TextError as error:
        return TextFacts(problem=str(error))
    return TextFacts(corpus.name, corpus.characters, corpus.bytes, len(corpus.alphabet), corpus.notes)


@st.cache_data(max_entries=16, show_spinner="Cutting the text into tokens …")
def token_facts(data: DataConfig, stamp: tuple[int, int]) -> TokenFacts:
    """Train the tokenizer on this text and count the tokens of both splits."""
    from config.errors import TextError

    try:
        tokenizer, train, val, characters = _tokenized(data, stamp)
    except TextError as error:
        return TokenFacts(problem=str(error))
    scale = max(1.0, characters / MOST_CHARACTERS)
    return TokenFacts(tokenizer.vocab_size, round(len(train) * scale), round(len(val) * scale), scale == 1.0)


def first_batch(data: DataConfig, n_ctx: int, batch_size: int, seed: int, rows: int) -> list[list[dict[str, Any]]]:
    """The first sequences that the run will see, as rows of tokens: input, target, input, target …

    Raises:
        TextError: the text cannot be read or cut, or is shorter than the context.
    """
    from text.batches import window_starts

    tokenizer, train, _, _ = _tokenized(data, file_stamp(data.text_file))
    starts = window_starts(len(train), 0, batch_size=min(batch_size, rows), n_ctx=n_ctx, seed=seed)
    per_token = max(1.0, len(tokenizer.decode(train[:1000])) / len(train[:1000]))
    shown = min(n_ctx, round(PREVIEW_CHARACTERS / per_token))
    found = []
    for start in starts.tolist():
        for shift in (0, 1):
            ids = train[start + shift : start + shift + shown].tolist()
            found.append([_as_token(tokenizer, token, position) for position, token in enumerate(ids)])
    return found


@st.cache_resource(max_entries=3, show_spinner="Cutting the text into tokens …")
def _tokenized(data: DataConfig, stamp: tuple[int, int]) -> tuple[Any, Any, Any, int]:
    """Tokenizer, token ids of both splits, and how many characters the whole text has."""
    from text.corpus import read_text, split_index
    from text.tokenizer_types import train_tokenizer

    corpus = read_text(data.text_file, data.encoding, data.data_size)
    part = corpus.head(MOST_CHARACTERS)
    options: dict[str, Any] = {"val_fraction": data.val_fraction, **data.tokenizer_options}
    tokenizer = train_tokenizer(data.tokenizer_type, part, data.vocab_size, **options)
    border = split_index(part, data.val_fraction)
    return tokenizer, tokenizer.encode_array(part[:border]), tokenizer.encode_array(part[border:]), corpus.characters


def _as_token(tokenizer: Any, token: int, position: int) -> dict[str, Any]:
    text = tokenizer.token_text(token)
    return {"text": text, "id": token, "tooltip": f"{text}\ntoken {token:,} at position {position}"}


# --- the pre-flight: real steps of a training, before it is started ------------------------------------------------

_measuring = threading.Semaphore(1)  # two at once would measure each other


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What real steps of a training said; `problem` is why they could not be made. Sizes in bytes."""

    verdict: str = ""  # fits, tight or does not fit
    ran_out: bool = False  # of memory, before a step was done: there are no times then
    seconds: float = 0.0
    interval: tuple[float, float] = (0.0, 0.0)  # seconds, at the 10th and the 90th percentile of the steps
    tokens_per_second: float = 0.0
    epochs: float = 0.0
    memory_bytes: int = 0
    free_memory_bytes: int = 0
    disk_bytes: int = 0
    free_disk_bytes: int = 0
    suggested_accumulation: int | None = None
    problem: str = ""


def measure(config: RunConfig, checkpoints: Path) -> Future[Measurement]:
    """Start to measure beside the page, which looks again from time to time; whoever comes second waits."""
    answer: Future[Measurement] = Future()

    def run() -> None:
        with _measuring:
            try:
                answer.set_result(_measured(config, checkpoints))
            except Exception as error:  # whatever it is, it must reach the page: nobody reads a thread's traceback
                answer.set_result(Measurement(problem=f"{error}" or type(error).__name__))

    threading.Thread(target=run, name="measuring", daemon=True).start()
    return answer


def _measured(config: RunConfig, checkpoints: Path) -> Measurement:
    from training import preflight

    found = preflight.measure(config, checkpoints)
    sizes: dict[str, Any] = {
        "verdict": found.verdict,
        "free_memory_bytes": found.free_memory_bytes,
        "free_disk_bytes": found.free_disk_bytes,
        "suggested_accumulation": found.suggested_accumulation,
    }
    if found.timings is None:
        return Measurement(ran_out=True, **sizes)
    return Measurement(
        seconds=found.eta_seconds(), interval=found.eta_interval, tokens_per_second=found.tokens_per_second,
        epochs=found.epochs, memory_bytes=found.timings.peak_bytes, disk_bytes=found.disk_bytes, **sizes,
    )  # fmt: skip
