"""Byte-pair encoding, learned from scratch: the tokens that a text itself suggests.

Start with the 256 bytes as tokens. Count which two neighbours stand together most often, make that pair a new token,
replace it everywhere, and repeat until the vocabulary has the size asked for (Sennrich et al. 2016, arXiv:1508.07909;
on bytes: Radford et al. 2019). In English the first pairs are "th" or " t", then " th" + "e" and soon whole words.

    counts of the words:   "low" 5   "lower" 2   "newest" 6       most frequent pair: w e, 8 times  ->  token 256 "we"
                           l o w     l o we r    n e we s t       then: l o, 7 times                ->  token 257 "lo"

Two ideas make it fast enough without changing the result. The text is kept as *different words with their counts*,
since " the" need not be looked at ten thousand times. And when a pair is merged, only the words that contain it are
counted anew: nothing ever rescans the text. Equal counts are decided by the smaller token ids, so the same text gives
the same vocabulary on every machine.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Self, final

import regex

from config.errors import TextError
from text.merge_tokenizer import PATTERNS, Merge, MergeTokenizer
from text.pieces import check_surrogates, cut_at_words

MIN_FREQUENCY = 2
MAX_WORD_BYTES = 1_000

Pair = tuple[int, int]


@final
class BytePairTokenizer(MergeTokenizer):
    """Byte-level BPE trained on the given text; token b is the byte b for the first 256."""

    type: ClassVar[str] = "bpe"
    byte_order: ClassVar[bytes] = bytes(range(256))

    @classmethod
    def train(cls, text: str, vocab_size: int) -> Self:
        """Learn `vocab_size` - 256 merges.

        Raises:
            TextError: `vocab_size` is below 256, or the text has too few pairs that occur twice.
        """
        if vocab_size < 256:
            raise TextError(f"vocab_size {vocab_size} is too small for bpe: the 256 bytes come first; use 257 or more")
        check_surrogates(text, "the text")
        merges = learn_merges(count_words(text), vocab_size - 256)
        if len(merges) < vocab_size - 256:
            raise TextError(
                f"vocab_size {vocab_size:,} is too large for this text of {len(text):,} characters: it has pairs that "
                f"occur twice for {256 + len(merges):,} tokens; use {256 + len(merges):,} or less, or a longer text"
            )
        return cls(merges)


def count_words(text: str, pattern: str = "gpt2") -> Counter[bytes]:
    """How often each word of the text occurs, as bytes; a monster (a line without spaces) counts in short pieces."""
    find_words = regex.compile(PATTERNS[pattern]).findall
    counts: Counter[str] = Counter()
    for piece in cut_at_words(text):
        counts.update(find_words(piece))
    words: Counter[bytes] = Counter()
    for word, count in counts.items():
        content = word.encode()
        for start in range(0, len(content), MAX_WORD_BYTES):
            words[content[start : start + MAX_WORD_BYTES]] += count
    return words


def learn_merges(word_counts: Mapping[bytes, int], n_merges: int, min_frequency: int = MIN_FREQUENCY) -> list[Merge]:
    """The most frequent pairs, one after the other; fewer than `n_merges` when no pair occurs often enough any more."""
    words = [list(word) for word in word_counts]
    counts = list(word_counts.values())
    pair_counts, words_with = _count_pairs(words, counts)
    queue = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(queue)
    tokens = [bytes([byte]) for byte in range(256)]
    merges: list[Merge] = []
    while len(merges) < n_merges:
        pair = _pop_most_frequent(queue, pair_counts)
        if pair is None or pair_counts[pair] < min_frequency:
            break
        new = len(tokens)
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        merges.append((tokens[pair[0]], tokens[pair[1]]))
        changes: Counter[Pair] = Counter()
        for index in words_with.pop(pair):
            for come in merge_in_word(words[index], pair, new, counts[index], changes):
                words_with[come].add(index)
        for changed, difference in changes.items():
            pair_counts[changed] += difference
            if difference > 0:
                heapq.heappush(queue, (-pair_counts[changed], changed))
    return merges


def _count_pairs(words: list[list[int]], counts: list[int]) -> tuple[Counter[Pair], defaultdict[Pair, set[int]]]:
    """How often each pair occurs, and the indices of the words that have it."""
    pair_counts: Counter[Pair] = Counter()
    words_with: defaultdict[Pair, set[int]] = defaultdict(set)
    for index, word in enumerate(words):
        for pair in pairwise(word):
            pair_counts[pair] += counts[index]
            words_with[pair].add(index)
    return pair_counts, words_with


def _pop_most_frequent(queue: list[tuple[int, Pair]], pair_counts: Counter[Pair]) -> Pair | None:
    """The pair with the largest count, the smaller token ids among equals.

    The queue holds (-count, pair), smallest first, one entry for each pair. A count grows only in the step that makes
    the newer token of the pair; from then on it shrinks, and its entry is corrected when it comes up.
    """
    while queue:
        negative_count, pair = heapq.heappop(queue)
        if pair_counts[pair] == -negative_count:
            return pair
        heapq.heappush(queue, (-pair_counts[pair], pair))
    return None


def merge_in_word(word: list[int], pair: Pair, new: int, count: int, changes: Counter[Pair]) -> list[Pair]:
    """Put `new` in place of every `pair` in `word`, from the left: a a a becomes aa a.

    Only the neighbours of a merged pair change: in  x a b y  the pairs (x, a) and (b, y) go, (x, new) and (new, y)
    come. Each is added to `changes` with the `count` of the word, and those that come are returned.
    """
    left, right = pair
    merged: list[int] = []
    come: list[Pair] = []
    position, last = 0, len(word) - 1
    while position <= last:
        token = word[position]
        if token != left or position == last or word[position + 1] != right:
            merged.append(token)
            position += 1
            continue
        if merged:
            changes[merged[-1], left] -= count
            changes[merged[-1], new] += count
            come.append((merged[-1], new))
        if position + 1 < last:
            changes[right, word[position + 2]] -= count
            changes[new, word[position + 2]] += count
            come.append((new, word[position + 2]))
        merged.append(new)
        position += 2
    word[:] = merged
    return come
