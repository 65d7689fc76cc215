"""A tokenizer from a Hugging Face folder, run by their library `tokenizers`: a published model must read as it learned.

Our own tokenizers say what is taught here. Published ones have further rules: a normalizer, a token before every text
(`<s>`), pieces that begin with `▁`, patterns of their own. This class takes their tokenizer.json as it is, so that an
imported model gets the very ids that it was trained on; where ours say the same, the importer takes ours instead.

Nothing in that file is code. A text such as `<s>` or `<|im_end|>` inside of a text is text here, as with all tokenizers
of this project, unless the caller asks for the token (`special="token"`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np
import tokenizers

from config.errors import TextError
from text.hugging_face_json import FILE_NAME
from text.merge_tokenizer import BYTES_OF_SIGNS
from text.pieces import check_surrogates
from text.tokenizer import Tokenizer

SPACE_SIGN = "\u2581"


@final
class ImportedTokenizer(Tokenizer):
    """The tokenizer of a published model.

    Args:
        content: A tokenizer.json of Hugging Face.
        d_vocab: How many ids the model scores: often some more than the tokenizer has, which stand for no text.
        ends: The ids that end a text, that of a document first; a model of conversations has one for each turn.

    Raises:
        TextError: the content is none that the library understands.
    """

    type: ClassVar[str] = "imported"

    def __init__(self, content: bytes, d_vocab: int, ends: Sequence[int] = ()) -> None:
        try:
            self.engine = tokenizers.Tokenizer.from_str(content.decode())
        except Exception as error:  # the library raises nothing more special
            raise TextError(f"the tokenizer.json cannot be used: {str(error)[:200]}") from error
        self.engine.no_truncation()
        self.engine.no_padding()
        self.engine.encode_special_tokens = True  # their word for: special tokens inside a text are text
        self.content = content
        added = self.engine.get_added_tokens_decoder()
        special = {token.content: number for number, token in added.items() if token.special and number < d_vocab}
        super().__init__(_token_bytes(self.engine, d_vocab), special_ids=special)
        self._ends = tuple(end for end in ends if 0 <= end < d_vocab)

    @classmethod
    def train(cls, text: str, vocab_size: int) -> Self:
        """There is no way to learn one.

        Raises:
            TextError: always.
        """
        raise TextError("an imported tokenizer is not learned from a text: it comes with an imported model")

    def encode_known(self, text: str) -> np.ndarray:
        """What their library gives, without the tokens that it puts before and behind a text.

        Raises:
            TextError: it has no token for something in the text, or one that the model does not score.
        """
        check_surrogates(text, "the text")
        try:
            ids = self.engine.encode(text, add_special_tokens=False).ids
        except Exception as error:  # a vocabulary without a word for the unknown
            raise TextError(f"the imported tokenizer cannot read this text: {str(error)[:200]}") from error
        if ids and max(ids) >= self.vocab_size:
            raise TextError(f"this text has the token {max(ids):,}, which the model does not score")
        return np.array(ids, dtype=self.dtype)

    @property
    def beginning(self) -> tuple[int, ...]:
        """The tokens that every text begins with, such as `<s>`: what their post-processor puts in front."""
        inside = self.engine.encode("x", add_special_tokens=False).ids
        whole = self.engine.encode("x", add_special_tokens=True).ids
        for place in range(len(whole) - len(inside) + 1):
            if whole[place : place + len(inside)] == inside:
                return tuple(whole[:place])
        return ()

    @property
    def end_of_text(self) -> int | None:
        """The id that the published model ends its texts with."""
        return self._ends[0] if self._ends else None

    @property
    def ends(self) -> tuple[int, ...]:
        """All ids that the published model ends something with."""
        return self._ends

    def settings(self) -> dict[str, Any]:
        """The hash of their file, which lies beside, and what it does not say."""
        digest = hashlib.sha256(self.content).hexdigest()
        return {"model_file": FILE_NAME, "model_sha256": digest, "ends": list(self._ends)}

    def extra_files(self) -> dict[str, bytes]:
        """Their file, byte for byte."""
        return {FILE_NAME: self.content}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], folder: Path) -> Self:
        """The tokenizer of a saved file, after a look at its hash.

        Raises:
            TextError: it is another file, or the settings are damaged.
        """
        content = (folder / FILE_NAME).read_bytes()
        if hashlib.sha256(content).hexdigest() != settings["model_sha256"]:
            raise TextError(f"{folder / FILE_NAME} is damaged: its hash is not the one in tokenizer.json")
        d_vocab, ends = settings["vocab_size"], settings["ends"]
        if type(d_vocab) is not int or not isinstance(ends, list) or any(type(end) is not int for end in ends):
            raise TextError("its vocab_size or the ids of its ends are not whole numbers")
        return cls(content, d_vocab, ends)


def _token_bytes(engine: tokenizers.Tokenizer, d_vocab: int) -> list[bytes]:
    """What each id adds to a text: nothing for ids without a token. Bytes are written as signs, or as <0x0A>."""
    decoder = json.dumps(json.loads(engine.to_str())["decoder"], ensure_ascii=False)
    has_signs, writes_spaces = "ByteLevel" in decoder, SPACE_SIGN in decoder or "Metaspace" in decoder
    added = {token.content for token in engine.get_added_tokens_decoder().values()}
    found = [b""] * d_vocab
    for token, number in engine.get_vocab(with_added_tokens=True).items():
        if number >= d_vocab:
            continue
        if token in added:
            found[number] = token.encode(errors="replace")
        elif has_signs and all(sign in BYTES_OF_SIGNS for sign in token):
            found[number] = bytes(BYTES_OF_SIGNS[sign] for sign in token)
        elif "ByteFallback" in decoder and len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            found[number] = bytes([int(token[3:5], 16)])
        else:
            found[number] = (token.replace(SPACE_SIGN, " ") if writes_spaces else token).encode()
    return found
