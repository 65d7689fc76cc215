"""From files to documents: formats, folders, separators, and every way in which a file can be wrong."""

import gzip
import json
import random
from pathlib import Path

import pytest

from config.errors import TextError
from text import streams
from text.corpus import Corpus, read_text

LINES = [{"text": "One.\n", "id": 1}, {"text": ""}, {"text": "Zwei ü"}, {"text": " \n"}, {"text": "Three\r\nthree"}]


def documents_of(corpus: Corpus) -> list[str]:
    """The documents, cut out of the blocks by their borders."""
    found = [""]
    for block in corpus.blocks():
        start = 0
        for border in block.borders:
            found[-1] += block.text[start:border]
            found.append("")
            start = border
        found[-1] += block.text[start:]
    return found


def write_lines(path: Path, lines: list[dict] = LINES) -> Path:
    content = "\n".join(map(json.dumps, lines)).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture(params=[1, 2, 3, 7, 1_000_000])
def read_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(streams, "READ_BYTES", request.param)
    return request.param


def test_text_is_the_same_however_it_is_read(tmp_path: Path, read_bytes: int) -> None:
    mark = b"\xef\xbb\xbf" if read_bytes >= 3 else b""  # it is looked for in the first read, which is never shorter
    (tmp_path / "a.txt").write_bytes(mark + "ä🙂e\u0301\r\n\r\n\rend\r".encode())
    corpus = read_text(tmp_path / "a.txt")
    assert corpus.text == "ä🙂e\u0301\n\n\nend\n"
    assert len(corpus.notes) == (2 if mark else 1)


def test_the_place_of_a_wrong_byte_is_exact(tmp_path: Path, read_bytes: int) -> None:
    content = "grün 🙂 ".encode() * 5
    (tmp_path / "a.txt").write_bytes(content + b"\xf0\x9f\x99x" + content)
    with pytest.raises(TextError, match=f"byte {len(content) + 1} is 0xf0"):
        read_text(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_bytes(content + b"\xf0\x9f\x99")
    with pytest.raises(TextError, match=f"byte {len(content) + 1} is 0xf0"):
        read_text(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_bytes(content + b"\0")
    with pytest.raises(TextError, match=f"byte {len(content) + 1} is zero"):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_each_line_of_jsonl_is_a_document(tmp_path: Path, name: str) -> None:
    corpus = read_text(write_lines(tmp_path / name))
    assert documents_of(corpus) == ["One.\n", "Zwei ü\n", "Three\nthree\n"]
    assert corpus.documents == 3
    assert any(note.startswith("2 empty documents were left out: ") for note in corpus.notes)
    assert any("CRLF" in note for note in corpus.notes)


def test_the_field_is_chosen_and_blank_lines_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"content": "x", "text": 3}\r\n\r\n{"content": "y"}\n\n')
    assert documents_of(read_text(tmp_path / "a.jsonl", field="content")) == ["x\n", "y\n"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "x"', r"line 3 of .*a\.jsonl is not JSON"),
        (b'{"body": "x", "id": 4}', r"line 3 of .* has no field 'text', it has 'body', 'id': choose .* --field"),
        (b"{}", "line 3 of .* no field at all"),
        (b'["x"]', "line 3 of .* is not a JSON object"),
        (b'{"text": null}', "line 3 of .* has no text in its field 'text', but null"),
        (b'{"text": "a\\u0000"}', "character 2 of line 3 .* is zero"),
        (b'{"text": "a\\ud83d"}', r"character 2 of line 3 .*U\+D83D"),
        (b'{"text": "caf\xe9"}', "line 3 of .* is not UTF-8: its byte 14 is 0xe9"),
        (b'{"text": ' + b"9" * 5000 + b"}", "line 3 of .* is not JSON"),
        (b"[" * 100_000, "line 3 of .* is not JSON"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "fine"}\n\n' + line + b'\n{"text": "fine"}\n')
    with pytest.raises(TextError, match=message) as caught:
        read_text(tmp_path / "a.jsonl")
    assert "\n" not in str(caught.value)


def test_a_line_too_long_for_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_LINE_BYTES", 50)
    write_lines(tmp_path / "a.jsonl", [{"text": "x"}, {"text": "y" * 50}])
    with pytest.raises(TextError, match=r"line 2 of .* is longer than 50 bytes"):
        read_text(tmp_path / "a.jsonl")
    write_lines(tmp_path / "a.jsonl", [{"text": "x"}, {"text": "y" * 38}])  # with its signs 50 bytes
    assert read_text(tmp_path / "a.jsonl").documents == 2


def test_gz_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("Grün\n".encode()) + gzip.compress(b"twice"))
    assert read_text(tmp_path / "a.txt.gz").text == "Grün\ntwice"


def test_damaged_gz_gets_one_sentence(tmp_path: Path) -> None:
    whole = gzip.compress(random.Random(0).randbytes(3000).hex().encode())
    for content, message in (
        (whole[:-9], "is cut off: its compressed data end too early"),
        (b"no gzip at all", "is damaged, or not a gzip file"),
        (whole[:1000] + bytes(100) + whole[1100:], "is damaged|not a text file"),
    ):
        (tmp_path / "a.txt.gz").write_bytes(content)
        with pytest.raises(TextError, match=message):
            read_text(tmp_path / "a.txt.gz")


def test_a_folder_holds_all_formats_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("last")
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"packed\r\n"))
    write_lines(tmp_path / "a.jsonl")
    (tmp_path / "e.csv").write_text("no")
    corpus = read_text(tmp_path)
    assert documents_of(corpus) == ["One.\n", "Zwei ü\n", "Three\nthree\n", "packed\n", "last\n"]
    assert any(note.startswith("3 empty documents were left out: ") for note in corpus.notes)
    assert any("a.jsonl and 1 more (CRLF or CR)" in note for note in corpus.notes)


def test_a_folder_of_tokens_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(b"")
    with pytest.raises(TextError, match=r"holds tokens, not texts: give it to train\.py"):
        read_text(tmp_path)


def test_a_separator_parts_documents_wherever_a_read_ends(tmp_path: Path, read_bytes: int) -> None:
    text = "<|end|>\nfirst<|e\n<|end|>\n\nsecond\n<|end|><|end|>third<|end|>\n"
    (tmp_path / "a.txt").write_text(text)
    assert documents_of(read_text(tmp_path / "a.txt", separator="<|end|>")) == ["first<|e\n", "second\n", "third\n"]
    assert documents_of(read_text(tmp_path / "a.txt")) == [text]


def test_one_document_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n\nno line end")
    corpus = read_text(tmp_path / "a.txt")
    assert (corpus.text, corpus.documents) == ("\n\nno line end", 1)


def test_report_counts_the_bytes_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "READ_BYTES", 100)
    (tmp_path / "a.txt").write_text("x" * 1000)
    (tmp_path / "b.txt").write_text("y" * 500)
    told: list[tuple[int, int]] = []
    read_text(tmp_path, report=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert len(told) >= 15
    assert told[-1] == (1500, 1500)


def test_a_folder_names_what_it_leaves_out(tmp_path: Path) -> None:
    files = {
        "a.txt": "\ufeffone\n", "b.txt": "", "c.txt": "\ufefftwo\n", ".hidden.txt": "secret", "._a.txt": "\0\1",
        "README.md": "about", "x.pdf": "%PDF", "y.csv": "1,2", "z.png": "PNG",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    corpus = read_text(tmp_path)
    assert corpus.text == "one\ntwo\n"
    assert corpus.notes == (
        f"The byte order mark at the start of {tmp_path / 'a.txt'} and 1 more was removed.",
        "1 empty document was left out: b.txt.",
        "4 files are not read (no .txt, .txt.gz, .jsonl): README.md, x.pdf, y.csv and 1 more.",
    )


def test_marks_between_documents_that_are_read_as_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n<|endoftext|>\ntwo\n")
    (note,) = read_text(tmp_path / "a.txt").notes
    assert "<|endoftext|> in it, read as text" in note and "--separator '<|endoftext|>'" in note
    assert read_text(tmp_path / "a.txt", separator="<|endoftext|>").notes == ()
    (tmp_path / "b.jsonl").write_text('{"text": "<|endoftext|> is a token"}')
    assert read_text(tmp_path / "b.jsonl").notes == ()
