"""Cutting text into words: the two patterns by example, and the same words from regex and from tiktoken."""

import random
import re

import pytest

from config.errors import TextError
from text.byte_pair import BytePairTokenizer
from text.pieces import cut_at_words
from text.words import PATTERNS, check_pattern, disputed_characters, find_words

POOLS = ["the king ", '(word) "go', " \n\t\r\u3000\x1c\x85 ", "'s'LL'Re12345 ,.!", "éÄßſK\u0301", "🙂\u200d", "9٣五Ⅷ½"]


def random_text(source: random.Random, all_of_unicode: list[str]) -> str:
    pools = [*POOLS, all_of_unicode]
    return "".join(source.choice(source.choice(pools)) for _ in range(source.randint(0, 40)))


def test_the_words_of_both_patterns() -> None:
    text = "They'LL say (hello)!\n\n  In 12345 days,we'll"
    assert find_words(text, "gpt2") == [
        "They", "'", "LL", " say", " (", "hello", ")!", "\n\n ", " In", " 12345", " days", ",", "we", "'ll",
    ]  # fmt: skip
    assert find_words(text, "gpt4") == [
        "They", "'LL", " say", " (", "hello", ")!\n\n", " ", " In", " ", "123", "45", " days", ",we", "'ll",
    ]  # fmt: skip
    assert find_words("it'Sx", "gpt4") == ["it", "'S", "x"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_words_are_the_text(pattern: str, all_of_unicode: list[str]) -> None:
    source = random.Random(1)
    for _ in range(500):
        text = random_text(source, all_of_unicode)
        assert "".join(find_words(text, pattern)) == text


@pytest.mark.parametrize("pattern", PATTERNS)
def test_pieces_have_the_words_of_the_whole(pattern: str, all_of_unicode: list[str]) -> None:
    source = random.Random(2)
    for _ in range(500):
        text = "x" + random_text(source, all_of_unicode) + "."
        pieces = list(cut_at_words(text, len(text) - 1))  # the text is cut once
        places = {match.end() for match in re.finditer(r"\S(?= )|\S\n(?=\S)", text)}
        if len(pieces) == 2 and len(pieces[0]) in places:
            assert [word for piece in pieces for word in find_words(piece, pattern)] == find_words(text, pattern)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_encoders_agree_on_random_unicode(pattern: str, story: str, all_of_unicode: list[str]) -> None:
    source = random.Random(3)
    learned = "".join(random_text(source, all_of_unicode) for _ in range(1000))  # merges of all kinds of signs
    tokenizer = BytePairTokenizer.train(story + learned, 900, pattern=pattern)
    for _ in range(1000):
        text = random_text(source, all_of_unicode)
        assert tokenizer.encode(text) == tokenizer.encode_readably(text), text


@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_encoders_agree_where_their_unicode_differs(pattern: str) -> None:
    """`x` + such a character + `x` is one word for a library that knows the letter, and three for the other."""
    characters = random.Random(4).sample(sorted(disputed_characters()), min(len(disputed_characters()), 500))
    texts = [f"x{character}x 1{character}1" for character in characters]
    # A merge that crosses into the character shows where the word ends: only inside of a word is it used.
    merges = [(b"x", character.encode()[:1]) for character in characters]
    tokenizer = BytePairTokenizer(list(dict.fromkeys(merges)), pattern=pattern)
    for text in texts:
        assert tokenizer.encode(text) == tokenizer.encode_readably(text), ascii(text)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_encoders_agree_on_all_of_unicode(pattern: str, telling_characters: list[str]) -> None:
    starts = sorted({character.encode()[:1] for character in telling_characters})
    merges = [(before, start) for before in (b"x", b"1", b"'", b" ", b"\n") for start in starts]
    tokenizer = BytePairTokenizer([merge for merge in merges if merge[0] != merge[1]], pattern=pattern)
    for character in telling_characters:
        text = f"x{character}x 1{character}1 '{character} {character}{character}\n{character}"
        assert tokenizer.encode(text) == tokenizer.encode_readably(text), ascii(character)


def test_a_pattern_that_is_none() -> None:
    with pytest.raises(TextError, match="no pattern 'gpt3'; there are gpt2, gpt4"):
        check_pattern("gpt3")
    with pytest.raises(TextError, match="no pattern 'gpt3'"):
        BytePairTokenizer.train("abab", 257, pattern="gpt3")
