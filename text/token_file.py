"""Token files: a corpus cut into tokens once, on disk, shared by every run that needs the same tokens.

    checkpoints/.tokens/<key>/
      train.bin  val.bin    the token ids, uint16 (up to 65,536 tokens) or uint32, nothing else
      manifest.json         counts, sizes and where they come from; the folder counts only with it

The key is a hash of corpus, tokenizer and split, so equal work is done once. Windows are never written out: a window is
read out of the memory map when a batch needs it, so that the files take 2 or 4 bytes per token and memory does not
grow with the corpus.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config.errors import TextError
from text.atomic import sync_folder, write_atomically
from text.corpus import Corpus, split_index
from text.tokenizer import Tokenizer

FORMAT = 1
MANIFEST = "manifest.json"
TEMPORARY = ".tmp-"
STALE_SECONDS = 24 * 3600

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TokenFiles:
    """Where the tokens of a corpus lie.

    Args:
        train: File of the training split.
        val: File of the validation split.
        dtype: "uint16" or "uint32".
        counts: Number of tokens, by "train" and "val".
        val_bytes: UTF-8 bytes of the text of the validation split, for bits per byte.
        key: Name of the folder.
    """

    train: Path
    val: Path
    dtype: str
    counts: dict[str, int]
    val_bytes: int
    key: str


def prepare_tokens(
    corpus: Corpus,
    tokenizer: Tokenizer,
    root: str | Path,
    val_fraction: float = 0.1,
    n_ctx: int = 1,
    progress: Progress | None = None,
) -> TokenFiles:
    """The token files of `corpus`: those under `root` if they are there and whole, else made now.

    Args:
        root: The folder of all token files, `<checkpoints>/.tokens`.
        val_fraction: Share at the end of the text for validation; see `text.corpus.split_index`.
        n_ctx: Window length; both splits must have room for one window and its targets.
        progress: Called with (characters done, characters in all) while tokens are made.

    Raises:
        TextError: the text is too short for `n_ctx`, or the tokenizer cannot encode it.
    """
    root = Path(root)
    key = token_key(corpus, tokenizer, val_fraction)
    files = _read_manifest(root / key)
    if files is None:
        root.mkdir(parents=True, exist_ok=True)
        _remove_stale(root)
        files = _write_tokens(corpus, tokenizer, root, key, val_fraction, progress)
    _check_lengths(files.counts, corpus, n_ctx)
    return files


def open_tokens(path: str | Path) -> np.memmap:
    """The ids in a token file, as an array that is read from disk where it is touched.

    Raises:
        TextError: the file or its manifest is missing or damaged.
    """
    path = Path(path)
    files = _read_manifest(path.parent)
    if files is None or path.name not in ("train.bin", "val.bin"):
        raise TextError(f"{path} is missing or damaged; start the run again and the tokens are made anew")
    return np.memmap(path, dtype=files.dtype, mode="r")


def token_key(corpus: Corpus, tokenizer: Tokenizer, val_fraction: float) -> str:
    """Name of the folder for these tokens: everything that decides what is in it."""
    parts = f"{FORMAT} {corpus.sha256} {tokenizer.content_hash()} {val_fraction!r}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _write_tokens(
    corpus: Corpus, tokenizer: Tokenizer, root: Path, key: str, val_fraction: float, progress: Progress | None
) -> TokenFiles:
    """Make both files in a temporary folder and rename it, so that nobody ever sees half a folder."""
    border = split_index(corpus.text, val_fraction)
    temporary = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{key}-", dir=root))
    try:
        counts = {}
        for name, start, end in (("train", 0, border), ("val", border, len(corpus.text))):
            text = corpus.text[start:end]
            counts[name] = _write_split(temporary / f"{name}.bin", text, tokenizer, start, len(corpus.text), progress)
        manifest = {
            "format": FORMAT,
            "key": key,
            "dtype": tokenizer.dtype.name,
            "counts": counts,
            "val_bytes": len(corpus.text[border:].encode()),
            "val_fraction": val_fraction,
            "corpus": {"name": corpus.name, "sha256": corpus.sha256, "bytes": corpus.bytes},
            "tokenizer": {"type": tokenizer.type, "sha256": tokenizer.content_hash()},
        }
        write_atomically(temporary / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
        temporary.chmod(0o755)
        return _publish(temporary, root / key)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_split(path: Path, text: str, tokenizer: Tokenizer, done: int, total: int, progress: Progress | None) -> int:
    """Write the tokens of one split, piece by piece; their number."""
    count = 0
    with path.open("wb") as file:
        for characters, ids in tokenizer.encode_in_pieces(text):
            file.write(ids.astype(tokenizer.dtype, copy=False).tobytes())
            count += len(ids)
            done += characters
            if progress is not None:
                progress(done, total)
        file.flush()
        os.fsync(file.fileno())
    return count


def _publish(temporary: Path, folder: Path) -> TokenFiles:
    """Give the finished folder its name. Another run may have been faster: then its equal folder is used."""
    for _ in range(3):
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():
                raise
        sync_folder(folder.parent)
        files = _read_manifest(folder)
        if files is not None:
            return files
        if not temporary.exists():  # the unreadable folder is our own: to repeat would change nothing
            break
        damaged = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder.parent))
        with suppress(FileNotFoundError):  # another run removed it first
            folder.rename(damaged / "damaged")
        shutil.rmtree(damaged, ignore_errors=True)
    raise TextError(f"the token files in {folder} cannot be written; remove the folder and start again")


def _read_manifest(folder: Path) -> TokenFiles | None:
    """What a folder of token files holds, or None if it is not there, not complete or not ours."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        counts = {name: int(manifest["counts"][name]) for name in ("train", "val")}
        dtype = {"uint16": "uint16", "uint32": "uint32"}[manifest["dtype"]]
        val_bytes = int(manifest["val_bytes"])
        paths = {name: folder / f"{name}.bin" for name in counts}
        sizes_match = all(paths[name].stat().st_size == counts[name] * np.dtype(dtype).itemsize for name in counts)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not sizes_match or manifest.get("format") != FORMAT or manifest.get("key") != folder.name:
        return None
    return TokenFiles(paths["train"], paths["val"], dtype, counts, val_bytes, folder.name)


def _check_lengths(counts: dict[str, int], corpus: Corpus, n_ctx: int) -> None:
    for name, title in (("train", "training"), ("val", "validation")):
        if counts[name] < n_ctx + 1:
            raise TextError(
                f"the {title} split of {corpus.name} has {counts[name]:,} tokens, but n_ctx {n_ctx:,} needs "
                f"{n_ctx + 1:,} (a window and the token after it): give a longer text than these "
                f"{len(corpus.text):,} characters, or a smaller n_ctx"
            )


def _remove_stale(root: Path) -> None:
    """Remove what a killed process left behind a day ago or earlier."""
    for folder in root.glob(f"{TEMPORARY}*"):
        try:
            stale = time.time() - folder.stat().st_mtime > STALE_SECONDS
        except FileNotFoundError:  # its owner finished between glob and stat
            continue
        if stale:
            shutil.rmtree(folder, ignore_errors=True)
