"""Prompts in, whole characters out."""

import pytest

from config.errors import TextError
from generation.prompt import TextStream, encode_prompt
from text.tokenizer import train_tokenizer

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
