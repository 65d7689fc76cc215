"""The baseline ladder of a text: what guessing, counting and compressing reach on the validation split.

    python -m text.baselines checkpoints/.tokens/KEY checkpoints/RUN/tokenizer

writes `baselines.json` beside the token files and prints it. All numbers are in nats per token of the validation split,
so they compare with the loss of a model on the same tokens:

    uniform_nats                    ln(d_vocab)
    ngram_1_nats ... ngram_6_nats   counting, interpolated modified Kneser-Ney (text/ngram.py)
    gzip_nats, xz_nats              (C(train + validation) - C(train)) * 8 ln 2 / tokens, C the size in bytes of what
                                    `gzip -9` or `xz -9` makes of the text

A large corpus is sampled: blocks at even distances, so that time (half a minute of one core) and memory (0.6 GB) stay
bounded. `baselines.json` says how much was read. More training text would make all of them a little better.
"""

import argparse
import json
import lzma
import math
import os
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from config.errors import CheckpointError, TextError
from text.atomic import write_atomically
from text.ngram import ngram_nats, uniform_nats
from text.token_file import open_tokens
from text.tokenizer import Tokenizer
from text.tokenizer_types import load_tokenizer

FILE_NAME = "baselines.json"
FORMAT = 1
ORDERS = 6
TRAIN_TOKENS, VAL_TOKENS = 4_000_000, 500_000  # counted at most
TRAIN_BYTES, VAL_BYTES = 8_000_000, 2_000_000  # compressed at most
SAMPLE_BLOCKS = 50
PIECE_TOKENS = 100_000
XZ_DICTIONARY_BYTES = 16 * 2**20  # more than is compressed, so the same result as with the 64 MiB of `xz -9`
LOWEST_PRIORITY = 19


def compute_baselines(train: np.ndarray, val: np.ndarray, tokenizer: Tokenizer) -> dict[str, Any]:
    """The whole ladder, and what was read for it, as the values of baselines.json.

    Args:
        train, val: `[token]` ids of the two splits.
    """
    started = time.monotonic()
    counted = sample(train, TRAIN_TOKENS), sample(val, VAL_TOKENS)
    found: dict[str, Any] = {"format": FORMAT, "uniform_nats": uniform_nats(tokenizer.vocab_size)}
    losses = ngram_nats(*counted, tokenizer.vocab_size, ORDERS)
    found |= {f"ngram_{order}_nats": nats for order, nats in enumerate(losses, start=1)}

    bytes_per_token = max(1.0, _text_bytes(counted[1], tokenizer) / len(counted[1]))
    compressed = sample(train, int(TRAIN_BYTES / bytes_per_token)), sample(val, int(VAL_BYTES / bytes_per_token))
    for name, size_of_rest in (("gzip", gzip_bytes), ("xz", xz_bytes)):
        more_bytes = size_of_rest(*(_text_of(tokens, tokenizer) for tokens in compressed))
        found[f"{name}_nats"] = more_bytes * 8 * math.log(2) / len(compressed[1])
    return found | {
        "smoothing": "interpolated modified Kneser-Ney",
        "train_tokens": len(train),
        "val_tokens": len(val),
        "counted_train_tokens": len(counted[0]),
        "counted_val_tokens": len(counted[1]),
        "compressed_train_tokens": len(compressed[0]),
        "compressed_val_tokens": len(compressed[1]),
        "sampled": any(len(part) < len(whole) for pair in (counted, compressed)
                       for part, whole in zip(pair, (train, val), strict=True)),
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip


def sample(tokens: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` tokens: all of them, or blocks of equal length at even distances over the whole split."""
    if len(tokens) <= limit:
        return np.asarray(tokens)
    length = max(1, limit // SAMPLE_BLOCKS)
    starts = np.linspace(0, len(tokens) - length, min(SAMPLE_BLOCKS, limit)).astype(np.int64)
    return np.concatenate([tokens[start : start + length] for start in starts])


def gzip_bytes(train: Iterator[bytes], val: Iterator[bytes]) -> int:
    """What `val` adds to the size of a gzip file of `train`."""
    compressor = zlib.compressobj(level=9, wbits=31)
    before = sum(len(compressor.compress(piece)) for piece in train)
    without = before + len(compressor.copy().flush())
    return before + sum(len(compressor.compress(piece)) for piece in val) + len(compressor.flush()) - without


def xz_bytes(train: Iterator[bytes], val: Iterator[bytes]) -> int:
    """What `val` adds to the size of an xz file of `train`."""
    pieces = list(train)  # bounded by TRAIN_BYTES; read twice, because an xz compressor cannot be copied
    return _xz_size([*pieces, *val]) - _xz_size(pieces)


def _xz_size(pieces: list[bytes]) -> int:
    settings = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": XZ_DICTIONARY_BYTES}
    compressor = lzma.LZMACompressor(filters=[settings])
    return sum(len(compressor.compress(piece)) for piece in pieces) + len(compressor.flush())


def _text_bytes(tokens: np.ndarray, tokenizer: Tokenizer) -> int:
    return int(np.array([len(token) for token in tokenizer.token_bytes])[tokens].sum())


def _text_of(tokens: np.ndarray, tokenizer: Tokenizer) -> Iterator[bytes]:
    for start in range(0, len(tokens), PIECE_TOKENS):
        yield tokenizer.decode_bytes(tokens[start : start + PIECE_TOKENS])


def read_baselines(tokens_folder: Path) -> dict[str, Any] | None:
    """What `write_baselines` found for these token files earlier, or None."""
    try:
        found = json.loads((tokens_folder / FILE_NAME).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def write_baselines(tokens_folder: Path, tokenizer_folder: Path) -> dict[str, Any]:
    """Compute the ladder of a folder of token files and put it beside them.

    Raises:
        TextError: the token files are missing or damaged.
        CheckpointError: the tokenizer is.
    """
    train, val = open_tokens(tokens_folder / "train.bin"), open_tokens(tokens_folder / "val.bin")
    found = compute_baselines(train, val, load_tokenizer(tokenizer_folder))
    write_atomically(tokens_folder / FILE_NAME, (json.dumps(found, indent=1) + "\n").encode())
    return found


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m text.baselines", description="What simple models reach on a text.")
    parser.add_argument("tokens", type=Path, metavar="TOKENS", help="folder of token files, with train.bin and val.bin")
    parser.add_argument("tokenizer", type=Path, metavar="TOKENIZER", help="folder of the tokenizer that made them")
    arguments = parser.parse_args(argv)
    _give_way()
    try:
        print(json.dumps(write_baselines(arguments.tokens, arguments.tokenizer), indent=1))
    except (TextError, CheckpointError, OSError) as error:
        print(f"text.baselines: {error}", file=sys.stderr)
        return 2
    return 0


def _give_way() -> None:
    """Leave the processor to whoever trains, and be the first to die when memory runs out."""
    if hasattr(os, "nice"):
        os.nice(LOWEST_PRIORITY)
    if sys.platform == "linux":
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    sys.exit(main())
