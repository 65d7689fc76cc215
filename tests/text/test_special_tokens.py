"""Special tokens: text unless asked for, the longest one where several fit, no part of what is learned."""

from pathlib import Path

import pytest

from config.errors import TextError
from text.byte import ByteTokenizer
from text.byte_pair import BytePairTokenizer, MergeStep
from text.character import CharacterTokenizer
from text.gpt2 import Gpt2Tokenizer
from text.tokenizer import END_OF_TEXT, Tokenizer
from text.tokenizer_file import hash_record
from text.tokenizer_types import load_tokenizer, train_tokenizer

OVERLAPPING = ("<|a|>", "<|a|><|b|>", "|><|", "<|b|>")


@pytest.fixture
def tokenizer() -> BytePairTokenizer:
    return BytePairTokenizer([(b"<", b"|"), (b" ", b"x")], OVERLAPPING)  # tokens 256, 257; special 258 to 261


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, special="token")


def test_the_longest_one_is_taken(tokenizer: BytePairTokenizer) -> None:
    assert tokenizer.special_ids == {"<|a|>": 258, "<|a|><|b|>": 259, "|><|": 260, "<|b|>": 261}
    assert ids_of(tokenizer, "<|a|>") == [258]
    assert ids_of(tokenizer, "<|a|><|b|>") == [259]
    assert ids_of(tokenizer, "<|a|><|a|><|b|><|b|>") == [258, 259, 261]


def test_the_first_one_is_taken_where_two_overlap(tokenizer: BytePairTokenizer) -> None:
    assert ids_of(tokenizer, "<|b|><|a") == [261, 256, ord("a")]
    assert ids_of(tokenizer, "x|><|a|>") == [ord("x"), 260, ord("a"), ord("|"), ord(">")]


def test_without_being_asked_for_it_is_text(tokenizer: BytePairTokenizer) -> None:
    assert tokenizer.encode("<|a|>") == [256, *b"a|>"]
    assert tokenizer.encode_readably("<|a|>") == [256, *b"a|>"]


@pytest.mark.parametrize(
    "text",
    ["<|a|>", "one<|a|><|a|> two", "\r\n<|a|>\r\n", "<|a|> x <|a|>", " <|b|>", "é<|a|>\0", "", "<|a|><|a|><|b|>" * 9],
)
def test_documents_come_back(tokenizer: BytePairTokenizer, text: str) -> None:
    ids = ids_of(tokenizer, text)
    assert tokenizer.decode(ids) == text


def test_an_empty_document_in_the_middle() -> None:
    tokenizer = BytePairTokenizer([], [END_OF_TEXT])
    assert ids_of(tokenizer, f"a{END_OF_TEXT}{END_OF_TEXT}b") == [97, 256, 256, 98]
    assert tokenizer.encode_array("", special="token").dtype == tokenizer.dtype


def test_nothing_is_learned_from_them() -> None:
    text = "ab<|a|>" * 5
    tokenizer = BytePairTokenizer.train(text, 258, special_tokens=["<|a|>"])
    assert tokenizer.merges_with_counts() == [MergeStep(b"a", b"b", 5)]
    assert tokenizer.special_ids == {"<|a|>": 257}
    with pytest.raises(TextError, match=r"vocab_size 300 is too large for this text of 10 bytes.* use 258 or less"):
        BytePairTokenizer.train(text, 300, special_tokens=["<|a|>"])
    assert any(b"|" in token[1:] for token in BytePairTokenizer.train(text, 259).token_bytes)


def test_words_end_at_them() -> None:
    merges = BytePairTokenizer.train("x<|a|>y" * 9 + "pq" * 2, 258, special_tokens=["<|a|>"]).merges
    assert merges == ((b"y", b"x"),)  # never (x, y), which stand together once the token is gone


@pytest.mark.parametrize("kind", ["character", "byte", "sentencepiece"])
def test_other_tokenizers_keep_them_behind_their_own_tokens(kind: str, tmp_path: Path, story: str) -> None:
    plain = train_tokenizer(kind, story[:20_000], 330)
    marked = train_tokenizer(kind, story[:20_000], 331, special_tokens=[END_OF_TEXT])
    assert marked.token_bytes[:-1] == plain.token_bytes and marked.end_of_text == plain.vocab_size
    assert marked.content_hash() != plain.content_hash()
    assert marked.encode(story[:1_000]) == plain.encode(story[:1_000])
    before, after = story[:20], story[20:40]
    assert ids_of(marked, before + END_OF_TEXT + after) == [
        *plain.encode(before), marked.end_of_text, *plain.encode(after)
    ]  # fmt: skip
    marked.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.content_hash() == marked.content_hash() and loaded.special_ids == {END_OF_TEXT: plain.vocab_size}


def test_byte_and_character_hashes_without_them_are_what_they_always_were() -> None:
    for tokenizer in (CharacterTokenizer("abc"), ByteTokenizer()):
        record = {"format": 1, "type": tokenizer.type, "vocab_size": tokenizer.vocab_size} | tokenizer.settings()
        assert tokenizer.content_hash() == hash_record(record)


def test_sentencepiece_counts_them_in_its_sizes(story: str) -> None:
    with pytest.raises(TextError, match=r"vocab_size 257 is too small.*make 258 before the first letter"):
        train_tokenizer("sentencepiece", story, 257, special_tokens=[END_OF_TEXT])
    messages = []
    for special in ([], [END_OF_TEXT]):
        with pytest.raises(TextError) as refused:
            train_tokenizer("sentencepiece", story[:3_000], 9_000, special_tokens=special)
        messages.append(int(str(refused.value).rpartition("use ")[2].split()[0].replace(",", "")))
    assert messages[1] == messages[0] + 1


def test_the_end_of_a_text() -> None:
    assert Gpt2Tokenizer([], [END_OF_TEXT]).end_of_text == 256
    assert BytePairTokenizer([]).end_of_text is None
    assert CharacterTokenizer.train("abc").end_of_text is None
    assert CharacterTokenizer.train("<|endoftext|>").encode(END_OF_TEXT, special="token") == CharacterTokenizer.train(
        "<|endoftext|>"
    ).encode(END_OF_TEXT)


@pytest.mark.parametrize(
    ("special_tokens", "message"),
    [
        ([""], "must have characters in it"),
        (["<|end of text|>"], "no white space"),
        (["<|\n|>"], "no white space"),
        (["<|a|>", "<|a|>"], "'<|a|>' is there twice"),
        (["a"], "'a' is an ordinary token already"),
        (["<|\ud800|>"], "surrogate"),
    ],
)
def test_special_tokens_that_cannot_be(special_tokens: list[str], message: str) -> None:
    with pytest.raises(TextError, match=message.replace("|", r"\|")):
        BytePairTokenizer([], special_tokens)


def test_they_are_part_of_the_vocabulary() -> None:
    with pytest.raises(TextError, match=r"vocab_size 257 is too small for bpe: the 256 bytes and 2 special tokens"):
        BytePairTokenizer.train("abab", 257, special_tokens=["<|a|>", "<|b|>"])
    assert BytePairTokenizer.train("abab", 258, special_tokens=["<|a|>", "<|b|>"]).merges == ()
