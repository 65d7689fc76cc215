"""Getting a file by HTTP so that nothing that came is lost: it goes on where it ended, if the file is still the same.

Beside the growing file `part` lies a record of its address and of the server's mark for this version (ETag or
Last-Modified). With both, the server is asked for the rest (Range), if the version is still the same (If-Range).
Without such a mark the rest is asked for only where a checksum decides in the end whether both parts belong together.
"""

import errno
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import TextError
from text.atomic import hold_alone, write_atomically

TIMEOUT_SECONDS = 30.0
ATTEMPTS = 4
PAUSE_SECONDS = 2.0  # before the second attempt; twice as long before each further one
READ_BYTES = 256 * 1024
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

Report = Callable[[int, int], None]
Say = Callable[[str], None]


class CutOff(OSError):
    """The connection ended before the file did; what came is kept."""


@contextmanager
def owned(part: Path) -> Iterator[None]:
    """Hold `part` alone, made if needed; an empty one is removed in the end.

    Raises:
        TextError: another process holds it.
    """
    with hold_alone(part, f"another process is getting {part.stem} already: wait for it"):
        try:
            yield
        finally:
            if part.exists() and not part.stat().st_size:
                part.unlink()
                stamp_of(part).unlink(missing_ok=True)


def stamp_of(part: Path) -> Path:
    """The file that says where `part` comes from, and which version of it."""
    return part.with_name(f"{part.name}.json")


def fetch(url: str, part: Path, ways_out: str, report: Report, say: Say, *, checked: bool = False) -> bool:
    """Get what `part` lacks, in several attempts if the connection is bad; one that brings something is no failure.

    Returns whether bytes were put together that may be of two versions: then their checksum must be looked at.

    Args:
        part: A file that this process owns; see `owned`.
        ways_out: What a person can do when it fails.
        report: Called with (bytes done, bytes in all; 0 where the server does not say).
        say: Called with a sentence before each pause.
        checked: Whether the caller knows the checksum, so that a file without a mark can be continued.

    Raises:
        TextError: the server cannot be reached or does not have the file, or the disk is full.
    """
    failures, anything, unsure = 0, False, False
    while True:
        before = part.stat().st_size
        have, mark = _kept(part, url, checked)
        unsure = unsure or (have > 0 and not mark)
        try:
            _attempt(url, part, have, mark, report)
            return unsure
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != http.HTTPStatus.TOO_MANY_REQUESTS:
                raise TextError(f"{url} answers {error.code} {error.reason}: {ways_out}") from None
            reason, reached = f"{error.code} {error.reason}", True
        except urllib.error.URLError as error:
            reason, reached = str(error.reason), False
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise TextError(f"{part} cannot be written: the disk is full; what came is kept") from error
            reason, reached = str(error) or type(error).__name__, True
        have = part.stat().st_size
        failures = 0 if have > before else failures + 1
        anything = anything or have > before
        if failures >= ATTEMPTS or not (reached or anything):  # who is offline is told at once
            raise TextError(f"{url} cannot be read ({reason}){_what_is_kept(part, url, checked)}: {ways_out}")
        pause = PAUSE_SECONDS * 2**failures
        say(f"{reason}; trying again in {pause:.0f} s")
        time.sleep(pause)


def _what_is_kept(part: Path, url: str, checked: bool) -> str:
    if not part.stat().st_size:
        return ""
    have, _ = _kept(part, url, checked)
    if have:
        return f"; {have:,} bytes are kept and the same command goes on"
    return "; the same command starts over, as the server gives no mark (ETag, Last-Modified) to know the file again"


def _attempt(url: str, part: Path, have: int, mark: str, report: Report) -> None:
    """One attempt to get what `part` lacks behind its first `have` bytes."""
    request = urllib.request.Request(url, headers={"User-Agent": "llm-from-scratch", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if mark:
            request.add_header("If-Range", mark)  # a file that has changed since then comes whole
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return  # nothing is missing
        stamp_of(part).unlink()
        raise CutOff("the server has another file than before") from None
    with answer:
        start, total = _where(answer, have)
        free = shutil.disk_usage(part.parent).free
        if total - start > free:
            raise TextError(f"{url} needs {total - start:,} bytes, but {part.parent} has only {free:,} free")
        stamp = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        write_atomically(stamp_of(part), json.dumps({"url": url, "stamp": stamp}).encode())
        done = _write(answer, part, start, total, report)
    if done < total:
        raise CutOff(f"the connection ended after {done:,} of {total:,} bytes")


def _write(answer: http.client.HTTPResponse, part: Path, start: int, total: int, report: Report) -> int:
    """Put what comes into `part` from byte `start` on; how long it is then."""
    with part.open("r+b") as file:
        done = file.seek(start)
        file.truncate()
        try:
            while content := answer.read(READ_BYTES):
                file.write(content)
                done += len(content)
                report(done, total)
        finally:
            file.flush()
            os.fsync(file.fileno())
    return done


def _where(answer: http.client.HTTPResponse, have: int) -> tuple[int, int]:
    """Where in the file the answer begins, and how long the file is, 0 if nobody knows."""
    length = answer.length or 0
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0, length  # all of it: a server without ranges, or a file that has changed
    match = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != have:
        raise CutOff(f"the server sent another part than the one from byte {have:,} on")
    return have, have + length if match[2] == "*" else int(match[2])


def _kept(part: Path, url: str, checked: bool) -> tuple[int, str]:
    """How many bytes an earlier attempt left, and the server's mark of that file; 0 if they cannot be continued."""
    try:
        record = json.loads(stamp_of(part).read_bytes())
        # A weak mark (W/) does not promise the same bytes; without any mark nobody could tell another file.
        mark = "" if record["stamp"].startswith("W/") else record["stamp"]
        if record["url"] == url and (mark or checked):
            return part.stat().st_size, mark
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # no earlier attempt, or none that left a readable record
    return 0, ""
