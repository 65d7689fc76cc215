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
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from config.errors import TextError
from text.atomic import explain_writing, sync_folder, write_atomically
from text.corpus import Corpus, split_position
from text.token_writer import Progress, Written, choose_encoder, write_tokens
from text.tokenizer import Tokenizer

FORMAT = 2
MANIFEST = "manifest.json"
TEMPORARY = ".tmp-"
STALE_SECONDS = 24 * 3600


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
    processes: int = 1,
) -> TokenFiles:
    """The token files of `corpus`: those under `root` if they are there and whole, else made now.

    Args:
        root: The folder of all token files, `<checkpoints>/.tokens`.
        val_fraction: Share at the end of the text for validation; see `text.corpus.split_index`.
        n_ctx: Window length; both splits must have room for one window and its targets.
        progress: Called with (characters done, characters in all) while tokens are made.
        processes: How many encode at a time; see `text.processes.map_in_processes`.

    Raises:
        TextError: the text is too short for `n_ctx`, the tokenizer cannot encode it, or the disk is full.
    """
    root = Path(root)
    key = token_key(corpus, tokenizer, val_fraction)
    files = read_token_files(root / key, key)
    if files is None:
        with explain_writing(root, "start again"):
            root.mkdir(parents=True, exist_ok=True)
            _remove_stale(root)
            files = _make_folder(corpus, tokenizer, root, key, val_fraction, progress, processes)
    check_lengths(files.counts, corpus.name, corpus.characters, n_ctx)
    return files


def open_tokens(path: str | Path) -> np.memmap:
    """The ids in a token file, as an array that is read from disk where it is touched.

    Raises:
        TextError: the file or its manifest is missing or damaged.
    """
    path = Path(path)
    files = read_token_files(path.parent)
    if files is None or path.name not in ("train.bin", "val.bin"):
        raise TextError(f"{path} is missing or damaged; start the run again and the tokens are made anew")
    return np.memmap(path, dtype=files.dtype, mode="r")


def token_key(corpus: Corpus, tokenizer: Tokenizer, val_fraction: float) -> str:
    """Name of the folder for these tokens: everything that decides what is in it."""
    return _hash_parts(corpus.sha256, corpus.borders_sha256, tokenizer.content_hash(), val_fraction)


def _hash_parts(corpus: str, borders: str, tokenizer: str, val_fraction: float) -> str:
    parts = f"{FORMAT} {corpus} {borders} {tokenizer} {val_fraction!r}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _make_folder(
    corpus: Corpus,
    tokenizer: Tokenizer,
    root: Path,
    key: str,
    val_fraction: float,
    progress: Progress | None,
    processes: int,
) -> TokenFiles:
    """Make both files in a temporary folder and rename it, so that nobody ever sees half a folder."""
    temporary = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{key}-", dir=root))
    try:
        border = split_position(corpus, val_fraction)
        with tempfile.TemporaryDirectory(dir=temporary) as for_processes:
            encode = choose_encoder(tokenizer, processes, Path(for_processes))
            written = write_tokens(temporary, corpus, border, tokenizer.dtype, encode, progress)
        write_manifest(temporary, corpus, tokenizer, val_fraction, written)
        temporary.chmod(0o755)
        return publish(temporary, root / key)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_manifest(
    folder: Path, corpus: Corpus, tokenizer: Tokenizer, val_fraction: float, written: Written, **more: Any
) -> None:
    """Say in manifest.json what the token files in `folder` hold: they count from now on."""
    manifest = {
        "format": FORMAT,
        "key": token_key(corpus, tokenizer, val_fraction),
        "dtype": tokenizer.dtype.name,
        "counts": written.counts,
        "val_bytes": written.val_bytes,
        "val_fraction": val_fraction,
        "corpus": corpus.record(),
        "tokenizer": {
            "type": tokenizer.type,
            "vocab_size": tokenizer.vocab_size,
            "sha256": tokenizer.content_hash(),
            "pattern": tokenizer.settings().get("pattern"),
            "model_type": tokenizer.settings().get("model_type"),
        },
        "sha256": {name: hash_file(folder / f"{name}.bin") for name in written.counts},
        **more,
    }
    write_atomically(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


def hash_file(path: Path) -> str:
    """SHA-256 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(temporary: Path, folder: Path) -> TokenFiles:
    """Give the finished folder its name, which is its key. If another run was faster, its equal folder is used.

    Raises:
        TextError: what has the name cannot be read and stays.
    """
    for _ in range(3):
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():
                raise
        sync_folder(folder.parent)
        files = read_token_files(folder, folder.name)
        if files is not None:
            return files
        if not temporary.exists():  # the unreadable folder is our own: to repeat would change nothing
            break
        damaged = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder.parent))
        with suppress(FileNotFoundError):  # another run removed it first
            folder.rename(damaged / "damaged")
        shutil.rmtree(damaged, ignore_errors=True)
    raise TextError(f"the token files in {folder} cannot be written; remove the folder and start again")


def read_token_files(folder: Path, key: str | None = None) -> TokenFiles | None:
    """What a folder of token files holds, or None if it is not there, not whole, not ours or not that of `key`."""
    manifest = read_manifest(folder)
    if manifest is None or key not in (None, manifest["key"]):
        return None
    paths = {name: folder / f"{name}.bin" for name in ("train", "val")}
    counts = {name: manifest["counts"][name] for name in paths}
    return TokenFiles(paths["train"], paths["val"], manifest["dtype"], counts, manifest["val_bytes"], manifest["key"])


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """manifest.json of a folder of token files, or None; the files have the sizes that it names."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        parts = manifest["corpus"]["sha256"], manifest["corpus"]["borders_sha256"], manifest["tokenizer"]["sha256"]
        item_bytes = {"uint16": 2, "uint32": 4}[manifest["dtype"]]
        whole = (
            manifest["format"] == FORMAT
            and manifest["key"] == _hash_parts(*parts, manifest["val_fraction"])
            and isinstance(manifest["val_bytes"], int)
            and all(
                (folder / f"{n}.bin").stat().st_size == manifest["counts"][n] * item_bytes for n in ("train", "val")
            )
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return manifest if whole else None


def check_lengths(counts: dict[str, int], name: str, characters: int, n_ctx: int) -> None:
    """Refuse token files that have no room for one window.

    Raises:
        TextError: with the numbers.
    """
    for split, title in (("train", "training"), ("val", "validation")):
        if counts[split] >= n_ctx + 1:
            continue
        has = f"the {title} split of {name} has {counts[split]:,} token{'' if counts[split] == 1 else 's'}"
        longer = f"give a longer text than {characters:,} character{'' if characters == 1 else 's'}"
        if n_ctx == 1:  # nobody has chosen a window yet
            raise TextError(f"{has}, but needs 2 or more (one, and one to come after it): {longer}")
        raise TextError(
            f"{has}, but n_ctx {n_ctx:,} needs {n_ctx + 1:,} (a window and the token after it): {longer}, or a smaller "
            "n_ctx"
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
