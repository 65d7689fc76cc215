"""Byte-pair encoding, learned from scratch: the tokens that a text itself suggests.

Start with the 256 bytes as tokens. Count which two neighbours stand together most often, make that pair a new token,
replace it everywhere, and repeat until the vocabulary has the size asked for (Sennrich et al. 2016, arXiv:1508.07909;
on bytes: Radford et al. 2019). In English the first pairs are "th" or " t", then " th" + "e" and soon whole words.

    counts of the words:   "low" 5   "lower" 2   "newest" 6       most frequent pair: w e, 8 times  ->  token 256 "we"
                           l o w     l o we r    n e we s t       then: l o, 7 times                ->  token 257 "lo"

Two ideas make it fast enough without changing the result. The text is kept as *different words with their counts*
(text/word_counts.py), since " the" need not be looked at ten thousand times. And when a pair is merged, only the words
that contain it are counted anew: nothing ever rescans the text. Equal counts are decided by the smaller token ids, so
the same text gives the same vocabulary on every machine.

    python -m text.byte_pair train training.txt --vocab_size 1024 --out my_tokenizer
    python -m text.byte_pair inspect my_tokenizer
"""

import heapq
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import ClassVar, NamedTuple, Self, final

from config.errors import TextError
from text.merge_tokenizer import MergeTokenizer
from text.pieces import check_special_tokens
from text.word_counts import count_words
from text.words import check_pattern

MIN_FREQUENCY = 2

Pair = tuple[int, int]


class MergeStep(NamedTuple):
    """Two tokens that became one, and how often they stood together at that moment."""

    left: bytes
    right: bytes
    frequency: int


@final
class BytePairTokenizer(MergeTokenizer):
    """Byte-level BPE trained on the given text; token b is the byte b for the first 256."""

    type: ClassVar[str] = "bpe"
    byte_order: ClassVar[bytes] = bytes(range(256))

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int,
        *,
        pattern: str = "gpt2",
        special_tokens: Sequence[str] = (),
        min_frequency: int = MIN_FREQUENCY,
        processes: int = 1,
        beat: Callable[[], None] | None = None,
    ) -> Self:
        """Learn as many merges as `vocab_size` leaves room for beside the 256 bytes and the special tokens.

        Args:
            text: All of it, or its parts one after the other.
            pattern: Name in `text.words.PATTERNS`.
            special_tokens: Get the last ids; where they stand in the text they are no text to learn from.
            min_frequency: A pair that occurs less often is not merged.
            processes: See `text.word_counts.count_words`; the result is the same for any number.
            beat: Called after every counted piece and merge; what it raises ends the work.

        Raises:
            TextError: `vocab_size` is below what comes before the merges, or the text has too few frequent pairs.
        """
        reserved = 256 + len(special_tokens)
        if vocab_size < reserved:
            raise TextError(
                f"vocab_size {vocab_size} is too small for bpe: {_reserved(reserved)} use {reserved} or more"
            )
        if min_frequency < 1:
            raise TextError(f"min_frequency {min_frequency} would merge pairs that do not occur: use 1 or more")
        check_pattern(pattern)
        check_special_tokens(special_tokens)
        counts = count_words(text, pattern, special_tokens, processes, beat)
        steps: list[MergeStep] = []
        for step in islice(learn_merges(counts, min_frequency), vocab_size - reserved):
            steps.append(step)
            if beat is not None:
                beat()
        if (possible := reserved + len(steps)) < vocab_size:
            n_bytes = sum(len(word) * count for word, count in counts.items())
            raise TextError(
                f"vocab_size {vocab_size:,} is too large for this text of {n_bytes:,} bytes: it has pairs that occur "
                f"{min_frequency:,} times or more for {possible:,} tokens; use {possible:,} or less, or a longer text"
            )
        return cls(
            [(left, right) for left, right, _ in steps], special_tokens, pattern, [step.frequency for step in steps]
        )

    def merges_with_counts(self) -> list[MergeStep]:
        """What was learned, step by step: step i made token 256 + i.

        Raises:
            TextError: the counts were not saved.
        """
        if len(self.merge_counts) != len(self.merges):
            raise TextError("how often its pairs occurred was not saved with this tokenizer; train it again to see it")
        return [MergeStep(*merge, count) for merge, count in zip(self.merges, self.merge_counts, strict=True)]


def learn_merges(word_counts: Mapping[bytes, int], min_frequency: int = MIN_FREQUENCY) -> Iterator[MergeStep]:
    """The most frequent pairs, one after the other, until none occurs `min_frequency` times any more."""
    words = [list(word) for word in word_counts]
    counts = list(word_counts.values())
    pair_counts, words_with = _count_pairs(words, counts)
    queue = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(queue)
    tokens = [bytes([byte]) for byte in range(256)]
    while (pair := _pop_most_frequent(queue, pair_counts)) and pair_counts[pair] >= min_frequency:
        left, right, new = tokens[pair[0]], tokens[pair[1]], len(tokens)
        yield MergeStep(left, right, pair_counts[pair])
        tokens.append(left + right)
        changes: Counter[Pair] = Counter()
        for index in words_with.pop(pair):
            for come in merge_in_word(words[index], pair, new, counts[index], changes):
                words_with[come].add(index)
        for changed, difference in changes.items():
            pair_counts[changed] += difference
            if difference > 0:
                heapq.heappush(queue, (-pair_counts[changed], changed))


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


def _reserved(reserved: int) -> str:
    if reserved == 256:
        return "the 256 bytes come first;"
    return f"the 256 bytes and {reserved - 256} special tokens are part of it;"


if __name__ == "__main__":
    from text.command_line import main

    sys.exit(main("python -m text.byte_pair", tokenizer_type="bpe"))
