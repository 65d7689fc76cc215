"""Prompts in, whole characters out, up to a stop string."""

from random import Random

import pytest

from config.errors import TextError
from generation.prompt import TextStream, encode_prompt
from text.tokenizer_types import train_tokenizer

TEXT = "To be, or not to be: that is the question.\nnaïve 漢字 🙂🙂 done\n" * 40


@pytest.fixture(scope="module", params=["character", "bpe"])
def tokenizer(request):
    return train_tokenizer(request.param, TEXT, 260)  # bpe: almost only bytes, so most characters are cut


def test_pieces_are_whole_characters_and_together_the_text(tokenizer):
    text = "naïve 漢字 🙂 done"
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in tokenizer.encode(text)]
    assert "\ufffd" not in "".join(pieces)
    assert "".join(pieces) + stream.finish() == text


def test_a_character_that_never_becomes_whole_is_shown_as_such():
    tokenizer = train_tokenizer("bpe", TEXT, 260)
    tokens = tokenizer.encode("a漢")[:-1]
    stream = TextStream(tokenizer)
    assert "".join(stream.push(token) for token in tokens) == "a"
    assert "a" + stream.finish() == tokenizer.decode(tokens) == "a\ufffd"


def test_a_prompt_becomes_its_tokens(tokenizer):
    assert tokenizer.decode(encode_prompt(tokenizer, "to be")) == "to be"


def test_an_empty_prompt_is_a_line_break_or_the_first_token(tokenizer):
    assert tokenizer.decode(encode_prompt(tokenizer, "")) == "\n"
    assert encode_prompt(train_tokenizer("character", "abc", 0), "") == [0]


def test_characters_never_seen_are_named():
    tokenizer = train_tokenizer("character", TEXT, 0)
    with pytest.raises(TextError, match=r"prompt.*'ß'.*'Z'"):
        encode_prompt(tokenizer, "to ß Z")


def test_bytes_that_are_no_text_are_refused(tokenizer):
    with pytest.raises(TextError, match="prompt"):
        encode_prompt(tokenizer, "to \udcff be")


def cut_by_hand(text, stops):
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)], True
    return text, False


def stream_of(tokenizer, tokens, stops):
    stream, pieces = TextStream(tokenizer, stops), []
    for token in tokens:
        pieces.append(stream.push(token))
    return "".join(pieces) + stream.finish(), stream.stopped


@pytest.mark.parametrize("stops", [["the"], ["question.\n"], ["be, or not", "not to"], ["🙂🙂"], ["zzz"], [""], []])
def test_a_stop_string_ends_the_text_wherever_the_tokens_border(tokenizer, stops):
    text = TEXT[:70]
    expected = cut_by_hand(text, [stop for stop in stops if stop])
    assert stream_of(tokenizer, tokenizer.encode(text), stops) == expected


def test_the_cut_does_not_depend_on_the_tokens():
    random, tokenizer = Random(1), train_tokenizer("bpe", "abab cab bac abba abcabc " * 50, 260)
    for _ in range(400):
        text = "".join(random.choice("abc") for _ in range(12))
        stops = ["".join(random.choice("abc") for _ in range(random.randint(1, 5))) for _ in range(3)]
        expected = cut_by_hand(text, stops)
        assert stream_of(tokenizer, tokenizer.encode(text), stops) == expected
        assert stream_of(tokenizer, [byte for letter in text for byte in tokenizer.encode(letter)], stops) == expected


def test_text_that_can_no_longer_become_a_stop_string_comes_at_once():
    tokenizer = train_tokenizer("character", "abcd", 0)
    stream = TextStream(tokenizer, ["abc"])
    assert [stream.push(token) for token in tokenizer.encode("daabdab")] == ["d", "", "a", "", "abd", "", ""]
    assert not stream.stopped
    assert stream.finish() == "ab"


def test_nothing_comes_after_a_stop_string():
    tokenizer = train_tokenizer("character", "abcd", 0)
    stream = TextStream(tokenizer, ["bc"])
    assert [stream.push(token) for token in tokenizer.encode("abcda")] == ["a", "", "", "", ""]
    assert stream.stopped
    assert stream.finish() == ""
