"""A call in a thread: its result, its error, and a way out while it takes long."""

import threading
import time
from pathlib import Path

import pytest

from text.background import call_in_background
from text.corpus import make_corpus
from text.learn import learn_tokenizer


class StopError(Exception):
    """What a `beat` raises here."""


def test_results_and_errors_come_back() -> None:
    assert call_in_background(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        call_in_background(lambda: 1 // 0)


def test_somebody_is_awake_meanwhile() -> None:
    beats: list[int] = []
    call_in_background(lambda: time.sleep(1), lambda: beats.append(threading.get_ident()))
    assert len(beats) >= 3
    assert set(beats) == {threading.get_ident()}


def test_it_is_given_up() -> None:
    wait = threading.Event()
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
        call_in_background(lambda: wait.wait(30), seconds=0.1)
    assert time.monotonic() - start < 5
    wait.set()


@pytest.mark.parametrize("kind", ["bpe", "sentencepiece"])
def test_learning_can_be_stopped(kind: str, tmp_path: Path) -> None:
    corpus = make_corpus("".join(f"{number:x} " for number in range(1_000_000)), "numbers")
    started: list[float] = []

    def stop() -> None:
        started.append(time.monotonic())
        if len(started) > 1:
            raise StopError

    with pytest.raises(StopError):
        learn_tokenizer(kind, corpus, 4_000, 0.1, beat=stop)
    assert time.monotonic() - started[0] < 2
