"""SentencePiece (Kudo and Richardson 2018, arXiv:1808.06226), trained on the given text; LLaMA 1 and 2 use it.

Its `bpe` learns pieces as byte_pair.py does, but from characters instead of bytes; its `unigram` chooses the pieces
that make the text most probable. Both write the space before a word as `▁`. Characters that are too rare for a piece of
their own are spelled with byte tokens, so nothing is unknown.

SentencePiece by default rewrites its input (Unicode NFKC, a space in front, one space for many). All of that is off
here: decoding gives back exactly the text, line breaks included. One character cannot be told apart from the space
sign, `▁` (U+2581) itself, and is refused.
"""

import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np
import sentencepiece

from config.errors import TextError
from text.pieces import LONE_SURROGATE, check_surrogates, cut_at_words
from text.processes import call_in_process
from text.tokenizer import Tokenizer, special_tokens_in

MODEL_TYPES = ("bpe", "unigram")
MODEL_FILE = "sentencepiece.model"
SPACE_SIGN = "\u2581"
MIN_VOCAB_SIZE = 256 + 1  # the byte tokens and <unk>
MAX_LINE_CHARACTERS = 1_000  # SentencePiece skips sentences of more than 4,192 bytes; 1,000 characters are never more
CHARACTER_COVERAGE = 0.9995
PIECE_CHARACTERS = 3_000


@final
class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model with byte fallback.

    Args:
        model: The bytes of a SentencePiece model file.
        model_type: How it was learned, "bpe" or "unigram"; "" where nobody knows.
        special_tokens: Such as `<|endoftext|>`; they are no part of the model and come after its pieces.

    Raises:
        TextError: the model is damaged.
    """

    type: ClassVar[str] = "sentencepiece"

    def __init__(self, model: bytes, model_type: str = "", special_tokens: Sequence[str] = ()):
        try:
            self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except (RuntimeError, ValueError) as error:
            raise TextError("the SentencePiece model cannot be read: it is damaged") from error
        pieces = [_piece_bytes(self.processor, token) for token in range(self.processor.get_piece_size())]
        super().__init__(pieces, special_tokens)
        self.model = model
        self.model_type = model_type

    @classmethod
    def train(
        cls,
        text: str,
        vocab_size: int,
        model_type: str = "bpe",
        *,
        exact: bool = True,
        special_tokens: Sequence[str] = (),
        beat: Callable[[], None] | None = None,
    ) -> Self:
        """Learn `vocab_size` tokens, the 256 byte tokens, `<unk>` and the special tokens among them.

        Args:
            model_type: "bpe" merges what stands together most often; "unigram" (Kudo 2018, arXiv:1804.10959) starts
                with too many pieces and drops those that the text misses least.
            special_tokens: See above; where they stand in the text they are text.
            exact: Whether a text that gives fewer pieces is refused; otherwise the vocabulary is smaller.
            beat: If given, learning goes on in a process of its own; see `text.processes.call_in_process`.

        Raises:
            TextError: the text does not allow this vocabulary size, or has a character that is refused.
        """
        if model_type not in MODEL_TYPES:
            raise TextError(f"there is no sentencepiece model {model_type[:40]!r}; there are {', '.join(MODEL_TYPES)}")
        if vocab_size < (least := MIN_VOCAB_SIZE + len(special_tokens)):
            more = "".join(f", {token}" for token in special_tokens)
            raise TextError(
                f"vocab_size {vocab_size} is too small for sentencepiece: 256 byte tokens and <unk>{more} make "
                f"{least} before the first letter; use more than {least}"
            )
        _check_text(text)
        learn = partial(_learn_model, text, vocab_size, len(special_tokens), model_type, exact)
        return cls(learn() if beat is None else call_in_process(learn, beat), model_type, special_tokens)

    def encode_known(self, text: str) -> np.ndarray:
        """Ids of the pieces; see the top of this file for the one character that has none."""
        _check_text(text)
        pieces = list(cut_at_words(text, PIECE_CHARACTERS))  # one call for all: twice as fast as one long string
        ids = self.processor.encode(pieces, num_threads=1) if pieces else []
        return np.fromiter(chain.from_iterable(ids), dtype=self.dtype)

    def unknown_characters(self, text: str) -> list[str]:
        """Halves of surrogate pairs and the space sign `▁`, each once, in order of appearance."""
        return list(dict.fromkeys(re.findall(f"{LONE_SURROGATE.pattern}|{SPACE_SIGN}", text)))

    def settings(self) -> dict[str, Any]:
        """The hash of the model, which is a file of its own, and how it was learned."""
        known = {"model_type": self.model_type} if self.model_type else {}
        return {"model_file": MODEL_FILE, "model_sha256": hashlib.sha256(self.model).hexdigest(), **known}

    def extra_files(self) -> dict[str, bytes]:
        """The model as SentencePiece writes it; its own tools open it too."""
        return {MODEL_FILE: self.model}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], folder: Path) -> Self:
        """The tokenizer of a saved model, after a look at its hash.

        Raises:
            TextError: it is missing, damaged, or of no known type.
        """
        path = folder / MODEL_FILE
        if not path.is_file():
            raise TextError(f"{path} is missing")
        model = path.read_bytes()
        if hashlib.sha256(model).hexdigest() != settings["model_sha256"]:
            raise TextError(f"{path} is damaged: its hash is not the one in tokenizer.json")
        if (model_type := settings.get("model_type", "")) not in ("", *MODEL_TYPES):
            raise TextError(f"its model_type is not one of {', '.join(MODEL_TYPES)}")
        return cls(model, model_type, special_tokens_in(settings))


def _learn_model(text: str, vocab_size: int, special: int, model_type: str, exact: bool) -> bytes:
    """The bytes of a model, smaller by `special`; SentencePiece computes for minutes without a look at Python."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(text),
            model_writer=model,
            model_type=model_type,
            vocab_size=vocab_size - special,
            hard_vocab_limit=exact,
            character_coverage=CHARACTER_COVERAGE,
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise TextError(_explain_failure(str(error), vocab_size, special, len(text))) from error
    return model.getvalue()


def _lines(text: str) -> Iterator[str]:
    """What SentencePiece calls sentences: the lines of the text, long ones in parts. A line break is a byte token."""
    start = 0
    while start < len(text):
        end = text.find("\n", start, start + MAX_LINE_CHARACTERS)
        stop = end if end >= 0 else start + MAX_LINE_CHARACTERS
        if line := text[start:stop]:
            yield line
        start = stop + 1 if end >= 0 else stop


def _piece_bytes(processor: sentencepiece.SentencePieceProcessor, token: int) -> bytes:
    piece: str = processor.id_to_piece(token)
    if processor.is_byte(token):
        return bytes([int(piece[1:-1], 16)])  # "<0x0A>"
    return piece.replace(SPACE_SIGN, " ").encode()


def _check_text(text: str) -> None:
    check_surrogates(text, "the text")
    if (place := text.find(SPACE_SIGN)) >= 0:
        raise TextError(
            f"character {place + 1:,} of the text is {SPACE_SIGN} (U+2581), SentencePiece's own sign for a space: "
            "remove it or use another tokenizer"
        )


def _explain_failure(message: str, vocab_size: int, special: int, n_characters: int) -> str:
    """SentencePiece's complaint about the vocabulary size, in a sentence with the numbers."""
    numbers = [int(number) + special for number in re.findall(r"\d+", message.partition("]")[2])]
    size = f"vocab_size {vocab_size:,}"
    if "too high" in message and numbers:
        return f"{size} is too large for this text of {n_characters:,} characters: use {numbers[-1]:,} or less"
    if "required_chars" in message and numbers:
        needed = max(numbers)
        return f"{size} is too small: this text needs {needed:,} tokens for its characters alone; use that or more"
    return f"SentencePiece cannot learn {size} from this text of {n_characters:,} characters: {message[:200]}"
