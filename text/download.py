"""Gets a well-known public corpus, once: python -m text.download tiny_shakespeare

    tiny_shakespeare     1.1 MB   40,000 lines of Shakespeare's plays (Karpathy, char-rnn)
    tinystories          2.2 GB   little stories in simple words, written by GPT-4 (Eldan and Li 2023, arXiv:2305.07759)
    openwebtext_sample   a part of OpenWebText: pages that Reddit linked to (Gokaslan and Cohen 2019), packed with gzip

A download that was cut off goes on where it stopped. A file counts only when it is as long as the server said and
has the right checksum, where one is known. Another server that has the same files is chosen by --mirror, or by the
environment variable CORPUS_MIRROR: an address to which the file name is added.
"""

import argparse
import errno
import fcntl
import http.client
import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.errors import TextError
from text.atomic import sync_folder, write_atomically
from text.progress_bar import byte_bar
from text.token_file import hash_file

EXIT_STOPPED, EXIT_WRONG_INPUT = 1, 2
MIRROR_VARIABLE = "CORPUS_MIRROR"
TIMEOUT_SECONDS = 30.0
ATTEMPTS = 4
PAUSE_SECONDS = 2.0  # before the second attempt; twice as long before each further one
READ_BYTES = 256 * 1024
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class PublicCorpus:
    """A file on a public server.

    Args:
        url: Where it is.
        file: What it is called here.
        sha256: Its checksum, None where none is known: then only its length can be checked.
        separator: What stands between its documents, for `text.prepare --separator`.
    """

    url: str
    file: str
    sha256: str | None = None
    separator: str = ""


CORPORA = {
    "tiny_shakespeare": PublicCorpus(
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "tiny_shakespeare.txt",
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",  # of our own copy: 1,115,394 bytes
    ),
    # Of the other two we know no checksum, so none is given here.
    "tinystories": PublicCorpus(
        "https://huggingface.co/datasets/roneneldan/TinyStories/resolve/main/TinyStoriesV2-GPT4-train.txt",
        "TinyStoriesV2-GPT4-train.txt",
        separator="<|endoftext|>",
    ),
    "openwebtext_sample": PublicCorpus(
        "https://huggingface.co/datasets/stanford-cs336/owt-sample/resolve/main/owt_valid.txt.gz",
        "owt_valid.txt.gz",
        separator="<|endoftext|>",
    ),
}


class CutOff(OSError):
    """The connection ended before the file did; what came is kept."""


def download(corpus: PublicCorpus, folder: Path, mirror: str = "", report: Report | None = None) -> Path:
    """The file of a corpus in `folder`; got from its server if it is not there yet.

    Args:
        mirror: Address of another server, to which the file name is added; "" for the usual one.
        report: Called with (bytes done, bytes in all; 0 where the server does not say).

    Raises:
        TextError: the server cannot be reached or does not have the file, the disk is full, or the content is wrong.
    """
    url = f"{mirror.rstrip('/')}/{urllib.parse.quote(corpus.file)}" if mirror else corpus.url
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise TextError(f"{url} is not an address that starts with https:// or http://")
    path = folder / corpus.file
    if path.exists():
        check_content(path, corpus)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{corpus.file}.part"
    with _owned(part):
        _fetch_patiently(url, part, _ways_out(corpus, path), report or (lambda done, total: None))
        check_content(part, corpus)
        part.rename(path)
        _stamp_of(part).unlink()
    sync_folder(folder)
    return path


def check_content(path: Path, corpus: PublicCorpus) -> None:
    """Compare a file with the checksum of its corpus, if one is known.

    Raises:
        TextError: it is another content; a file that was just downloaded is removed.
    """
    if corpus.sha256 is None:
        return
    found = hash_file(path)
    if found != corpus.sha256:
        advice = "remove it and get it again"
        if path.name != corpus.file:
            path.unlink()
            _stamp_of(path).unlink()
            advice = "it was removed; get it again, perhaps from another server"
        raise TextError(f"{path} is not {corpus.file}: its SHA-256 is {found}, not {corpus.sha256}; {advice}")


def _fetch_patiently(url: str, part: Path, ways_out: str, report: Report) -> None:
    """Get what `part` lacks, in several attempts if the connection is bad; one that brings something is no failure."""
    failures, anything = 0, False
    while True:
        before = part.stat().st_size
        try:
            return _fetch(url, part, report)
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
            kept = f"; {have:,} bytes are kept and the same command goes on" if have else ""
            raise TextError(f"{url} cannot be read ({reason}){kept}: {ways_out}")
        time.sleep(PAUSE_SECONDS * 2**failures)


def _fetch(url: str, part: Path, report: Report) -> None:
    """One attempt to get what `part` lacks."""
    have, stamp = _kept(part, url)
    request = urllib.request.Request(url, headers={"User-Agent": "llm-from-scratch", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", stamp)  # a file that has changed since then comes whole
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return  # nothing is missing
        _stamp_of(part).unlink()
        raise CutOff("the server has another file than before") from None
    with answer:
        start, total = _where(answer, have)
        free = shutil.disk_usage(part.parent).free
        if total - start > free:
            raise TextError(f"{url} needs {total - start:,} bytes, but {part.parent} has only {free:,} free")
        stamp = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        write_atomically(_stamp_of(part), json.dumps({"url": url, "stamp": stamp}).encode())
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


def _kept(part: Path, url: str) -> tuple[int, str]:
    """How many bytes an earlier attempt left, and the server's mark of that file; 0 if they cannot be continued."""
    try:
        record = json.loads(_stamp_of(part).read_bytes())
        # A weak mark (W/) does not promise the same bytes; without any mark nobody could tell another file.
        if record["url"] == url and record["stamp"] and not record["stamp"].startswith("W/"):
            return part.stat().st_size, record["stamp"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # no earlier attempt, or none that left a readable record
    return 0, ""


@contextmanager
def _owned(part: Path) -> Iterator[None]:
    """Hold `part` alone, made if needed; an empty one is removed in the end."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise TextError(f"another process is getting {part.stem} already: wait for it") from None
    finally:
        os.close(descriptor)
        if part.exists() and not part.stat().st_size:
            part.unlink()
            _stamp_of(part).unlink(missing_ok=True)


def _stamp_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _ways_out(corpus: PublicCorpus, path: Path) -> str:
    return (
        f"try again when this machine is online, name another server by --mirror or {MIRROR_VARIABLE}, or put the file "
        f"(from {corpus.url}) at {path} yourself; training.txt needs no download"
    )


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m text.download", description="Get a well-known public corpus.")
    parser.add_argument("corpus", choices=CORPORA, help="which one")
    parser.add_argument("--out", type=Path, default=Path("corpora"), help="the folder to put it in. Default corpora.")
    parser.add_argument("--mirror", default=os.environ.get(MIRROR_VARIABLE, ""), help="address of another server")
    arguments = parser.parse_args(argv)
    corpus = CORPORA[arguments.corpus]
    try:
        with byte_bar(corpus.file) as report:
            path = download(corpus, arguments.out, arguments.mirror, report)
    except TextError as error:
        print(f"text.download: {error}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    except KeyboardInterrupt:
        print("text.download: stopped; the same command goes on from here", file=sys.stderr)
        return EXIT_STOPPED
    checked = "as it should be" if corpus.sha256 else "no checksum is known to compare it with"
    separator = f" --separator '{corpus.separator}'" if corpus.separator else ""
    print(
        f"SHA-256 {hash_file(path)}: {checked}\n"
        f"cut it into tokens: python -m text.prepare {path}{separator} --out tokens/{arguments.corpus}",
        file=sys.stderr,
    )
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
