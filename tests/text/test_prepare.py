"""text.prepare: what it writes, that it goes on where it stopped, and what it refuses."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from config.errors import CheckpointError, TextError
from text import prepare as prepare_module
from text import token_writer
from text.blocks import Block
from text.corpus import Corpus, make_corpus, read_text
from text.prepare import main, prepare
from text.prepared import PreparedFolder, find_prepared
from text.processes import PIECES_PER_PROCESS
from text.progress_bar import byte_bar
from text.token_file import open_tokens, prepare_tokens
from text.token_writer import encode_in_processes, write_tokens
from text.tokenizer import END_OF_TEXT, Tokenizer
from text.tokenizer_types import load_tokenizer, train_tokenizer

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("text.blocks.BLOCK_CHARACTERS", 900)
    monkeypatch.setattr("text.blocks.PIECE_CHARACTERS", 1_000)


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work writes down after every piece how far it is."""
    monkeypatch.setattr(prepare_module, "NOTE_SECONDS", 0.0)


@pytest.fixture(scope="module")
def corpus(story: str) -> Corpus:
    return make_corpus(story + "naïve 🙂\n", "story.txt")


@pytest.fixture(scope="module")
def bpe(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bpe")
    train_tokenizer("bpe", corpus.text, 320, special_tokens=[END_OF_TEXT]).save(folder)
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stop_after(characters: int):
    """A report function that stops the work once."""

    def report(done: int, total: int) -> None:
        if done >= characters:
            raise KeyboardInterrupt

    return report


def test_it_writes_what_a_run_would(corpus: Corpus, bpe: Path, tmp_path: Path) -> None:
    prepared = prepare(corpus, str(bpe), tmp_path / "a" / "out", val_fraction=0.2)
    tokenizer = load_tokenizer(bpe)
    files = prepare_tokens(corpus, tokenizer, tmp_path / "tokens", 0.2)
    assert prepared.files.train.read_bytes() == files.train.read_bytes()
    assert prepared.files.val.read_bytes() == files.val.read_bytes()
    assert (prepared.files.key, prepared.files.val_bytes) == (files.key, files.val_bytes)
    assert prepared.load_tokenizer().content_hash() == tokenizer.content_hash()
    assert sorted(path.name for path in prepared.path.iterdir()) == [
        "manifest.json",
        "tokenizer",
        "train.bin",
        "val.bin",
    ]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]
    text = tokenizer.decode(open_tokens(prepared.files.train)) + tokenizer.decode(open_tokens(prepared.files.val))
    assert text == corpus.text


def test_the_manifest_says_what_is_there(corpus: Corpus, tmp_path: Path) -> None:
    prepared = prepare(corpus, "character", tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["corpus"] == corpus.record()
    assert manifest["tokenizer"]["type"] == "character"
    assert manifest["tokenizer"]["vocab_size"] == len(corpus.alphabet)
    assert manifest["counts"]["train"] + manifest["counts"]["val"] == corpus.characters
    assert manifest["dtype"] == prepared.files.dtype == "uint16"
    assert manifest["sha256"]["val"] == hashlib.sha256(prepared.files.val.read_bytes()).hexdigest()


def test_a_large_vocabulary_takes_four_bytes(all_of_unicode: list[str], tmp_path: Path) -> None:
    corpus = make_corpus("".join(all_of_unicode), "unicode")
    prepared = prepare(corpus, "character", tmp_path / "out")
    ids = open_tokens(prepared.files.train)
    assert (prepared.files.dtype, ids.dtype, prepared.manifest["tokenizer"]["vocab_size"] >= 2**16) == (
        "uint32",
        np.uint32,
        True,
    )
    assert prepared.load_tokenizer().decode(ids) == corpus.text[: len(ids)]


# --- documents ----------------------------------------------------------------------------------------------------


@pytest.fixture
def documents(tmp_path: Path, story: str) -> Corpus:
    lines = [line + "\n" for line in story.splitlines()[:200]]
    lines[7] = f"not an {END_OF_TEXT} but text\n"
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": line}) for line in lines))
    return read_text(tmp_path / "a.jsonl")


def test_documents_are_parted_by_the_end_of_text(documents: Corpus, bpe: Path, tmp_path: Path) -> None:
    prepared = prepare(documents, str(bpe), tmp_path / "out")
    tokenizer, end = load_tokenizer(bpe), load_tokenizer(bpe).end_of_text
    train, val = open_tokens(prepared.files.train), open_tokens(prepared.files.val)
    whole = np.concatenate([train, val])
    assert (whole == end).sum() == documents.documents - 1 == 199
    parts = np.split(whole, np.flatnonzero(whole == end) + 1)
    expected = documents.text.splitlines(keepends=True)
    assert [tokenizer.decode(part[part != end]) for part in parts] == expected
    for part, text in zip(parts, expected, strict=True):  # no token depends on another document
        assert part[part != end].tolist() == tokenizer.encode(text)
    assert train[-1] == end
    assert val[0] != end
    assert prepared.files.val_bytes == len(tokenizer.decode(val[val != end]).encode())


def test_a_foreign_tokenizer_without_such_a_token_is_said_to_have_none(documents: Corpus, tmp_path: Path) -> None:
    train_tokenizer("character", documents, 0).save(tmp_path / "foreign")
    said: list[str] = []
    prepared = prepare(documents, str(tmp_path / "foreign"), tmp_path / "out", say=said.append)
    ids = [*open_tokens(prepared.files.train), *open_tokens(prepared.files.val)]
    assert prepared.load_tokenizer().decode(ids) == documents.text
    assert len(said) == 1 and f"has no {END_OF_TEXT}: documents are parted by a line break alone" in said[0]


@pytest.mark.parametrize("kind", ["character", "byte", "bpe", "sentencepiece"])
def test_every_tokenizer_for_several_documents_gets_the_token(
    kind: str, documents: Corpus, corpus: Corpus, tmp_path: Path
) -> None:
    for_one = prepare(corpus, kind, tmp_path / "one", vocab_size=330).load_tokenizer()
    assert for_one.end_of_text is None and "special_tokens" not in (for_one.settings() if kind != "bpe" else {})
    prepared = prepare(documents, kind, tmp_path / "several", vocab_size=330)
    tokenizer = prepared.load_tokenizer()
    end = tokenizer.end_of_text
    assert end == tokenizer.vocab_size - 1 and (kind not in ("bpe", "sentencepiece") or end == 329)
    whole = np.concatenate([open_tokens(prepared.files.train), open_tokens(prepared.files.val)])
    assert (whole == end).sum() == documents.documents - 1
    assert tokenizer.decode(whole[whole != end]) == documents.text


def test_equal_texts_with_other_borders_have_other_keys(tmp_path: Path, bpe: Path) -> None:
    keys = set()
    for name, lines in {"a": ["x\n" * 20, "y\n" * 20], "b": ["x\n" * 19, "x\n" + "y\n" * 20]}.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": line}) for line in lines))
        corpus = read_text(tmp_path / f"{name}.jsonl")
        keys.add(prepare_tokens(corpus, load_tokenizer(bpe), tmp_path / "tokens").key)
    assert len(keys) == 2


# --- several processes --------------------------------------------------------------------------------------------


def test_several_processes_write_the_same(documents: Corpus, bpe: Path, tmp_path: Path) -> None:
    one = prepare(documents, str(bpe), tmp_path / "one")
    two = prepare(documents, str(bpe), tmp_path / "two", processes=2)
    assert content_of(one.path) == content_of(two.path)
    assert not psutil.Process().children(recursive=True) or all(
        "spawn_main" not in " ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)
    )


def test_few_pieces_are_read_ahead(bpe: Path) -> None:
    read = 0

    def pieces() -> Iterator[tuple[str, Block]]:
        nonlocal read
        while True:
            read += 1
            yield "train", Block(f"piece {read} of the story")

    encoded = encode_in_processes(pieces(), bpe, 2)
    for number in range(1, 20):
        _, piece, ids = next(encoded)
        assert piece.text == f"piece {number} of the story"
        assert load_tokenizer(bpe).decode(ids) == piece.text
        assert read - number < PIECES_PER_PROCESS * 2
    encoded.close()


def test_an_error_in_a_process_is_told(corpus: Corpus, tmp_path: Path) -> None:
    train_tokenizer("character", "abc", 0).save(tmp_path / "abc")
    with pytest.raises(TextError, match="never seen"):
        prepare(corpus, str(tmp_path / "abc"), tmp_path / "out", processes=2)


def test_a_killed_process_is_told(corpus: Corpus, bpe: Path, tmp_path: Path) -> None:
    def kill(done: int, total: int) -> None:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):  # killed at the call before, and not yet reaped
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()

    with pytest.raises(TextError, match="was killed, perhaps for want of memory: start again, with fewer --processes"):
        prepare(corpus, str(bpe), tmp_path / "out", processes=2, report=kill)


# --- stopping and going on ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("noted")
def test_it_goes_on_where_it_stopped(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prepare(corpus, "bpe", tmp_path / "whole", vocab_size=300)
    for characters in (3_000, 9_000, corpus.bytes - 500):  # the last one is in the validation split
        with pytest.raises(KeyboardInterrupt):
            prepare(corpus, "bpe", tmp_path / "out", vocab_size=300, report=stop_after(characters))
        assert not (tmp_path / "out").exists()
    encoded: list[int] = []

    def count(tokenizer: Tokenizer, piece: Block) -> np.ndarray:
        encoded.append(len(piece.text))
        return tokenizer.encode_array(piece.text)

    monkeypatch.setattr(token_writer, "encode_piece", count)
    monkeypatch.setattr(prepare_module, "learn_tokenizer", lambda *args: pytest.fail("learned again"))
    said: list[str] = []
    again = prepare(corpus, "bpe", tmp_path / "out", vocab_size=300, say=said.append)
    assert any("going on" in sentence for sentence in said)
    assert 0 < sum(encoded) < 2_500
    assert content_of(again.path) == content_of(whole.path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


@pytest.mark.usefixtures("noted")
def test_what_was_written_after_the_note_is_written_again(corpus: Corpus, tmp_path: Path) -> None:
    whole = prepare(corpus, "character", tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        prepare(corpus, "character", tmp_path / "out", report=stop_after(5_000))
    with (tmp_path / "out.partial" / "train.bin").open("ab") as file:
        file.write(b"torn")
    assert content_of(prepare(corpus, "character", tmp_path / "out").path) == content_of(whole.path)


@pytest.mark.parametrize("damage", ["note", "short file", "no tokenizer", "other text", "other size"])
@pytest.mark.usefixtures("noted")
def test_work_of_no_use_is_done_again(corpus: Corpus, tmp_path: Path, damage: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(corpus, "bpe", tmp_path / "out", vocab_size=300, report=stop_after(5_000))
    work = tmp_path / "out.partial"
    size = 301 if damage == "other size" else 300
    if damage == "note":
        (work / "progress.json").write_text('{"pieces": 3')
    elif damage == "short file":
        os.truncate(work / "train.bin", 100)
    elif damage == "no tokenizer":
        (work / "tokenizer" / "tokenizer.json").unlink()
    elif damage == "other text":
        corpus = make_corpus(corpus.text.replace("king", "ring"), "other")
    expected = content_of(prepare(corpus, "bpe", tmp_path / "whole", vocab_size=size).path)
    assert content_of(prepare(corpus, "bpe", tmp_path / "out", vocab_size=size).path) == expected


def test_a_kill_in_the_middle_loses_nothing(tmp_path: Path, story: str, bpe: Path) -> None:
    (tmp_path / "a.txt").write_text(story * 2)
    slow = (
        "import sys, time, text.blocks, text.prepare as p\n"
        "text.blocks.BLOCK_CHARACTERS = text.blocks.PIECE_CHARACTERS = 1_000; p.NOTE_SECONDS = 0.0\n"
        "write = p.write_tokens\n"
        "def slowly(folder, corpus, border, dtype, encode, progress, seconds):\n"
        "    return write(folder, corpus, border, dtype, encode, lambda *a: time.sleep(float(sys.argv[1])), seconds)\n"
        "p.write_tokens = slowly\n"
        "if __name__ == '__main__': sys.exit(p.main(sys.argv[2:]))\n"
    )
    (tmp_path / "slow.py").write_text(slow)
    flags = [str(tmp_path / "a.txt"), "--tokenizer", str(bpe), "--processes", "2", "--out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, tmp_path / "slow.py", "0.05", *flags, str(tmp_path / "out")],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    note = tmp_path / "out.partial" / "progress.json"
    deadline = time.monotonic() + 20
    while not (note.is_file() and json.loads(note.read_text())["pieces"] >= 5):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    children = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert children and not alive  # they saw that their parent had gone
    pieces = json.loads(note.read_text())["pieces"]
    assert main([*flags[:2], str(bpe), "--processes", "1", "--out", str(tmp_path / "whole")]) == 0
    again = subprocess.run(
        [sys.executable, tmp_path / "slow.py", "0", *flags, str(tmp_path / "out")],
        env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert pieces >= 5
    assert f"going on with the work in {tmp_path / 'out'}.partial" in again.stderr
    assert content_of(tmp_path / "out") == content_of(tmp_path / "whole")


def test_a_text_that_changes_meanwhile_is_refused(tmp_path: Path, story: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("text.survey.KEPT_CHARACTERS", 1_000)
    (tmp_path / "a.txt").write_text(story)
    corpus = read_text(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text(story.replace("king", "ring"))
    with pytest.raises(TextError, match=r"a\.txt changed while its tokens were made"):
        prepare(corpus, "character", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- the folder ---------------------------------------------------------------------------------------------------


def test_finished_work_is_not_done_again(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()  # an empty folder is as good as none
    first = prepare(corpus, "character", tmp_path / "out")
    monkeypatch.setattr(prepare_module, "write_tokens", lambda *args: pytest.fail("made again"))
    assert prepare(corpus, "character", tmp_path / "out") == first
    for changed in ({"tokenizer": "bpe"}, {"val_fraction": 0.2}, {"corpus": make_corpus("other " * 9, "other")}):
        arguments = {"corpus": corpus, "tokenizer": "character", **changed}
        with pytest.raises(TextError, match=r"out holds other tokens \(story\.txt, character, val_fraction 0\.1\)"):
            prepare(**arguments, out=tmp_path / "out")


def test_a_place_that_is_taken_is_left_alone(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TextError, match="file is a file: --out names a folder"):
        prepare(corpus, "character", tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("mine")
    with pytest.raises(TextError, match="is not empty: choose another --out"):
        prepare(corpus, "character", tmp_path / "folder")
    assert (tmp_path / "folder" / "file").read_text() == "mine"


def test_two_at_once_do_not_meet(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    holder = os.open(tmp_path / "out.partial", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(TextError, match="another process works in"):
        prepare(corpus, "character", tmp_path / "out")
    os.close(holder)
    assert prepare(corpus, "character", tmp_path / "out").path.is_dir()


def test_damage_is_told(corpus: Corpus, tmp_path: Path) -> None:
    prepared = prepare(corpus, "character", tmp_path / "out")
    assert find_prepared(tmp_path) is None
    assert find_prepared(tmp_path / "nothing") is None
    train_tokenizer("character", "abc", 0).save(tmp_path / "out" / "tokenizer")
    with pytest.raises(TextError, match="is not the tokenizer of these tokens"):
        prepared.load_tokenizer()
    os.truncate(prepared.files.val, 10)
    with pytest.raises(TextError, match="are damaged or of another version: remove it and prepare"):
        find_prepared(tmp_path / "out")


def test_a_tokenizer_is_a_type_or_a_folder(corpus: Corpus, bpe: Path, tmp_path: Path) -> None:
    prepared: PreparedFolder = prepare(corpus, str(bpe), tmp_path / "a")
    inside = prepare(corpus, str(prepared.path), tmp_path / "b")  # a folder that has a tokenizer in it, as a run has
    assert inside.files.key == prepared.files.key
    with pytest.raises(TextError, match=r"neither one of character, .* nor a folder with a tokenizer"):
        prepare(corpus, "klingon", tmp_path / "c")
    (bpe.parent / "damaged").mkdir(exist_ok=True)
    (bpe.parent / "damaged" / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="is damaged"):
        prepare(corpus, str(bpe.parent / "damaged"), tmp_path / "c")


def test_a_text_too_short_for_two_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="the validation split of short has 1 token, but needs 2"):
        prepare(make_corpus("0123456789", "short"), "character", tmp_path / "out")


# --- the command line -----------------------------------------------------------------------------------------------


def test_the_command_line(tmp_path: Path, story: str, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text(story.replace(".\n", ".\n<|end|>\n", 3))
    flags = [str(tmp_path / "a.txt"), "--separator", "<|end|>", "--tokenizer", "bpe", "--vocab-size", "300"]
    assert main([*flags, "--processes", "1", "--out", str(tmp_path / "out")]) == 0
    out, err = capfd.readouterr()
    assert out == f"{tmp_path / 'out'}\n"
    assert "(documents: 4); bpe vocabulary of 300" in err
    assert f"python train.py --text_file {tmp_path / 'out'}" in err
    assert f"{len(story) / 1000:.1f} kB" in err
    assert main([*flags, "--processes", "1", "--out", str(tmp_path / "out")]) == 0
    assert "holds these tokens already" in capfd.readouterr().err


def test_the_command_line_chooses_how_a_tokenizer_learns(tmp_path: Path, story: str) -> None:
    (tmp_path / "a.txt").write_text(story)
    for flags, decided in (
        (["--tokenizer", "bpe", "--bpe_pattern", "gpt4"], {"bpe_pattern": "gpt4"}),
        (["--tokenizer", "sentencepiece", "--sentencepiece_model", "unigram"], {"sentencepiece_model": "unigram"}),
        (["--tokenizer", "sentencepiece"], {"sentencepiece_model": "bpe"}),
    ):
        out = tmp_path / "-".join(flags)
        assert main([str(tmp_path / "a.txt"), *flags, "--vocab_size", "350", "--out", str(out)]) == 0
        prepared = find_prepared(out)
        assert prepared is not None
        assert prepared.decided().items() >= {"vocab_size": 350, **decided}.items()
        assert "model_type" not in prepared.decided()
        again = prepare(read_text(tmp_path / "a.txt"), str(out), tmp_path / f"{out.name}-again")
        assert again.decided() == prepared.decided()


def test_the_bar_shows_amount_and_speed(capfd: pytest.CaptureFixture[str]) -> None:
    with byte_bar("Working") as report:
        for done in (1_000, 1_000_000, 2_000_000):
            report(done, 2_000_000)
            time.sleep(0.1)
    line = capfd.readouterr().err
    assert "Working" in line
    assert "100% 2.0/2.0 MB" in line
    assert re.search(r"[\d.]+ [kM]B/s", line)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["nothing.txt"], "there is no file nothing.txt"),
        (["a.txt", "--tokenizer", "klingon"], "neither one of"),
        (["a.txt", "--val_fraction", "0.9"], "val_fraction"),
        (["a.txt", "--processes", "0"], "--processes 0 must be"),
        (["a.txt", "--tokenizer", "byte", "--vocab_size", "300"], "--vocab_size has no effect with --tokenizer byte"),
        (["a.txt", "--sentencepiece_model", "unigram"], "--sentencepiece_model has no effect with --tokenizer bpe"),
        (
            ["a.txt", "--tokenizer", "bpe", "--vocab_size", "5"],
            "vocab_size 5 is too small for bpe: the 256 bytes",
        ),
        (["a.txt", "--tokenizer", "sentencepiece", "--vocab_size", "5"], "256 byte tokens and <unk> make 257"),
        (["a.jsonl"], "line 1 of a.jsonl has no field 'text'"),
    ],
)
def test_wrong_input_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("some text\n" * 50)
    Path("a.jsonl").write_text('{"body": "x"}')
    assert main([*flags, "--out", "out"]) == 2
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert sentence.startswith("text.prepare: ")
    assert message in sentence
    assert not Path("out").exists()


def test_a_full_disk_is_one_sentence_and_the_work_goes_on(tmp_path: Path, story: str) -> None:
    (tmp_path / "a.txt").write_text(story[:100_000])
    command = [sys.executable, "-m", "text.prepare", str(tmp_path / "a.txt"), "--tokenizer", "byte"]

    def prepare_with(most_bytes: int) -> subprocess.CompletedProcess[str]:
        def limit() -> None:  # of a file: a real write that the system refuses in the middle
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))

        arguments = [*command, "--out", str(tmp_path / "out")]
        return subprocess.run(arguments, capture_output=True, text=True, preexec_fn=limit, timeout=60)

    full = prepare_with(20_000)
    last = full.stderr.splitlines()[-1]
    assert full.returncode == 2 and "Traceback" not in full.stderr, full.stderr
    assert last.startswith("text.prepare: ") and "cannot be written" in last and "Errno" not in last
    again = prepare_with(10_000_000)
    assert again.returncode == 0 and "going on with the work" in again.stderr


def test_a_run_s_tokens_on_a_full_disk_are_a_sentence(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("text.token_file.write_tokens", full)
    with pytest.raises(TextError, match="cannot be written: the disk is full; make room"):
        prepare_tokens(corpus, train_tokenizer("byte", "", 0), tmp_path / ".tokens")
    assert list((tmp_path / ".tokens").iterdir()) == []


def test_ctrl_c_says_how_to_go_on(
    tmp_path: Path, story: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a.txt").write_text(story)
    monkeypatch.setattr(prepare_module, "write_tokens", interrupt)
    flags = [str(tmp_path / "a.txt"), "--tokenizer", "character", "--processes", "1", "--out", str(tmp_path / "out")]
    assert main(flags) == 1
    assert "stopped; the same command goes on from here" in capsys.readouterr().err
    monkeypatch.setattr(prepare_module, "write_tokens", write_tokens)
    assert main(flags) == 0


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(bpe: Path, tmp_path: Path) -> None:
    """About 3 minutes and 0.8 GB of disk."""
    from benchmarks.prepare_memory import make_text, measure

    peaks = []
    for megabytes in (50, 500):
        make_text(tmp_path / "text.txt", megabytes)
        command = [sys.executable, "-m", "text.prepare", str(tmp_path / "text.txt"), "--tokenizer", str(bpe)]
        peak, _, _ = measure([*command, "--processes", "2", "--out", str(tmp_path / str(megabytes))])
        peaks.append(peak)
    assert peaks[1] < 500
    assert peaks[1] < 1.3 * peaks[0]
