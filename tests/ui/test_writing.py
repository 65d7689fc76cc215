"""A text that a thread writes, and how it ends."""

import gc
import itertools
import threading
import time
import weakref
from typing import NamedTuple

import pytest

from generation.prompt import TextStream
from ui import writing
from ui.writing import Choice, Words, Writing, joined


class Step(NamedTuple):
    token: int
    probability: float = 0.5
    alternatives: tuple = ()


LETTERS = {1: "é".encode()[:1], 2: "é".encode()[1:], 3: b"a"}


def words(**options) -> Words:
    return Words(bytes_of=LETTERS.__getitem__, name_of=str, **options)


def told(text: Writing, row: int = 0) -> str:
    return joined(text.look().texts[row])


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def ready(*steps):
    for step in steps:
        yield [step]


def slow(tokens):
    for token in tokens:
        time.sleep(0.005)
        yield [Step(token)]


def test_tokens_become_pieces_and_half_characters_wait_for_their_rest():
    steps = [Step(3, 0.9), Step(1, 0.5, ((3, 0.4),)), Step(2, 0.4)]
    text = Writing(lambda: ready(*steps), words())
    wait_for(lambda: not text.look().active)
    progress = text.look()
    assert progress.state == "finished" and told(text) == "aé"
    assert [(piece.text, piece.probability) for piece in progress.texts[0]] == [("a", 0.9), ("", 0.5), ("é", 0.4)]
    assert progress.texts[0][1].alternatives == (Choice("3", 3, 0.4),)


def test_stop_keeps_what_is_written():
    text = Writing(lambda: slow(itertools.repeat(3)), words())
    wait_for(lambda: text.look().count > 3)
    text.stop()
    wait_for(lambda: not text.look().active)
    assert text.look().state == "stopped" and set(told(text)) == {"a"}


def test_it_ends_when_nobody_looks(monkeypatch):
    monkeypatch.setattr(writing, "ABANDONED_SECONDS", 0.2)
    ended = threading.Event()

    def steps():
        try:
            yield from slow(itertools.repeat(3))
        finally:
            ended.set()

    text = Writing(steps, words())
    assert ended.wait(5)
    assert text.look().state == "abandoned" and told(text)


def test_it_goes_on_while_somebody_looks(monkeypatch):
    monkeypatch.setattr(writing, "ABANDONED_SECONDS", 0.3)
    text = Writing(lambda: slow([3] * 120), words())
    wait_for(lambda: not text.look().active)
    assert text.look().state == "finished" and text.look().count == 120


def test_an_error_is_a_sentence_and_frees_the_turn():
    def broken():
        yield [Step(3)]
        raise RuntimeError("no more memory")

    text = Writing(broken, words())
    wait_for(lambda: not text.look().active)
    assert (text.look().state, text.look().problem, told(text)) == ("failed", "no more memory", "a")
    after = Writing(lambda: ready(Step(3)), words())
    wait_for(lambda: after.look().state == "finished")


def test_ten_texts_take_turns_and_never_mix():
    working, most = [0], [0]

    def steps(letter):
        working[0] += 1
        most[0] = max(most[0], working[0])
        yield from slow([letter] * 10)
        working[0] -= 1

    letters = Words(lambda token: bytes([token]), str)
    texts = [Writing(lambda letter=letter: steps(letter), letters) for letter in range(97, 107)]
    wait_for(lambda: not any(text.look().active for text in texts), seconds=20)
    assert [told(text) for text in texts] == [chr(letter) * 10 for letter in range(97, 107)]
    assert most[0] == 1


@pytest.mark.parametrize("ends", ["stop", "abandoned"])
def test_a_text_that_waits_for_its_turn_can_end(ends, monkeypatch):
    first = Writing(lambda: slow(itertools.repeat(3)), words())
    wait_for(lambda: first.look().state == "writing")
    second = Writing(lambda: ready(Step(3)), words())
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


class Tokens:
    """As much of a tokenizer as a stream of text needs."""

    @staticmethod
    def decode_bytes(ids):
        return b"".join(bytes([token]) for token in ids)


def written(tokens: str, *, stop: str, least: int = 0, begun: bytes = b"") -> Writing:
    """A text of one-byte tokens to its end, with a stop string."""
    rules = Words(lambda token: bytes([token]), str, watch=lambda: TextStream(Tokens, [stop]), least=least)
    text = Writing(lambda: ready(*map(Step, tokens.encode())), rules, [list(begun)])
    wait_for(lambda: not text.look().active)
    return text


@pytest.mark.parametrize(
    ("stop", "least", "expected"),
    [("END", 0, "one "), ("END", 5, "one END two "), ("two E", 0, "one END "), ("absent", 0, "one END two END"),
     ("ENDLESS", 0, "one END two END")],
)  # fmt: skip
def test_a_text_ends_before_its_stop_string_once_it_is_long_enough(stop, least, expected):
    assert told(written("one END two END", stop=stop, least=least)) == expected


def test_what_was_written_before_counts_for_the_length_and_completes_characters():
    assert told(written("one END two END", stop="END", least=13, begun=b"12345678")) == "one END two "
    second_half = "é".encode()[1:]
    text = Writing(lambda: ready(Step(2)), words(), [[1]])
    wait_for(lambda: not text.look().active)
    assert LETTERS[2] == second_half and told(text) == "é"


def test_a_stop_string_inside_a_token_cuts_it():
    rules = Words({1: b"on", 2: b"e E", 3: b"ND t"}.__getitem__, str)
    stream = type("Two", (), {"decode_bytes": staticmethod(lambda ids: rules.bytes_of(ids[0]))})
    rules = Words(rules.bytes_of, str, watch=lambda: TextStream(stream, ["END"]))
    text = Writing(lambda: ready(Step(1), Step(2), Step(3), Step(1)), rules)
    wait_for(lambda: not text.look().active)
    assert [(piece.text, piece.whole) for piece in text.look().texts[0]] == [("on", True), ("e ", False)]


def test_what_may_become_a_stop_string_is_held_back():
    on = threading.Event()

    def steps():
        yield from ready(*map(Step, b"one EN"))
        assert on.wait(5)
        yield from ready(*map(Step, b"O"))

    rules = Words(lambda token: bytes([token]), str, watch=lambda: TextStream(Tokens, ["END"]))
    text = Writing(steps, rules)
    wait_for(lambda: text.look().tokens_per_second and told(text) == "one ")
    on.set()
    wait_for(lambda: not text.look().active)
    assert told(text) == "one ENO"


def test_a_token_that_ends_the_text_is_no_part_of_it_and_others_go_on():
    def steps():
        yield [Step(3), Step(3)]
        yield [Step(9), Step(3)]
        yield [None, Step(3)]

    text = Writing(steps, words(ends=(9,)), [[], []])
    wait_for(lambda: not text.look().active)
    assert (told(text, 0), told(text, 1)) == ("a", "aaa")


def test_an_ended_text_holds_neither_model_nor_steps():
    class Model:
        pass

    model = Model()
    gone = weakref.ref(model)

    def make(model=model):
        return ready(Step(3), *([Step(3)] if model else []))

    text = Writing(make, words())
    wait_for(lambda: not text.look().active)
    del model, make
    wait_for(lambda: gc.collect() >= 0 and gone() is None)
    assert told(text) == "aa"
