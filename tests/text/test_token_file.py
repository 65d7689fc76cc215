"""Token files: the split, what is on disk, reuse, damage, and two runs that make the same files at once."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from config.errors import TextError
from text.corpus import Corpus, make_corpus, split_index
from text.token_file import TEMPORARY, TokenFiles, open_tokens, prepare_tokens, token_key
from text.tokenizer import Tokenizer
from text.tokenizer_types import train_tokenizer


@pytest.fixture(scope="module")
def corpus(story: str) -> Corpus:
    return make_corpus(story + "naïve 🙂 end\n", "story.txt")


@pytest.fixture(scope="module")
def tokenizer(corpus: Corpus) -> Tokenizer:
    return train_tokenizer("character", corpus, 0)


@pytest.fixture
def files(corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path) -> TokenFiles:
    return prepare_tokens(corpus, tokenizer, tmp_path / ".tokens", 0.1, 64)


def test_the_files_hold_the_two_splits(corpus: Corpus, tokenizer: Tokenizer, files: TokenFiles) -> None:
    border = split_index(corpus.text, 0.1)
    train, val = open_tokens(files.train), open_tokens(files.val)
    assert isinstance(train, np.memmap)
    assert tokenizer.decode(train) == corpus.text[:border]
    assert tokenizer.decode(val) == corpus.text[border:]
    assert files.counts == {"train": len(train), "val": len(val)}
    assert files.val_bytes == len(corpus.text[border:].encode()) == len(val) + 1 + 3
    assert files.dtype == "uint16"
    assert files.train.stat().st_size == 2 * len(train)


@pytest.mark.parametrize("name", ["bpe", "sentencepiece"])
def test_every_tokenizer_can_fill_them(corpus: Corpus, tmp_path: Path, name: str) -> None:
    tokenizer = train_tokenizer(name, corpus, 320)
    files = prepare_tokens(corpus, tokenizer, tmp_path, 0.2, 16)
    text = tokenizer.decode(open_tokens(files.train)) + tokenizer.decode(open_tokens(files.val))
    assert text == corpus.text


def test_files_that_are_there_are_used(
    corpus: Corpus, tokenizer: Tokenizer, files: TokenFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("text.token_file._make_folder", lambda *args: pytest.fail("made again"))
    assert prepare_tokens(corpus, tokenizer, tmp_path / ".tokens", 0.1, 8) == files


def test_the_key_follows_everything_that_decides_the_content(corpus: Corpus, tokenizer: Tokenizer) -> None:
    bpe = train_tokenizer("bpe", corpus, 300)
    shorter = make_corpus(corpus.text, "story.txt", "0.5")
    keys = [token_key(corpus, tokenizer, 0.1), token_key(corpus, tokenizer, 0.2), token_key(corpus, bpe, 0.1)]
    keys.append(token_key(shorter, tokenizer, 0.1))
    keys.append(token_key(corpus, train_tokenizer("bpe", corpus, 301), 0.1))
    assert len(set(keys)) == 5
    assert token_key(make_corpus(corpus.text, "other name"), tokenizer, 0.1) == keys[0]


@pytest.mark.parametrize("damage", ["short file", "no file", "no manifest", "torn manifest", "other key", "bad dtype"])
def test_damaged_files_are_made_again(
    corpus: Corpus, tokenizer: Tokenizer, files: TokenFiles, tmp_path: Path, damage: str
) -> None:
    whole = files.train.read_bytes()
    manifest = files.train.parent / "manifest.json"
    record = json.loads(manifest.read_text())
    if damage == "short file":
        os.truncate(files.train, 100)
    elif damage == "no file":
        files.train.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "torn manifest":
        manifest.write_bytes(manifest.read_bytes()[:-20])
    else:
        manifest.write_text(json.dumps({**record, **({"key": "x"} if damage == "other key" else {"dtype": "int8"})}))
    with pytest.raises(TextError, match="missing or damaged"):
        open_tokens(files.train)
    again = prepare_tokens(corpus, tokenizer, tmp_path / ".tokens", 0.1, 64)
    assert again == files
    assert files.train.read_bytes() == whole
    assert [path.name for path in (tmp_path / ".tokens").iterdir()] == [files.key]


def test_only_token_files_are_opened(files: TokenFiles) -> None:
    with pytest.raises(TextError, match=r"manifest\.json is missing or damaged"):
        open_tokens(files.train.parent / "manifest.json")


@pytest.mark.parametrize(("n_ctx", "split"), [(1_999, "validation"), (100_000, "training")])
def test_a_text_shorter_than_the_context_is_refused(
    corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path, n_ctx: int, split: str
) -> None:
    with pytest.raises(TextError, match=rf"the {split} split of story\.txt has [\d,]+ tokens, .* needs {n_ctx + 1:,}"):
        prepare_tokens(corpus, tokenizer, tmp_path, 0.1, n_ctx)


def test_the_shortest_text_that_is_long_enough(tmp_path: Path) -> None:
    corpus = make_corpus("ab" * 20, "a")
    tokenizer = train_tokenizer("character", corpus, 0)
    assert prepare_tokens(corpus, tokenizer, tmp_path, 0.1, 3).counts == {"train": 36, "val": 4}
    with pytest.raises(TextError, match="has 4 tokens"):
        prepare_tokens(corpus, tokenizer, tmp_path, 0.1, 4)


def test_progress_is_told(
    corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("text.blocks.PIECE_CHARACTERS", 1_000)
    told: list[tuple[int, int]] = []
    prepare_tokens(corpus, tokenizer, tmp_path, 0.1, 8, lambda done, total: told.append((done, total)))
    assert len(told) > 10
    assert told == sorted(told)
    assert told[-1] == (len(corpus.text), len(corpus.text))


def test_a_failure_leaves_nothing_behind(corpus: Corpus, tmp_path: Path) -> None:
    stranger = train_tokenizer("character", "abc", 0)
    with pytest.raises(TextError, match="never seen"):
        prepare_tokens(corpus, stranger, tmp_path, 0.1, 8)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_at_once_make_one_folder(corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path) -> None:
    results: list[TokenFiles] = []
    meet = threading.Barrier(3)

    def work() -> None:
        meet.wait()
        # Both are in the middle of writing when either ends.
        results.append(prepare_tokens(corpus, tokenizer, tmp_path, 0.1, 8, lambda done, total: meet.wait(10)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert len(set(map(repr, results))) == 1
    assert [path.name for path in tmp_path.iterdir()] == [results[0].key]
    assert tokenizer.decode(open_tokens(results[0].val)) == corpus.text[split_index(corpus.text, 0.1) :]


def test_what_a_killed_run_left_is_removed_after_a_day(corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path) -> None:
    old, young = tmp_path / f"{TEMPORARY}old", tmp_path / f"{TEMPORARY}young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "train.bin").write_bytes(b"half")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    prepare_tokens(corpus, tokenizer, tmp_path, 0.1, 8)
    assert not old.exists()
    assert young.exists()


def test_a_folder_that_stays_damaged_is_named(
    corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("text.token_file.read_manifest", lambda folder: None)
    with pytest.raises(TextError, match="cannot be written; remove the folder"):
        prepare_tokens(corpus, tokenizer, tmp_path, 0.1, 8)


def test_a_full_disk_leaves_nothing_behind(
    corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TextError, match="the disk is full; make room and start again"):
        prepare_tokens(corpus, tokenizer, tmp_path, 0.1, 8)
    with pytest.raises(TextError, match="the disk is full; make room and start again"):
        tokenizer.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_raises(corpus: Corpus, tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(TextError, match="file cannot be written: File exists; choose another folder"):
        prepare_tokens(corpus, tokenizer, tmp_path / "file", 0.1, 8)


def test_several_processes_write_the_same(
    corpus: Corpus, tokenizer: Tokenizer, files: TokenFiles, tmp_path: Path
) -> None:
    together = prepare_tokens(corpus, tokenizer, tmp_path / "together", processes=2)
    assert together.train.read_bytes() == files.train.read_bytes()
    assert sorted(path.name for path in together.train.parent.iterdir()) == ["manifest.json", "train.bin", "val.bin"]
