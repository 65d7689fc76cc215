"""Gets a well-known public corpus, once: python -m text.download tiny_shakespeare

    tiny_shakespeare     1.1 MB   40,000 lines of Shakespeare's plays (Karpathy, char-rnn)
    tinystories          2.2 GB   little stories in simple words, written by GPT-4 (Eldan and Li 2023, arXiv:2305.07759)
    openwebtext_sample   a part of OpenWebText: pages that Reddit linked to (Gokaslan and Cohen 2019), packed with gzip

A download that was cut off goes on where it stopped, unless neither the server nor a checksum can tell whether the rest
belongs to the beginning; then it says so and starts over. A file counts only when it is as long as the server said and
has the right checksum, where one is known. Another server that has the same files is chosen by --mirror, or by the
environment variable CORPUS_MIRROR: an address to which the file name is added.
"""

import argparse
import os
import sys
import urllib.parse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from config.errors import TextError
from text.atomic import sync_folder
from text.http_file import Report, Say, fetch, owned, stamp_of
from text.progress_bar import byte_bar
from text.token_file import hash_file

EXIT_STOPPED, EXIT_WRONG_INPUT = 1, 2
MIRROR_VARIABLE = "CORPUS_MIRROR"


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


def download(
    corpus: PublicCorpus,
    folder: Path,
    mirror: str = "",
    report: Report = lambda done, total: None,
    say: Say = lambda sentence: None,
) -> Path:
    """The file of a corpus in `folder`; got from its server if it is not there yet.

    Args:
        mirror: Address of another server, to which the file name is added; "" for the usual one.
        report: Called with (bytes done, bytes in all; 0 where the server does not say).
        say: Called with a sentence when there is something to tell.

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
    with owned(part):
        get = partial(fetch, url, part, _ways_out(corpus, path), report, say, checked=corpus.sha256 is not None)
        if get() and hash_file(part) != corpus.sha256:
            say(f"the rest of {corpus.file} does not belong to its beginning; starting over")
            stamp_of(part).unlink()
            get()
        check_content(part, corpus)
        part.rename(path)
        stamp_of(part).unlink()
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
            stamp_of(path).unlink()
            advice = "it was removed; get it again, perhaps from another server"
        raise TextError(f"{path} is not {corpus.file}: its SHA-256 is {found}, not {corpus.sha256}; {advice}")


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

    def say(sentence: str) -> None:
        print(sentence, file=sys.stderr)

    try:
        with byte_bar(corpus.file) as report:
            path = download(corpus, arguments.out, arguments.mirror, report, say)
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
