"""Counting words: pieces that no word crosses, and one result for any number of processes."""

import random
from collections import Counter

import pytest

from config.errors import TextError
from text.byte_pair import BytePairTokenizer
from text.pieces import cut_at_lines, split_at_special
from text.word_counts import count_words
from text.words import PATTERNS, find_words

SPECIAL = ("<|a|>", "<|a|><|b|>", "<|longer|>")
PARTS = [*SPECIAL, "<|a", "|>", "the king ", "\n", "\n\n", " ", "  ", ".\n", "x", "é🙂", "12 ", "\r\n", "!"]


def random_text(source: random.Random, parts: int) -> str:
    return "".join(source.choice(PARTS) for _ in range(parts))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_counts_do_not_depend_on_where_the_text_is_cut(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(0)
    for _ in range(300):
        # A space now and then: only a stretch without any may be cut anywhere.
        text = " ".join(random_text(source, 4) for _ in range(20))
        whole = Counter(word for part, _ in split_at_special(text, SPECIAL) for word in find_words(part, pattern))
        monkeypatch.setattr("text.pieces.cut_at_lines.__defaults__", ((), source.choice([45, 60, 200])))
        assert count_words(text, pattern, SPECIAL) == {word.encode(): count for word, count in whole.items()}, text


def test_pieces_do_not_depend_on_how_the_text_arrives() -> None:
    source = random.Random(1)
    for _ in range(100):
        text = random_text(source, 60)
        cuts = sorted(source.choices(range(len(text)), k=5))
        arriving = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        pieces = list(cut_at_lines([text], SPECIAL, 30))
        assert "".join(pieces) == text
        assert list(cut_at_lines(arriving, SPECIAL, 30)) == pieces


def test_pieces_end_behind_special_tokens_and_lines() -> None:
    text = "one two\nthree four<|a|>five six seven"
    assert list(cut_at_lines([text], SPECIAL, 12)) == ["one two\n", "three four<|a|>", "five six seven"]
    assert list(cut_at_lines(["one two three"], (), 9)) == ["one two", " three"]
    assert list(cut_at_lines(["-" * 10], (), 4)) == ["----", "----", "--"]
    assert list(cut_at_lines(["-" * 10 + "<|a|>--"], ("<|a|>",), 12)) == ["-" * 10 + "<|a|>", "--"]
    assert list(cut_at_lines([])) == []


def test_no_piece_ends_inside_of_a_special_token() -> None:
    source = random.Random(2)
    for _ in range(300):
        text = "".join(source.choice([*SPECIAL, "x", "<|", "a|>"]) for _ in range(30))
        whole = [token for _, token in split_at_special(text, SPECIAL) if token]
        pieces = cut_at_lines([text], SPECIAL, source.randint(3, 20))
        assert [token for piece in pieces for _, token in split_at_special(piece, SPECIAL) if token] == whole


def test_a_monster_is_counted_in_parts() -> None:
    assert count_words("a" * 2_500) == {b"a" * 1_000: 2, b"a" * 500: 1}


def test_one_result_for_any_number_of_processes(story: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("text.pieces.cut_at_lines.__defaults__", ((), 2_000))
    text = story.replace("king", "king<|a|>")
    alone = BytePairTokenizer.train(text, 330, special_tokens=SPECIAL)
    counts = count_words(text, "gpt2", SPECIAL)
    assert len(list(cut_at_lines([text], SPECIAL))) > 6
    assert list(count_words(text, "gpt2", SPECIAL, processes=3).items()) == list(counts.items())
    together = BytePairTokenizer.train([text[:777], text[777:]], 330, special_tokens=SPECIAL, processes=2)
    assert together.content_hash() == alone.content_hash()


def test_what_cannot_be_counted() -> None:
    with pytest.raises(TextError, match="processes 0 cannot count anything"):
        count_words("abc", processes=0)
    with pytest.raises(TextError, match=r"U\+D800"):
        count_words("abc\ud800")


def test_several_processes_are_used_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(processes: int, *_: object) -> None:
        raise ChildProcessError(processes)

    monkeypatch.setattr("text.processes.ProcessPoolExecutor", start)
    with pytest.raises(ChildProcessError, match="7"):
        BytePairTokenizer.train("abab", 257, processes=7)
    assert BytePairTokenizer.train("abab", 257, processes=1).vocab_size == 257
