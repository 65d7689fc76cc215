"""What counting alone can predict: losses that a trained model must beat before its loss means anything.

    uniform   every token equally likely                          ln(d_vocab)
    unigram   how often each token occurs                         p1(b)
    bigram    which token follows which                           p2(b | a)

Pairs that the training split has never seen must not have probability zero, so each model is interpolated with the
next simpler one, after Witten and Bell (1991): with c(a) the number of times that a was followed by something, and t(a)
the number of different tokens that followed it,

    p2(b | a) = (c(a, b) + t(a) p1(b)) / (c(a) + t(a))            p1(b) = (c(b) + t / d_vocab) / (c + t)

All results are in nats per token of the validation split, and all score the same tokens: every one but the first.
"""

import math

import numpy as np


def uniform_nats(d_vocab: int) -> float:
    """Loss of a model that knows nothing: ln(d_vocab)."""
    return math.log(d_vocab)


def unigram_nats(train: np.ndarray, val: np.ndarray, d_vocab: int) -> float:
    """Loss of knowing how often each token occurs in `train`, on `val`."""
    return float(-np.log(_unigram(train, d_vocab)[np.asarray(val[1:])]).mean())


def bigram_nats(train: np.ndarray, val: np.ndarray, d_vocab: int) -> float:
    """Loss of knowing which token follows which in `train`, on `val`.

    Args:
        train: `[token]` ids of the training split, at least 2.
        val: `[token]` ids of the validation split, at least 2.
    """
    pairs, pair_counts = np.unique(_pair_codes(train, d_vocab), return_counts=True)
    firsts = (pairs // np.uint64(d_vocab)).astype(np.int64)
    followers = np.bincount(firsts, weights=pair_counts, minlength=d_vocab)  # c(a)
    kinds = np.bincount(firsts, minlength=d_vocab)  # t(a)

    wanted = _pair_codes(val, d_vocab)
    place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    seen = np.where(pairs[place] == wanted, pair_counts[place], 0)  # c(a, b)
    first, second = np.asarray(val[:-1]), np.asarray(val[1:])
    total = followers[first] + kinds[first]
    simpler = _unigram(train, d_vocab)[second]
    # A first token that nothing ever followed leaves only the simpler model.
    probability = np.where(total > 0, (seen + kinds[first] * simpler) / np.maximum(total, 1), simpler)
    return float(-np.log(probability).mean())


def _unigram(train: np.ndarray, d_vocab: int) -> np.ndarray:
    """p1 of every token, `[d_vocab]`."""
    counts = np.bincount(np.asarray(train), minlength=d_vocab)
    kinds = np.count_nonzero(counts)
    return (counts + kinds / d_vocab) / (counts.sum() + kinds)


def _pair_codes(tokens: np.ndarray, d_vocab: int) -> np.ndarray:
    """Each pair of neighbours as one number: first * d_vocab + second."""
    wide = np.asarray(tokens).astype(np.uint64)
    return wide[:-1] * np.uint64(d_vocab) + wide[1:]
