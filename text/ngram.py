"""What counting alone can predict: losses that a trained model must beat before its loss means anything.

    uniform   every token equally likely: ln(d_vocab)
    1-gram    how often each token occurs
    n-gram    which token follows the n - 1 tokens before it

Most 6-grams of a new text were never seen in training, so every model is interpolated with the next simpler one. The
smoothing is modified Kneser-Ney (Chen and Goodman 1998, "An Empirical Study of Smoothing Techniques for Language
Modeling", section 3): with h the context, h' the context without its first token,

    p(w | h) = (c(h w) - D(c(h w)) + m(h) p'(w | h')) / c(h)        m(h) = sum of D(c(h v)) over the v seen after h

D takes a little from every count, about half of it from a count of 1, and m(h) hands that to the simpler model p'.
Only the model itself counts how often h w occurs. The simpler models below it count *behind how many different tokens*
it occurs: "Francisco" is frequent, but only behind "San", so it is a bad guess anywhere else. Below the 1-gram stands
the uniform model, so no token has probability zero. The discounts come from the training counts alone, without tuning.

All results are in nats per token, and all score the same tokens of the validation split: every one but the first.
"""

import math
from dataclasses import dataclass

import numpy as np

UNSEEN = -1


def uniform_nats(d_vocab: int) -> float:
    """Loss of a model that knows nothing: ln(d_vocab)."""
    return math.log(d_vocab)


def ngram_nats(train: np.ndarray, val: np.ndarray, d_vocab: int, orders: int = 6) -> list[float]:
    """Losses on `val` of the models with 1, 2 ... `orders` tokens, counted on `train`.

    Args:
        train: `[token]` ids of the training split, at least `orders`.
        val: `[token]` ids of the validation split, at least 2.
    """
    return [float(-np.log(model[1:]).mean()) for model in ngram_probabilities(train, val, d_vocab, orders)]


def ngram_probabilities(train: np.ndarray, val: np.ndarray, d_vocab: int, orders: int) -> list[np.ndarray]:
    """What each model, 1-gram first, gives to every token of `val` after the tokens before it: `[token]` each.

    The first tokens of `val` have a shorter context than a long model asks for: there the simpler model decides.
    """
    train, val = np.asarray(train, dtype=np.int64), np.asarray(val, dtype=np.int64)
    simpler = np.full(len(val), 1 / d_vocab)
    below: _Grams | None = None
    models = []
    for order in range(1, orders + 1):
        grams = _count(train, val, d_vocab, order, below)
        if below is not None:
            # Each different gram of this length is one different token in front of the gram that is shorter by one.
            kinds = np.bincount(below.at_train[grams.last], minlength=len(below.counts))
            simpler = _discounted(kinds, below, simpler)
        models.append(_discounted(grams.counts, grams, simpler))
        below = grams
    return models


@dataclass(frozen=True)
class _Grams:
    """All different grams (runs of tokens) of one length in the training split, numbered from 0."""

    counts: np.ndarray  # [gram] how often each occurs
    context: np.ndarray  # [gram] number of the shorter gram that is its context
    n_contexts: int
    last: np.ndarray  # [gram] position of its last token in the training split, at one of its places
    at_train: np.ndarray  # [position] the gram that ends here; UNSEEN where the split has just begun
    at_val: np.ndarray  # [position] the same in the validation split; UNSEEN also for one that training does not have
    context_at_val: np.ndarray  # [position] the context alone, known more often than the whole gram


def _count(train: np.ndarray, val: np.ndarray, d_vocab: int, order: int, below: _Grams | None) -> _Grams:
    """Number the grams of length `order`: each is its context, which has a number already, and one more token."""
    start = order - 1
    if below is None:
        contexts, n_contexts = np.zeros(len(train), dtype=np.int64), 1
        context_at_val = np.zeros(len(val), dtype=np.int64)
    else:
        contexts, n_contexts = below.at_train[start - 1 : -1], len(below.counts)
        context_at_val = np.concatenate([[UNSEEN], below.at_val[:-1]])
    # Below 2^63: a number of a gram is below the number of tokens.
    codes, first, numbers, counts = np.unique(
        contexts * d_vocab + train[start:], return_index=True, return_inverse=True, return_counts=True
    )
    at_train = np.full(len(train), UNSEEN)
    at_train[start:] = numbers
    wanted = np.where(context_at_val == UNSEEN, UNSEEN, context_at_val * d_vocab + val)
    place = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    at_val = np.where(codes[place] == wanted, place, UNSEEN)
    return _Grams(counts, codes // d_vocab, n_contexts, first + start, at_train, at_val, context_at_val)


def _discounted(counts: np.ndarray, grams: _Grams, simpler: np.ndarray) -> np.ndarray:
    """The formula above for every token of the validation split; an unknown context leaves the simpler model."""
    taken = _discounts(counts)[np.minimum(counts, 3)]
    total = np.bincount(grams.context, weights=counts, minlength=grams.n_contexts)
    free = np.bincount(grams.context, weights=taken, minlength=grams.n_contexts)
    kept = np.where(grams.at_val == UNSEEN, 0, (counts - taken)[grams.at_val])
    total_here = np.where(grams.context_at_val == UNSEEN, 0, total[grams.context_at_val])
    free_here = free[grams.context_at_val]
    return np.where(total_here > 0, (kept + free_here * simpler) / np.maximum(total_here, 1), simpler)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What to take from counts of 0, 1, 2, and 3 or more: `[4]` (Chen and Goodman, equation 17).

    The estimate needs grams that occur once and twice. Where there are none (all tokens are frequent), it is half a
    count; and never nothing, so that unseen tokens stay possible.
    """
    ones, twos, threes, fours = np.bincount(np.minimum(counts, 5), minlength=6)[1:5]
    if not (ones and twos):
        return np.array([0, 0.5, 0.5, 0.5])
    share = ones / (ones + 2 * twos)
    three_or_more = 3 - 4 * share * fours / threes if threes else 0.5
    return np.array([0, share, max(2 - 3 * share * threes / twos, 0.05), max(three_or_more, 0.05)])
