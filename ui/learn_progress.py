"""Which questions were answered right, remembered in one small file beside the runs."""

from pathlib import Path

from config.errors import RunError
from runs import folder
from runs.files import read_json, write_json

FILE = ".learned.json"


def _path() -> Path:
    return folder.CHECKPOINTS / FILE


def read() -> dict[str, list[int]]:
    """The questions answered right, by chapter; empty where nothing is written, or nothing that can be read."""
    try:
        found = read_json(_path())
    except (OSError, RunError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        slug: sorted({number for number in numbers if type(number) is int})
        for slug, numbers in found.items()
        if isinstance(numbers, list)
    }


def remember(slug: str, number: int) -> str:
    """Note that question `number` of a chapter was answered right; why it could not be noted, or ""."""
    known = read()
    if number in known.get(slug, []):
        return ""
    known[slug] = sorted([*known.get(slug, []), number])
    try:
        _path().parent.mkdir(exist_ok=True)
        write_json(_path(), known)
    except OSError as error:
        return f"Your progress could not be saved: {error.strerror}."
    return ""
