"""Token files of pairs: as those of running text (text/token_file.py), and where prompts and responses begin.

    checkpoints/.tokens/<key>/
      train.bin  val.bin           the token ids of all documents of a split, one after the other
      train.places  val.places     uint32, two for each pair: where it begins, and where its response does
      manifest.json                counts, sizes and where they come from

Prompt and response are cut into tokens one by one, so that the border is a border of tokens, as it is when the model is
given a prompt to answer.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from config.errors import TextError
from text.atomic import explain_writing
from text.packing import PairTokens
from text.pairs import Pair, PairCorpus
from text.token_file import (
    TEMPORARY,
    TokenFiles,
    open_tokens,
    publish,
    read_manifest,
    read_token_files,
    token_key,
    write_manifest,
)  # fmt: skip
from text.token_writer import Written
from text.tokenizer import Tokenizer

PLACES = np.dtype("<u4")


def prepare_pairs(
    pairs: PairCorpus,
    tokenizer: Tokenizer,
    root: Path,
    val_fraction: float,
    beat: Callable[[], None] = lambda: None,
) -> TokenFiles:
    """The token files of these pairs: those under `root` if they are there and whole, else made now.

    Raises:
        TextError: the tokenizer cannot encode them, or the disk is full.
    """
    key = token_key(pairs.corpus, tokenizer, val_fraction)
    if (files := read_token_files(root / key, key)) is not None:
        return files
    with explain_writing(root, "start again"):
        root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{key}-", dir=root))
        try:
            splits = {"train": pairs.train, "val": pairs.val}
            found = {name: cut_pairs(split, tokenizer, beat) for name, split in splits.items()}
            for name, split in found.items():
                (temporary / f"{name}.bin").write_bytes(split.tokens.tobytes())
                (temporary / f"{name}.places").write_bytes(split.places.astype(PLACES).tobytes())
            counts = {name: len(split.tokens) for name, split in found.items()}
            val_bytes = sum(len((pair.prompt + pair.response).encode()) for pair in pairs.val)
            n_pairs = {name: len(split.places) for name, split in found.items()}
            write_manifest(temporary, pairs.corpus, tokenizer, val_fraction, Written(counts, val_bytes), pairs=n_pairs)
            temporary.chmod(0o755)
            return publish(temporary, root / key)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def cut_pairs(pairs: tuple[Pair, ...], tokenizer: Tokenizer, beat: Callable[[], None] = lambda: None) -> PairTokens:
    """The tokens of some pairs.

    Raises:
        TextError: the tokenizer cannot encode them.
    """
    parts: list[np.ndarray] = []
    places, end = [], 0
    for pair in pairs:
        prompt, response = tokenizer.encode_array(pair.prompt), tokenizer.encode_array(pair.response)
        places.append((end, end + len(prompt)))
        end += len(prompt) + len(response)
        parts += [prompt, response]
        beat()
    return PairTokens(np.concatenate(parts).astype(tokenizer.dtype), np.array(places, dtype=np.int64))


def open_pairs(folder: Path, split: str) -> PairTokens:
    """One split of token files that `prepare_pairs` made.

    Raises:
        TextError: they are missing or damaged.
    """
    tokens = open_tokens(folder / f"{split}.bin")
    manifest = read_manifest(folder) or {}
    try:
        places = np.frombuffer((folder / f"{split}.places").read_bytes(), dtype=PLACES).reshape(-1, 2).astype(np.int64)
        whole = len(places) == manifest["pairs"][split] and (np.diff(places.ravel()) > 0).all()
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole or places[-1, 1] >= len(tokens) or places[0, 0] != 0:
        raise TextError(f"{folder / split}.places is missing or damaged; start the run again and it is made anew")
    return PairTokens(tokens, places)
