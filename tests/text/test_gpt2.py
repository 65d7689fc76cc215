"""GPT-2's vocabulary: found where a person put it, or one sentence that says where to put it; never a long wait."""

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from config.errors import TextError
from text import gpt2

FEW_MERGES = "#version: 0.2\nĠ t\nĠ a\nh e\nĠt he\n"


@pytest.fixture(autouse=True)
def few_merges(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A small file takes the place of the real one, and the network is not there."""

    def offline(url: str, expected_hash: str) -> bytes:
        raise requests.exceptions.ConnectionError("no route to host")

    gpt2.read_merges.cache_clear()
    monkeypatch.setattr(gpt2, "SHA256", hashlib.sha256(FEW_MERGES.encode()).hexdigest())
    monkeypatch.setattr(gpt2, "read_file_cached", offline)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    yield
    gpt2.read_merges.cache_clear()


def test_a_file_put_there_by_hand_is_used(tmp_path: Path) -> None:
    (tmp_path / "vocab.bpe").write_text(FEW_MERGES, encoding="utf-8")
    tokenizer = gpt2.Gpt2Tokenizer.train()
    assert tokenizer.vocab_size == 256 + 4 + 1
    assert tokenizer.encode(" the") == [259]
    assert tokenizer.decode([260]) == "<|endoftext|>"


def test_tiktokens_own_copy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpt2, "read_file_cached", lambda url, expected_hash: FEW_MERGES.encode())
    assert gpt2.Gpt2Tokenizer.train("whatever", 300).vocab_size == 261


def test_every_byte_has_one_token() -> None:
    assert sorted(gpt2.Gpt2Tokenizer.byte_order) == list(range(256))


def test_offline_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TextError) as caught:
        gpt2.Gpt2Tokenizer.train()
    message = str(caught.value)
    for needed in ("vocab.bpe", gpt2.URL, str(tmp_path), "TIKTOKEN_CACHE_DIR", "character, byte, bpe or sentencepiece"):
        assert needed in message
    assert "\n" not in message


def test_a_network_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    wait = threading.Event()
    monkeypatch.setattr(gpt2, "read_file_cached", lambda url, expected_hash: wait.wait(30))
    monkeypatch.setattr(gpt2, "DOWNLOAD_SECONDS", 0.1)
    start = time.monotonic()
    with pytest.raises(TextError, match=r"no answer within 0\.1 s"):
        gpt2.Gpt2Tokenizer.train()
    assert time.monotonic() - start < 5
    wait.set()


def test_another_file_under_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.bpe").write_text("something else")
    with pytest.raises(TextError, match=r"vocab\.bpe is not GPT-2's vocabulary"):
        gpt2.Gpt2Tokenizer.train()


def test_the_default_folder_is_tiktokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)
    assert gpt2.cache_folder().name == "data-gym-cache"
