"""A model as one zip file: packed for a download, and unpacked with care, because it may come from anywhere.

A zip can name files outside of its folder (../), links, and files that are thousands of times larger than itself. Only
the files that a model consists of are taken out of it, by their names alone, and no more than the archive says.
"""

import lzma
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from config.errors import CheckpointError

ENDINGS = (".json", ".safetensors", ".model", ".txt")
MOST_FILES = 2_000
# Weights hardly shrink in a zip, and texts by a factor of ten: what grows more than this was made to fill a disk.
LARGEST_GROWTH = 50
SMALL_BYTES = 10_000_000  # below it, growth is nobody's problem
# What a damaged or locked archive raises; RuntimeError: it wants a password.
UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, EOFError, RuntimeError)


def unpack(archive: Path, folder: Path) -> Path:
    """Take the model out of a zip file into `folder`; returns the folder that its config.json is in.

    Raises:
        CheckpointError: it is no zip file, has no config.json, or was made to do harm.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _check(archive, members)
            _check_room(archive, sum(member.file_size for member in members), folder)
            root = _root(archive, members)
            for member in members:
                path = PurePosixPath(member.filename)
                if path.parent == root and path.suffix in ENDINGS:
                    with opened.open(member) as source, open(folder / path.name, "xb") as target:
                        shutil.copyfileobj(source, target)
    except UNREADABLE as error:
        raise CheckpointError(f"{archive} cannot be unpacked: {error}.") from None
    except OSError as error:
        raise CheckpointError(f"{archive} cannot be unpacked: {error.strerror or error}.") from None
    return folder


def pack(folder: Path, archive: Path) -> None:
    """Put the files of a folder into a zip file, uncompressed: weights would hardly shrink.

    Raises:
        OSError: the disk is full.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for path in sorted(folder.iterdir()):
            opened.write(path, f"{folder.name}/{path.name}")


def _check(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_FILES:
        raise CheckpointError(f"{archive} holds {len(members):,} files; a model has {MOST_FILES:,} at most.")
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename:
            raise CheckpointError(f"{archive} wants to write outside of its folder: {member.filename[:100]!r}.")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise CheckpointError(
                f"{archive} holds {member.filename[:100]!r}, which is a link or a device, not a file."
            )
        if member.file_size > max(SMALL_BYTES, LARGEST_GROWTH * member.compress_size):
            raise CheckpointError(
                f"{archive} holds {member.filename[:100]!r}, {member.file_size:,} bytes packed into "
                f"{member.compress_size:,}: no file of a model shrinks that much."
            )


def _check_room(archive: Path, needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free / 2:
        raise CheckpointError(f"{archive} unpacks to {needed / 1e6:,.0f} MB; {free / 1e6:,.0f} MB are free.")


def _root(archive: Path, members: list[zipfile.ZipInfo]) -> PurePosixPath:
    """The folder inside of the archive that the model is in: that of its only config.json."""
    found = [PurePosixPath(member.filename) for member in members]
    roots = sorted({path.parent for path in found if path.name == "config.json"}, key=lambda path: len(path.parts))
    if not roots:
        raise CheckpointError(f"{archive} holds no model: there is no config.json in it.")
    return roots[0]
