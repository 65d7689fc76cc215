"""A linear map: every output is a weighted sum of all inputs.

    y = x Wᵀ + b                          W: [out in], b: [out], or none

Backward. y_o = Σ_i W_oi x_i, so x_i reaches every output through W_oi, and W_oi is used once for every row of x:

    dx = dy W        dW = dyᵀ x, summed over all rows        db = Σ dy over all rows

Shapes: x [… in] -> y [… out]. Weights: "weight", and "bias" if there is one.
"""

from learn.reference.arrays import Array, Weights, sum_to_last_axes

Saved = tuple[Array, Weights]


def forward(x: Array, weights: Weights) -> tuple[Array, Saved]:
    """y, and what backward needs."""
    y = x @ weights["weight"].T
    if "bias" in weights:
        y = y + weights["bias"]
    return y, (x, weights)


def backward(dy: Array, saved: Saved) -> tuple[Array, Weights]:
    """dx, and the gradients of the weights."""
    x, weights = saved
    W = weights["weight"]
    dx = dy @ W
    rows_dy, rows_x = dy.reshape(-1, W.shape[0]), x.reshape(-1, W.shape[1])
    gradients = {"weight": rows_dy.T @ rows_x}
    if "bias" in weights:
        gradients["bias"] = sum_to_last_axes(dy, 1)
    return dx, gradients
