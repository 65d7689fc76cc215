"""Downloads from a server on this machine that does everything a server can do wrong."""

import fcntl
import hashlib
import json
import os
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from config.errors import TextError
from text import http_file
from text.download import CORPORA, MIRROR_VARIABLE, PublicCorpus, download, main

CONTENT = random.Random(4).randbytes(3_000_000)


@dataclass
class Server:
    """What the server does, and what it was asked."""

    address: str = ""
    content: bytes = CONTENT
    mark: str | None = '"one"'
    ranges: bool = True
    length: bool = True
    statuses: list[int] = field(default_factory=list)  # of the next answers; 200 after them
    cuts: list[int] = field(default_factory=list)  # the next answers end after so many bytes
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path and range
    wrong_part: bool = False


def make_handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked_range = self.headers.get("Range")
            server.asked.append((self.path, asked_range))
            if server.statuses:
                self.send_error(server.statuses.pop(0))
                return
            start = 0
            sure = self.headers.get("If-Range", server.mark) == server.mark
            if asked_range and server.ranges and sure:
                start = int(asked_range.removeprefix("bytes=").removesuffix("-"))
                if start >= len(server.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(server.content)}")
                    self.end_headers()
                    return
                self.send_response(206)
                first = start - 1 if server.wrong_part else start
                last = len(server.content) - 1
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(server.content)}")
            else:
                self.send_response(200)
            if server.length:
                self.send_header("Content-Length", str(len(server.content) - start))
            if server.mark:
                self.send_header("ETag", server.mark)
            self.end_headers()
            end = start + server.cuts.pop(0) if server.cuts else len(server.content)
            self.wfile.write(server.content[start:end])

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(http_file, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    state = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(state))
    http.handle_error = lambda *request: None  # a client that hangs up is no news
    state.address = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def corpus(server: Server) -> PublicCorpus:
    return PublicCorpus(f"{server.address}/data/a.txt", "a.txt", sha256=hashlib.sha256(CONTENT).hexdigest())


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = download(corpus, tmp_path / "new", report=lambda done, total: told.append((done, total)))
    assert path == tmp_path / "new" / "a.txt"
    assert path.read_bytes() == CONTENT
    assert names_in(tmp_path / "new") == ["a.txt"]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert len(told) > 5
    assert download(corpus, tmp_path / "new") == path  # it is there already
    assert server.asked == [("/data/a.txt", None)]


def test_a_cut_connection_is_taken_up_where_it_ended(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    server.cuts = [1_000_000, 500_000, 1]
    assert download(corpus, tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=1000000-", "bytes=1500000-", "bytes=1500001-"]


def test_a_later_call_goes_on(
    server: Server, corpus: PublicCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.cuts = [1_000_000, 0, 0, 0, 0]
    with pytest.raises(TextError, match="1,000,000 bytes are kept and the same command goes on"):
        download(corpus, tmp_path)
    assert names_in(tmp_path) == ["a.txt.part", "a.txt.part.json"]
    server.cuts, server.asked = [], []
    assert download(corpus, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/data/a.txt", "bytes=1000000-")]
    assert names_in(tmp_path) == ["a.txt"]


def test_a_server_without_ranges_sends_all_again(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [1_000_000]
    assert download(corpus, tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=1000000-"]


def test_a_server_that_always_cuts_is_given_up(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [1_000_000] * 100
    with pytest.raises(TextError, match="ended after 1,000,000 of 3,000,000 bytes"):
        download(corpus, tmp_path)
    assert len(server.asked) == 5


def test_another_file_than_before_is_got_whole(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    server.content, server.cuts = b"x" * 3_000_000, [1_000_000, 0, 0, 0, 0]
    with pytest.raises(TextError, match="are kept"):
        download(corpus, tmp_path)
    server.content, server.mark, server.cuts = CONTENT, '"two"', []
    assert download(corpus, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("mark", [None, 'W/"weak"'])
def test_without_a_sure_mark_and_a_checksum_it_starts_over_and_says_so(
    server: Server, corpus: PublicCorpus, tmp_path: Path, mark: str | None
) -> None:
    unchecked = replace(corpus, sha256=None)
    server.mark, server.cuts = mark, [1_000_000] * 100
    with pytest.raises(TextError, match="the same command starts over, as the server gives no mark"):
        download(unchecked, tmp_path)
    server.asked = []
    server.cuts = [1_000_000]
    assert download(unchecked, tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, None]


@pytest.mark.parametrize("mark", [None, 'W/"weak"'])
def test_a_checksum_lets_it_go_on_without_a_mark(
    server: Server, corpus: PublicCorpus, tmp_path: Path, mark: str | None
) -> None:
    server.mark, server.cuts = mark, [1_000_000, 0, 0, 0, 0]
    with pytest.raises(TextError, match="1,000,000 bytes are kept and the same command goes on"):
        download(corpus, tmp_path)
    server.asked, server.cuts = [], [500_000]
    assert download(corpus, tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == ["bytes=1000000-", "bytes=1500000-"]


def test_parts_that_do_not_belong_together_are_got_again_once(
    server: Server, corpus: PublicCorpus, tmp_path: Path
) -> None:
    server.mark, server.content, server.cuts = None, b"x" * 3_000_000, [1_000_000, 0, 0, 0, 0]
    with pytest.raises(TextError, match="are kept"):
        download(corpus, tmp_path)
    server.content, server.cuts, server.asked = CONTENT, [], []
    said: list[str] = []
    assert download(corpus, tmp_path, say=said.append).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == ["bytes=1000000-", None]
    assert said == ["the rest of a.txt does not belong to its beginning; starting over"]


def test_every_pause_is_told(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    server.cuts, server.statuses, said = [1_000_000], [503], []
    download(corpus, tmp_path, say=said.append)
    assert said == [
        "503 Service Unavailable; trying again in 0 s",
        "the connection ended after 1,000,000 of 3,000,000 bytes; trying again in 0 s",
    ]


def test_the_rest_of_another_server_is_not_added(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    server.cuts = [1_000_000, 0, 0, 0, 0]
    with pytest.raises(TextError, match="are kept"):
        download(corpus, tmp_path)
    server.cuts, server.asked = [], []
    assert download(corpus, tmp_path, mirror=f"{server.address}/mirror/").read_bytes() == CONTENT
    assert server.asked == [("/mirror/a.txt", None)]


def test_a_file_that_is_whole_but_not_named_yet(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    (tmp_path / "a.txt.part").write_bytes(CONTENT)
    (tmp_path / "a.txt.part.json").write_text(json.dumps({"url": corpus.url, "stamp": server.mark}))
    assert download(corpus, tmp_path).read_bytes() == CONTENT
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt.part").write_bytes(CONTENT + b"too long")
    (tmp_path / "a.txt.part.json").write_text(json.dumps({"url": corpus.url, "stamp": server.mark}))
    assert download(corpus, tmp_path).read_bytes() == CONTENT


def test_a_wrong_part_is_not_added(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    server.cuts, server.wrong_part = [1_000_000], True
    with pytest.raises(TextError, match="another part than the one from byte 1,000,000 on"):
        download(corpus, tmp_path)


def test_a_wrong_checksum_is_refused_and_removed(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(
        TextError, match=r"is not a\.txt: its SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}; it was removed"
    ):
        download(corpus, tmp_path)
    assert names_in(tmp_path) == []


def test_a_wrong_file_of_that_name_is_left(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(TextError, match="remove it and get it again"):
        download(corpus, tmp_path)
    assert (tmp_path / "a.txt").read_text() == "mine"


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_missing_file_is_told_at_once(server: Server, corpus: PublicCorpus, tmp_path: Path, status: int) -> None:
    server.statuses = [status] * 9
    with pytest.raises(TextError, match=rf"a\.txt answers {status} .*--mirror.*{tmp_path / 'a.txt'} yourself"):
        download(corpus, tmp_path)
    assert len(server.asked) == 1
    assert names_in(tmp_path) == []


def test_a_busy_server_is_asked_again(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    assert download(corpus, tmp_path).read_bytes() == CONTENT
    (tmp_path / "a.txt").unlink()
    server.statuses = [500] * 9
    with pytest.raises(TextError, match="500 Internal Server Error"):
        download(corpus, tmp_path)


def test_an_unknown_length_is_taken_as_it_comes(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    server.length = False
    told: list[tuple[int, int]] = []
    assert download(corpus, tmp_path, report=lambda *numbers: told.append(numbers)).read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), 0)


def test_offline_is_one_sentence_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waited"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    corpus = PublicCorpus(f"http://127.0.0.1:{port}/a.txt", "a.txt")
    with pytest.raises(
        TextError, match=r"cannot be read \(.*refused.*\): try again when this machine is online"
    ) as caught:
        download(corpus, tmp_path)
    assert "training.txt needs no download" in str(caught.value)
    assert names_in(tmp_path) == []


def test_a_full_disk_is_told(
    server: Server, corpus: PublicCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=5))
        with pytest.raises(TextError, match=r"needs 3,000,000 bytes, but .* has only 5 free"):
            download(corpus, tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TextError, match="the disk is full"):
        download(corpus, tmp_path)


def test_two_at_once_do_not_meet(server: Server, corpus: PublicCorpus, tmp_path: Path) -> None:
    holder = os.open(tmp_path / "a.txt.part", os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(TextError, match=r"another process is getting a\.txt already"):
        download(corpus, tmp_path)
    assert (tmp_path / "a.txt.part").exists()  # it is the other one's, however little has come
    os.close(holder)


def test_only_web_addresses(tmp_path: Path) -> None:
    for mirror in ("file:///etc", "ftp://127.0.0.1", "nonsense"):
        with pytest.raises(TextError, match="is not an address that starts with https:// or http://"):
            download(CORPORA["tiny_shakespeare"], tmp_path, mirror)


# --- the command line -----------------------------------------------------------------------------------------------


def test_the_command_line(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, f"{server.address}/mirror")
    assert main(["tinystories", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    path = tmp_path / "TinyStoriesV2-GPT4-train.txt"
    assert out == f"{path}\n"
    assert server.asked == [("/mirror/TinyStoriesV2-GPT4-train.txt", None)]
    assert f"SHA-256 {hashlib.sha256(CONTENT).hexdigest()}: no checksum is known" in err
    assert f"python -m text.prepare {path} --separator '<|endoftext|>' --out tokens/tinystories" in err
    assert "3.0/3.0 MB" in err
    assert main(["tiny_shakespeare", "--out", str(tmp_path), "--mirror", server.address]) == 2
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert sentence.startswith("text.download: ") and "is not tiny_shakespeare.txt: its SHA-256 is" in sentence


def test_all_corpora_have_an_address_and_a_name_of_a_text() -> None:
    assert set(CORPORA) == {"tiny_shakespeare", "tinystories", "openwebtext_sample"}
    for corpus in CORPORA.values():
        assert corpus.url.startswith("https://")
        assert corpus.file.endswith((".txt", ".txt.gz"))
