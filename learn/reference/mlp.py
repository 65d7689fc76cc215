"""The MLP of GPT-2: every token is widened, bent, and narrowed again, each on its own.

    u = x W_upᵀ + b_up          a = gelu(u)          y = a W_downᵀ + b_down

Backward, from the end: through W_down to da; through the bend, du = da ⊙ gelu′(u); through W_up to dx.

Shapes: x [… d_model] -> u, a [… d_mlp] -> y [… d_model]. Weights: "up_proj.weight", "down_proj.weight", and biases.
"""

from typing import Any

from learn.reference import linear
from learn.reference.activations import ACTIVATIONS
from learn.reference.arrays import Array, Weights, prefixed, under


def forward(x: Array, weights: Weights, activation: str) -> tuple[Array, Any]:
    """y, and what backward needs; activation "gelu" or "gelu_tanh"."""
    bend, slope = ACTIVATIONS[activation]
    u, saved_up = linear.forward(x, under(weights, "up_proj."))
    y, saved_down = linear.forward(bend(u), under(weights, "down_proj."))
    return y, (saved_up, slope(u), saved_down)


def backward(dy: Array, saved: Any) -> tuple[Array, Weights]:
    """dx, and the gradients of both maps."""
    saved_up, slope_at_u, saved_down = saved
    da, down = linear.backward(dy, saved_down)
    dx, up = linear.backward(da * slope_at_u, saved_up)
    return dx, prefixed("up_proj.", up) | prefixed("down_proj.", down)
