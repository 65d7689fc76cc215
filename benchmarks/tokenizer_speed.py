"""How fast BPE is trained and used here, beside Hugging Face's trainer, tiktoken, and a trainer that rescans.

    python -m benchmarks.tokenizer_speed                  (3 minutes on two cores)
    python -m benchmarks.tokenizer_speed --megabytes 2 --rounds 1
    python -m benchmarks.tokenizer_speed --file corpus.txt

Both sides of a comparison run in turn, and their medians are compared. Needs the development group (`tokenizers`).
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import tiktoken
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from text.byte_pair import BytePairTokenizer
from text.storyteller import write
from text.words import PATTERNS, find_words

VOCAB_SIZE = 4_096
NAIVE_CHARACTERS = 1_000_000
NAIVE_MERGES = 4  # measured at the start and again at the end of the training
MOST_TIMES_HUGGING_FACE, LEAST_TIMES_NAIVE, LEAST_SHARE_OF_TIKTOKEN, MOST_TOKENS = 10, 50, 0.5, 1.01


def main() -> int:
    """Run all comparisons; 0 if every aim is reached, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokenizer_speed", description="Speed of BPE.")
    parser.add_argument("--megabytes", type=float, default=20, help="text to train on, written by text.storyteller")
    parser.add_argument("--file", type=Path, help="another UTF-8 text to train on, at its full length")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs")
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 8), help="that count words here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.file or Path(folder, "text.txt")
        if arguments.file is None:
            write(path, arguments.megabytes, seed=1)
        text = path.read_text(encoding="utf-8")
        reached = [
            compare_training(path, arguments.processes, arguments.rounds),
            compare_with_rescanning(text[:NAIVE_CHARACTERS], arguments.rounds),
            compare_encoding(text, arguments.rounds),
        ]
    return 0 if all(reached) else 1


def compare_training(path: Path, processes: int, rounds: int) -> bool:
    """Both learn the same number of tokens from a file; then both cut its first megabytes."""
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)

    def train_theirs() -> None:
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=VOCAB_SIZE, min_frequency=2, initial_alphabet=alphabet, show_progress=False
        )
        theirs.train([str(path)], trainer)

    def train_ours() -> BytePairTokenizer:
        return BytePairTokenizer.train(path.read_text(encoding="utf-8"), VOCAB_SIZE, processes=processes)

    here, there = in_turn(train_ours, train_theirs, rounds)
    ours = train_ours()
    print(f"training, vocabulary {VOCAB_SIZE:,}, {path.stat().st_size / 1e6:.0f} MB, {processes} processes:")
    print(f"  here {here:.2f} s, Hugging Face {there:.2f} s")
    fast = verdict("time, here / Hugging Face", here / there, MOST_TIMES_HUGGING_FACE, at_most=True)
    sample = path.read_text(encoding="utf-8")[:NAIVE_CHARACTERS]
    share = len(ours.encode_array(sample)) / len(theirs.encode(sample).ids)
    return verdict("tokens, here / Hugging Face", share, MOST_TOKENS, at_most=True) and fast


def compare_with_rescanning(text: str, rounds: int) -> bool:
    """The trainer of this project to its end; the one that rescans for a few merges, at its start and at its end.

    It would take many minutes in full. Its merges get cheaper as the text gets shorter, so the time of the last ones
    times the number of merges is less than it would really take: the ratio is a lower bound.
    """
    tokenizer = BytePairTokenizer.train(text, VOCAB_SIZE)
    n_merges = len(tokenizer.merges)
    words = [list(word.encode()) for word in find_words(text)]
    ids = dict(zip(different := set(find_words(text)), map(tokenizer.encode, different), strict=True))
    merged_words = [list(ids[word]) for word in find_words(text)]

    def run_ours() -> BytePairTokenizer:
        return BytePairTokenizer.train(text, VOCAB_SIZE)

    def rescan(words: list[list[int]]) -> float:
        words = [list(word) for word in words]
        start = time.perf_counter()
        for number in range(NAIVE_MERGES):
            merge_by_rescanning(words, VOCAB_SIZE + number)
        return (time.perf_counter() - start) / NAIVE_MERGES

    times = [(timed(run_ours), rescan(words), rescan(merged_words)) for _ in range(rounds)]
    here, early, late = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"training on {len(text) / 1e6:.1f} MB, beside a trainer that rescans the text for every merge:")
    print(
        f"  here {here:.2f} s; rescanning {early:.2f} s for one of the first merges, {late:.2f} s for one of the last;"
    )
    print(f"  NOT run in full: {n_merges:,} merges at {late:.2f} s are at least {late * n_merges:,.0f} s")
    return verdict("time, rescanning / here", late * n_merges / here, LEAST_TIMES_NAIVE, at_most=False)


def merge_by_rescanning(words: list[list[int]], new: int) -> None:
    """One step of BPE as it is usually written down first: count all pairs of the text, replace the most frequent."""
    pairs: Counter[tuple[int, int]] = Counter()
    for word in words:
        pairs.update(pairwise(word))
    best = max(pairs, key=lambda pair: pairs[pair])
    for word in words:
        position = 0
        while position < len(word) - 1:
            if (word[position], word[position + 1]) == best:
                word[position : position + 2] = [new]
            position += 1


def compare_encoding(text: str, rounds: int) -> bool:
    """The encoder of this project, from a text to an array, and tiktoken's own call with the same tokens."""
    tokenizer = BytePairTokenizer.train(text[:NAIVE_CHARACTERS], VOCAB_SIZE)
    engine = tiktoken.Encoding(
        "beside", pat_str=PATTERNS["gpt2"], mergeable_ranks=dict(tokenizer.ranks), special_tokens={}
    )
    assert tokenizer.encode(text[:10_000]) == engine.encode_ordinary(text[:10_000])
    here, there = in_turn(lambda: tokenizer.encode_array(text), lambda: engine.encode_ordinary(text), max(rounds, 3))
    megabytes = len(text) / 1e6
    print(f"encoding {megabytes:.0f} MB: here {megabytes / here:.1f} MB/s, tiktoken {megabytes / there:.1f} MB/s")
    return verdict("speed, here / tiktoken", there / here, LEAST_SHARE_OF_TIKTOKEN, at_most=False)


def in_turn(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of both, run alternately so that whatever else the machine does meets both."""
    times = [(timed(ours), timed(theirs)) for _ in range(rounds)]
    return statistics.median(time for time, _ in times), statistics.median(time for _, time in times)


def timed(act: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def verdict(what: str, value: float, aim: float, *, at_most: bool) -> bool:
    """Print a ratio beside what it should be."""
    reached = value <= aim if at_most else value >= aim
    print(
        f"  {what}: {value:.3g} (aim: {'at most' if at_most else 'at least'} {aim:g}) {'ok' if reached else 'MISSED'}"
    )
    return reached


if __name__ == "__main__":
    sys.exit(main())
