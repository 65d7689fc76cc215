"""GPT-2's own vocabulary: 50,000 merges learned by OpenAI, 256 bytes and `<|endoftext|>`.

The merges are one file, vocab.bpe (456 kB), that tiktoken downloads once and keeps in its cache. A saved tokenizer has
the merges inside, so that a run needs neither the network nor the cache again.
"""

import hashlib
import os
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import ClassVar, Self, final

from tiktoken.load import read_file_cached

from config.errors import TextError
from text.merge_tokenizer import OTHER_BYTES, PRINTABLE_BYTES, Merge, MergeTokenizer, parse_merge
from text.tokenizer import END_OF_TEXT

URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/vocab.bpe"
SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
FILE = "vocab.bpe"
DOWNLOAD_SECONDS = 15


@final
class Gpt2Tokenizer(MergeTokenizer):
    """The vocabulary of GPT-2, token for token: 256 bytes (those one can see first), the merges, `<|endoftext|>`."""

    type: ClassVar[str] = "gpt2"
    byte_order: ClassVar[bytes] = PRINTABLE_BYTES + OTHER_BYTES

    @classmethod
    def train(cls, text: str = "", vocab_size: int = 0) -> Self:
        """The vocabulary as it is: nothing is learned from `text`, and its size is always 50,257.

        Raises:
            TextError: vocab.bpe is not on this machine and cannot be downloaded.
        """
        return cls(read_merges(), [END_OF_TEXT])


@cache
def read_merges() -> tuple[Merge, ...]:
    """The merges of vocab.bpe, from tiktoken's cache folder or else from the network.

    Raises:
        TextError: it is not here and cannot be downloaded, or it is another file.
    """
    lines = _file_content().decode("utf-8").splitlines()
    return tuple(parse_merge(line) for line in lines[1:] if line)  # the first line names the version


def cache_folder() -> Path:
    """Where tiktoken keeps its files."""
    named = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    return Path(named) if named else Path(tempfile.gettempdir()) / "data-gym-cache"


def is_here() -> bool:
    """Whether the file is on this machine, so that nothing has to be downloaded."""
    copies = (FILE, hashlib.sha1(URL.encode()).hexdigest())  # a person's, and tiktoken's name for its own
    return any((cache_folder() / name).is_file() for name in copies)


def _file_content() -> bytes:
    by_hand = cache_folder() / FILE  # put there by a person; tiktoken names its own copy by the hash of the address
    if by_hand.is_file():
        content = by_hand.read_bytes()
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise TextError(f"{by_hand} is not GPT-2's vocabulary, or it is damaged; get it again from {URL}")
        return content
    content_or_none, reason = _read_with_tiktoken()
    if content_or_none is None:
        raise TextError(
            f"GPT-2's vocabulary file {FILE} is not on this machine and cannot be downloaded ({reason}); put it from "
            f"{URL} into the folder {cache_folder()} (or into another one named by the environment variable "
            "TIKTOKEN_CACHE_DIR), or use character, byte, bpe or sentencepiece, which need no download"
        )
    return content_or_none


def _read_with_tiktoken() -> tuple[bytes | None, str]:
    """The file from tiktoken's cache or the network, or None and why not.

    tiktoken waits for ever on a network that swallows packets, so it works in a thread that is given up after a while.
    """
    outcome: list[tuple[bytes | None, str]] = []

    def read() -> None:
        try:
            outcome.append((read_file_cached(URL, SHA256), ""))
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
            outcome.append((None, type(error).__name__))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_SECONDS)
    return outcome[0] if outcome else (None, f"no answer within {DOWNLOAD_SECONDS} s")
