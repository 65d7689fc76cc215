"""LoRA (Hu et al. 2021, arXiv:2106.09685, section 4.1): a frozen linear map, and a thin detour that learns.

    y = x W₀ᵀ + (α/r) (x Aᵀ) Bᵀ           A: [r in], B: [out r], with a small rank r; α is chosen

At the beginning B = 0: the detour adds nothing, and the model is the one that was there. Merged, it is one map again:
W = W₀ + (α/r) B A.

Backward. With h = x Aᵀ and s = α/r: dB = s dyᵀ h, and through the detour dh = s dy B, so dA = dhᵀ x; x hears from both
ways. W₀ gets no gradient, hence no optimizer state. At step 0 B is zero, so dA is zero, too: B must move first.

Shapes: x [… in] -> y [… out]. Weights: "A", "B".
"""

from learn.reference.arrays import Array, Weights

Saved = tuple[Array, Array, Array, Weights, float]


def forward(x: Array, W0: Array, weights: Weights, alpha: float) -> tuple[Array, Saved]:
    """y, and what backward needs."""
    scale = alpha / weights["A"].shape[0]
    h = x @ weights["A"].T
    return x @ W0.T + scale * (h @ weights["B"].T), (x, h, W0, weights, scale)


def backward(dy: Array, saved: Saved) -> tuple[Array, Weights]:
    """dx, and the gradients of A and B."""
    x, h, W0, weights, scale = saved
    dh = scale * dy @ weights["B"]
    rows = [values.reshape(-1, values.shape[-1]) for values in (x, h, dy, dh)]
    rows_x, rows_h, rows_dy, rows_dh = rows
    return dy @ W0 + dh @ weights["A"], {"A": rows_dh.T @ rows_x, "B": scale * rows_dy.T @ rows_h}


def merged(W0: Array, weights: Weights, alpha: float) -> Array:
    """One matrix that does the same."""
    return W0 + alpha / weights["A"].shape[0] * weights["B"] @ weights["A"]
