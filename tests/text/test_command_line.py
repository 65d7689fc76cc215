"""`python -m text` and `python -m text.byte_pair`: train, inspect, encode, decode; one sentence for what cannot be."""

import gzip
import io
import subprocess
import sys
from pathlib import Path

import pytest

from text.command_line import main
from text.tokenizer_types import LEARNED, load_tokenizer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def text_file(story: str, tmp_path: Path) -> Path:
    path = tmp_path / "story.txt"
    path.write_text(story + "<|endoftext|>" + story, encoding="utf-8")
    return path


def run(*words: object, kind: str | None = "bpe") -> int:
    return main("python -m text", [str(word) for word in words], kind)


def type_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_a_bpe_from_training_to_decoding(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    out = tmp_path / "new" / "tokenizer"
    flags = ("--vocab-size", 300, "--bpe_pattern", "gpt4", "--min_frequency", 3, "--special_tokens", "<|endoftext|>")
    assert run("train", text_file, "--out", out, *flags) == 0
    output = capsysbinary.readouterr()
    assert output.out.decode().splitlines()[-1] == str(out)
    assert b"300 tokens in" in output.err
    tokenizer = load_tokenizer(out)
    assert (tokenizer.vocab_size, tokenizer.end_of_text) == (300, 299)
    assert run("inspect", out, "--tokens", 2) == 0
    shown = capsysbinary.readouterr().out.decode()
    for needed in ("bpe", "gpt4", "299 <|endoftext|>", tokenizer.content_hash(), "     256  ", " times"):
        assert needed in shown
    assert shown.count(" times") == 2

    text = "the queen\r\n é<|endoftext|>\0".encode()
    type_in(monkeypatch, text)
    assert run("encode", out, "--special", "token") == 0
    ids = capsysbinary.readouterr().out
    assert b" 299 " in ids
    type_in(monkeypatch, ids)
    assert run("decode", out) == 0
    assert capsysbinary.readouterr().out == text
    assert run("encode", out, "a<|endoftext|>") == 0
    ids = capsysbinary.readouterr().out
    assert b"299" not in ids
    assert run("decode", out, *ids.decode().split()) == 0
    assert capsysbinary.readouterr().out == b"a<|endoftext|>"


@pytest.mark.parametrize("kind", [kind for kind in LEARNED if kind != "gpt2"])
def test_every_type(kind: str, text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tokenizer"
    settings = {
        "bpe": ("--vocab_size", 330),
        "sentencepiece": ("--vocab_size", 330, "--sentencepiece_model", "unigram"),
    }
    flags = ("--tokenizer_type", kind, *settings.get(kind, ()))
    assert run("train", text_file, "--out", out, *flags, kind=None) == 0
    assert run("inspect", out, kind=None) == 0
    assert run("encode", out, "the king", kind=None) == 0
    *_, ids = capsys.readouterr().out.splitlines()
    assert load_tokenizer(out).decode([int(word) for word in ids.split()]) == "the king"


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        ("byte", ("--vocab_size", 300)),
        ("gpt2", ("--special_tokens", "<|a|>")),
        ("bpe", ("--sentencepiece_model", "unigram")),
        ("sentencepiece", ("--bpe_pattern", "gpt4")),
        ("sentencepiece", ("--processes", 2)),
    ],
)
def test_a_setting_is_never_ignored(
    kind: str, flags: tuple[object, ...], text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", text_file, "--out", tmp_path / "t", "--tokenizer_type", kind, *flags, kind=None) == 2
    assert f"{flags[0]} has no effect on a {kind} tokenizer: leave it out" in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("kind", [kind for kind in LEARNED if kind != "gpt2"])
def test_nothing_is_learned_from_an_empty_text(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "blank.txt").write_text(" \n\n")
    assert run("train", tmp_path / "blank.txt", "--out", tmp_path / "t", "--tokenizer_type", kind, kind=None) == 2
    assert "blank.txt is empty: give a file with text in it" in capsys.readouterr().err


def test_the_folder_of_a_run_is_understood(text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", text_file, "--out", tmp_path / "run" / "tokenizer", "--vocab_size", 257) == 0
    assert run("encode", tmp_path / "run", "z") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "122"


def test_a_compressed_text_with_line_ends_of_windows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "story.txt.gz"
    path.write_bytes(gzip.compress(b"ab\r\n" * 9))
    assert run("train", path, "--out", tmp_path / "tokenizer", "--vocab_size", 257) == 0
    assert "CRLF" in capsys.readouterr().err
    assert load_tokenizer(tmp_path / "tokenizer").decode([256]) == "ab"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "missing.txt", "--out", "t"), "there is no file missing.txt"),
        (("train", "{text}", "--out", "t", "--vocab_size", "255"), "vocab_size 255 is too small"),
        (("train", "{text}", "--out", "t", "--vocab_size", "99999"), "vocab_size 99,999 is too large"),
        (("train", "{text}", "--out", "t", "--min_frequency", "0"), "min_frequency 0 would merge"),
        (("train", "{text}", "--out", "t", "--processes", "-1"), "--processes -1 must be from 1 to 64"),
        (("train", "{text}", "--out", "t", "--processes", "0"), "--processes 0 must be from 1 to 64"),
        (("train", "{text}", "--out", "t", "--special_tokens", ""), "must have characters"),
        (("train", "{text}", "--out", "{text}/t", "--vocab_size", "257"), "cannot be written"),
        (("inspect", "{text}"), "cannot be read: Not a directory"),
        (("encode", "nothing", "text"), "holds no tokenizer"),
        (("decode", "{tokenizer}", "1", "two"), "'two' is not a token id"),
        (("decode", "{tokenizer}", "-1"), None),
        (("decode", "{tokenizer}", "9" * 30), "is not a token id"),
        (("decode", "{tokenizer}", "9" * 20), "does not exist: this vocabulary has tokens 0 to 256"),
        (("decode", "{tokenizer}", "1_0"), "'1_0' is not a token id"),
        (("decode", "{tokenizer}", "257"), "token 257 does not exist: this vocabulary has tokens 0 to 256"),
        (("train", "{text}"), None),
        ((), None),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    words: tuple[str, ...],
    message: str | None,
    text_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    run("train", text_file, "--out", tmp_path / "tokenizer", "--vocab_size", 257)
    capsys.readouterr()
    words = tuple(word.format(text=text_file, tokenizer=tmp_path / "tokenizer") for word in words)
    try:
        status = run(*words)
    except SystemExit as error:  # argparse's way to say that the usage is wrong
        assert message is None
        status = error.code
    output = capsys.readouterr()
    assert status == 2 and output.out == ""
    if message is not None:
        assert message in output.err and output.err.count("\n") == 1


def test_what_is_not_utf8_is_said(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("train", text_file, "--out", tmp_path / "tokenizer", "--vocab_size", 257)
    type_in(monkeypatch, b"caf\xe9")
    assert run("encode", tmp_path / "tokenizer") == 2
    assert "not UTF-8: byte 4 is 0xe9" in capsys.readouterr().err
    text_file.write_bytes(b"caf\xe9 " * 9)
    assert run("train", text_file, "--out", tmp_path / "other") == 2
    assert "byte 4 is 0xe9" in capsys.readouterr().err
    assert run("train", text_file, "--out", tmp_path / "other", "--encoding", "latin-1", "--vocab_size", 258) == 0


def test_as_a_program_with_several_processes(text_file: Path, tmp_path: Path) -> None:
    """Spawned processes import the main module anew: it must not start again in them."""
    for module, flags in (("text.byte_pair", ("--processes", "2")), ("text", ("--tokenizer_type", "bpe"))):
        command = [sys.executable, "-m", module, "train", text_file, "--vocab_size", "290", "--out", tmp_path / module]
        result = subprocess.run([*command, *flags], cwd=ROOT, capture_output=True, text=True, check=True)
        assert result.stdout == f"{tmp_path / module}\n"
    one, two = (load_tokenizer(tmp_path / module).content_hash() for module in ("text.byte_pair", "text"))
    assert one == two
