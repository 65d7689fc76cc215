"""Several processes for the pieces of a text: order, and what happens when somebody is killed."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from config.errors import TextError
from text.corpus import make_corpus
from text.learn import learn_tokenizer
from text.processes import call_in_process, map_in_processes, useful_processes


def times(number: int, factor: int) -> int:
    time.sleep(0.02 * (number % 3))
    return number * factor


def kill_this_process(piece: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_order_with_their_pieces() -> None:
    assert list(map_in_processes(partial(times, factor=3), range(10), 3)) == [(n, 3 * n) for n in range(10)]


def test_a_killed_process_is_told() -> None:
    with pytest.raises(TextError, match="was killed, perhaps for want of memory"):
        list(map_in_processes(kill_this_process, range(10), 1))


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import time\n"
        "from text.word_counts import count_words\n"
        "def texts():\n"
        "    while True:\n"
        "        yield 'a b\\n' * 500_000\n"
        "        time.sleep(0.05)\n"
        "if __name__ == '__main__':\n"
        "    count_words(texts(), processes=2)\n"
    )
    parent = subprocess.Popen([sys.executable, program], env={**os.environ, "PYTHONPATH": "."})
    try:
        deadline = time.monotonic() + 30
        children: list[psutil.Process] = []
        while time.monotonic() < deadline and len(children) < 2:
            children = [one for one in psutil.Process(parent.pid).children() if "spawn_main" in " ".join(one.cmdline())]
            time.sleep(0.05)
        time.sleep(1)  # until they have begun to work
    finally:
        parent.kill()
        parent.wait()
    assert len(children) == 2
    gone, alive = psutil.wait_procs(children, timeout=10)
    for one in alive:
        one.kill()
    assert len(gone) == 2


def test_short_texts_are_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert useful_processes(1_000_000) == 1
    assert useful_processes(10**9) == 6
    monkeypatch.setattr("os.cpu_count", lambda: 128)
    assert useful_processes(10**9) == 8


class StopError(Exception):
    """What a `beat` raises here."""


def refuse() -> None:
    raise TextError("not this text")


def test_a_call_in_a_process_returns_or_raises() -> None:
    beats: list[int] = []
    assert call_in_process(partial(times, 50, 2), lambda: beats.append(1)) == 100
    assert beats
    with pytest.raises(TextError, match="not this text"):
        call_in_process(refuse, lambda: None)
    with pytest.raises(TextError, match="was killed, perhaps for want of memory"):
        call_in_process(partial(kill_this_process, 0), lambda: None)


@pytest.mark.parametrize("kind", ["bpe", "sentencepiece"])
def test_learning_can_be_stopped(kind: str) -> None:
    corpus = make_corpus("".join(f"{number:x} " for number in range(1_000_000)), "numbers")
    beats: list[float] = []

    def stop() -> None:
        beats.append(time.monotonic())
        if len(beats) > 3:
            raise StopError

    with pytest.raises(StopError):
        learn_tokenizer(kind, corpus, 4_000, 0.1, beat=stop)
    assert time.monotonic() - beats[-1] < 1
    assert not [one for one in psutil.Process().children() if "spawn_main" in " ".join(one.cmdline())]
