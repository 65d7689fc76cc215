"""A text that a thread writes, and how it ends."""

import itertools
import threading
import time

import pytest

from ui import writing
from ui.writing import Writing

LETTERS = {1: "é".encode()[:1], 2: "é".encode()[1:], 3: b"a"}


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def slow(tokens):
    for token in tokens:
        time.sleep(0.005)
        yield token, 0.5


def test_tokens_become_pieces_and_half_characters_wait_for_their_rest():
    text = Writing(lambda: iter([(3, 0.9), (1, 0.5), (2, 0.4)]), LETTERS.__getitem__)
    wait_for(lambda: not text.look().active)
    progress = text.look()
    assert progress.state == "finished" and progress.text == "aé"
    assert [(piece.text, piece.probability) for piece in progress.pieces] == [("a", 0.9), ("", 0.5), ("é", 0.4)]


def test_stop_keeps_what_is_written():
    text = Writing(lambda: slow(itertools.repeat(3)), LETTERS.__getitem__)
    wait_for(lambda: len(text.look().pieces) > 3)
    text.stop()
    wait_for(lambda: not text.look().active)
    assert text.look().state == "stopped" and set(text.look().text) == {"a"}


def test_it_ends_when_nobody_looks(monkeypatch):
    monkeypatch.setattr(writing, "ABANDONED_SECONDS", 0.2)
    ended = threading.Event()

    def steps():
        try:
            yield from slow(itertools.repeat(3))
        finally:
            ended.set()

    text = Writing(steps, LETTERS.__getitem__)
    assert ended.wait(5)
    assert text.look().state == "abandoned" and text.look().text


def test_it_goes_on_while_somebody_looks(monkeypatch):
    monkeypatch.setattr(writing, "ABANDONED_SECONDS", 0.3)
    text = Writing(lambda: slow([3] * 120), LETTERS.__getitem__)
    wait_for(lambda: not text.look().active)
    assert text.look().state == "finished" and len(text.look().pieces) == 120


def test_an_error_is_a_sentence_and_frees_the_turn():
    def broken():
        yield 3, 0.5
        raise RuntimeError("no more memory")

    text = Writing(broken, LETTERS.__getitem__)
    wait_for(lambda: not text.look().active)
    assert (text.look().state, text.look().problem, text.look().text) == ("failed", "no more memory", "a")
    after = Writing(lambda: iter([(3, 0.5)]), LETTERS.__getitem__)
    wait_for(lambda: after.look().state == "finished")


def test_ten_texts_take_turns_and_never_mix():
    working, most = [0], [0]

    def steps(letter):
        working[0] += 1
        most[0] = max(most[0], working[0])
        yield from slow([letter] * 10)
        working[0] -= 1

    texts = [Writing(lambda letter=letter: steps(letter), lambda token: bytes([token])) for letter in range(97, 107)]
    wait_for(lambda: not any(text.look().active for text in texts), seconds=20)
    assert [text.look().text for text in texts] == [chr(letter) * 10 for letter in range(97, 107)]
    assert most[0] == 1


@pytest.mark.parametrize("ends", ["stop", "abandoned"])
def test_a_text_that_waits_for_its_turn_can_end(ends, monkeypatch):
    first = Writing(lambda: slow(itertools.repeat(3)), LETTERS.__getitem__)
    wait_for(lambda: first.look().state == "writing")
    second = Writing(lambda: iter([(3, 0.5)]), LETTERS.__getitem__)
    assert second.look().state == "waiting"
    if ends == "stop":
        second.stop()
    else:
        monkeypatch.setattr(writing, "ABANDONED_SECONDS", 0.5)
        for _ in range(100):  # somebody goes on to watch the first, nobody the second
            assert first.look().active
            time.sleep(0.01)
    wait_for(lambda: second.look().state == ("stopped" if ends == "stop" else "abandoned"))
    first.stop()
    wait_for(lambda: not first.look().active)
