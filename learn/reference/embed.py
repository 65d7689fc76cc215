"""Looking things up: a learned vector for each token, and one for each position.

    x[b, p] = E[token[b, p]]                    E: [d_vocab d_model]
    x[b, p] = x[b, p] + P[p]                    P: [n_ctx d_model]

Backward. A look-up copies a row, so the row gets the sum of the gradients of all places where it was used. A token
that did not occur gets none.

Shapes: tokens [batch pos], whole numbers -> x [batch pos d_model].
"""

import numpy as np

from learn.reference.arrays import Array


def forward(tokens: Array, E: Array) -> Array:
    """The row of E for each token."""
    return E[tokens]


def backward(dx: Array, tokens: Array, E: Array) -> Array:
    """dE: each row the sum over the places that used it."""
    dE = np.zeros_like(E)
    np.add.at(dE, tokens, dx)  # dE[tokens] += dx would keep only one of several uses of a row
    return dE


def add_positions(x: Array, P: Array) -> Array:
    """x plus the vector of each position."""
    return x + P[: x.shape[1]]


def add_positions_backward(dx: Array, P: Array) -> Array:
    """dP: row p the sum over the batch; rows beyond the text get nothing. dx itself passes through unchanged."""
    dP = np.zeros_like(P)
    dP[: dx.shape[1]] = dx.sum(axis=0)
    return dP
