"""Byte-pair encoding: what it learns, by hand and against a trainer that rescans everything; how it encodes."""

import random
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

import pytest

from config.errors import TextError
from text.byte_pair import BytePairTokenizer, MergeStep, learn_merges
from text.gpt2 import Gpt2Tokenizer
from text.merge_tokenizer import encode_word, parse_merge, to_signs
from text.pieces import cut_at_words
from text.tokenizer_types import load_tokenizer
from text.word_counts import count_words


def learn(word_counts: Counter[bytes], n_merges: int, min_frequency: int = 2) -> list[MergeStep]:
    return list(islice(learn_merges(word_counts, min_frequency), n_merges))


def learn_by_rescanning(word_counts: Counter[bytes], n_merges: int) -> list[tuple[bytes, bytes, int]]:
    """The definition of BPE, as short as it can be said."""
    words = {tuple(word): count for word, count in word_counts.items()}
    tokens = [bytes([byte]) for byte in range(256)]
    merges = []
    while len(merges) < n_merges:
        pairs = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((tokens[best[0]], tokens[best[1]], pairs[best]))
        tokens.append(tokens[best[0]] + tokens[best[1]])
        for word in list(words):
            merged, position = [], 0
            while position < len(word):
                found = word[position : position + 2] == best
                merged.append(len(tokens) - 1 if found else word[position])
                position += 1 + found
            words[tuple(merged)] = words.pop(word)
    return merges


def test_the_example_of_the_file() -> None:
    counts = Counter({b"low": 5, b"lower": 2, b"newest": 6})
    assert learn(counts, 4) == [(b"w", b"e", 8), (b"l", b"o", 7), (b"e", b"we", 6), (b"n", b"ewe", 6)]


def test_equal_counts_are_decided_by_the_smaller_ids() -> None:
    steps = learn(Counter({b"zy": 3, b"ab": 3, b"xa": 3}), 3)
    assert steps == [(b"a", b"b", 3), (b"x", b"a", 3), (b"z", b"y", 3)]


def test_a_run_of_one_letter_merges_from_the_left() -> None:
    assert learn(Counter({b"aaaaa": 2}), 9) == [(b"a", b"a", 8), (b"aa", b"a", 2), (b"aa", b"aaa", 2)]


def test_learning_equals_the_definition() -> None:
    source = random.Random(0)
    for _ in range(150):
        letters = range(source.choice([1, 2, 3, 5]))
        words = [bytes(source.choices(letters, k=source.randint(1, 14))) for _ in range(source.randint(1, 25))]
        counts = Counter({word: source.randint(1, 5) for word in words})
        assert learn(counts, 30) == learn_by_rescanning(counts, 30), counts


def test_learning_from_a_text_equals_the_definition(story: str) -> None:
    counts = count_words(story)
    merges = learn(counts, 60)
    assert len(merges) == 60
    assert merges == learn_by_rescanning(counts, 60)


def test_frequent_words_become_one_token(story: str) -> None:
    tokenizer = BytePairTokenizer.train(story, 380)
    assert tokenizer.vocab_size == 380
    assert tokenizer.decode_bytes(tokenizer.encode(" lantern")) == b" lantern"
    assert len(tokenizer.encode(" lantern")) == 1


def test_merges_never_cross_words(story: str) -> None:
    tokenizer = BytePairTokenizer.train(story, 400)
    assert not any(b" " in token[1:] or (b"." in token and len(token) > 1) for token in tokenizer.token_bytes[256:])


def test_both_encoders_agree_on_the_training_text(story: str) -> None:
    tokenizer = BytePairTokenizer.train(story, 350)
    assert tokenizer.encode(story) == tokenizer.encode_readably(story)


def test_a_stretch_without_places_to_cut_is_cut_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("text.pieces.cut_at_words.__defaults__", (101,))
    tokenizer = BytePairTokenizer([(b"a", b"b")])
    text = "ab" * 100
    ids = tokenizer.encode(text)
    assert len(ids) == 100 + 1  # the cut falls between an a and its b
    assert ids == tokenizer.encode_readably(text)
    assert ids == [number for piece in cut_at_words(text) for number in tokenizer.encode(piece)]


def test_the_earliest_merge_goes_first() -> None:
    ranks = {b"b": 0, b"a": 1, b"c": 2, b"bc": 256, b"ab": 257, b"abc": 258}
    assert encode_word(b"abc", ranks) == [b"abc"]
    del ranks[b"abc"]
    assert encode_word(b"abc", ranks) == [b"a", b"bc"]
    assert encode_word(b"", ranks) == []


def test_vocabulary_sizes_that_cannot_be() -> None:
    with pytest.raises(TextError, match="vocab_size 255 is too small for bpe"):
        BytePairTokenizer.train("abc", 255)
    with pytest.raises(TextError, match=r"vocab_size 1,024 is too large .* of 9 bytes.* use 259 or less"):
        BytePairTokenizer.train("abcabcabc", 1024)
    assert BytePairTokenizer.train("abcabcabc", 259).merges == ((b"a", b"b"), (b"ab", b"c"), (b"abc", b"abc"))
    assert BytePairTokenizer.train("abc", 256).vocab_size == 256


def test_rare_pairs_are_left_alone() -> None:
    text = "ab " * 5 + "xy " * 3
    assert BytePairTokenizer.train(text, 257, min_frequency=5).merges == ((b"a", b"b"),)
    with pytest.raises(TextError, match=r"vocab_size 260 is too large .* occur 5 times or more for 257 tokens"):
        BytePairTokenizer.train("ab" + " xy" * 3 + "ab" * 4, 260, min_frequency=5)
    with pytest.raises(TextError, match="min_frequency 0 would merge pairs that do not occur"):
        BytePairTokenizer.train(text, 257, min_frequency=0)


def test_the_merges_come_with_their_frequencies(story: str, tmp_path: Path) -> None:
    tokenizer = BytePairTokenizer.train(story, 300)
    steps = tokenizer.merges_with_counts()
    assert steps == learn(count_words(story), 44)
    assert [step.left + step.right for step in steps] == list(tokenizer.token_bytes[256:])
    assert [step.frequency for step in steps] == sorted((step.frequency for step in steps), reverse=True)
    tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, BytePairTokenizer)
    assert loaded.merges_with_counts() == steps
    with pytest.raises(TextError, match="was not saved with this tokenizer"):
        BytePairTokenizer(tokenizer.merges).merges_with_counts()
    with pytest.raises(TextError, match="1 counts do not belong to 44 merges"):
        BytePairTokenizer(tokenizer.merges, merge_counts=[3])


def test_monsters_do_not_blow_up() -> None:
    for text in ("a" * 300_000, " " * 300_000 + "x", "-" * 300_000, "\n" * 300_000):
        tokenizer = BytePairTokenizer.train(text, 260)
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_signs_are_gpt2s() -> None:
    assert to_signs(b" th\n\x00\xad\xff") == "ĠthĊĀŃÿ"
    assert parse_merge("Ġt h") == (b" t", b"h")
    for line in ("Ġt", "a b c", " a", "a ☃"):
        with pytest.raises(TextError, match="not a merge"):
            parse_merge(line)


def test_gpt2_orders_its_bytes_differently() -> None:
    tokenizer = Gpt2Tokenizer([(b" ", b"t")], ["<|endoftext|>"])
    assert tokenizer.encode("!a \n") == [0, 64, 220, 198]
    assert tokenizer.encode(" t") == [256]
