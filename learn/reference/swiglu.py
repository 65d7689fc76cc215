"""SwiGLU (Shazeer 2020, arXiv:2002.05202): two widenings of a token, of which one gates the other.

    g = x W_gateᵀ          u = x W_upᵀ          h = silu(g) ⊙ u          y = h W_downᵀ

Backward. A product sends to each factor the gradient times the other factor: du = dh ⊙ silu(g), and
dg = dh ⊙ u ⊙ silu′(g). Both come from x, so dx is the sum of what returns through W_gate and through W_up.

Shapes: x [… d_model] -> g, u, h [… d_mlp] -> y [… d_model].
Weights: "gate_proj.weight", "up_proj.weight", "down_proj.weight", and biases if there are any.
"""

from typing import Any

from learn.reference import linear
from learn.reference.activations import silu, silu_slope
from learn.reference.arrays import Array, Weights, prefixed, under


def forward(x: Array, weights: Weights) -> tuple[Array, Any]:
    """y, and what backward needs."""
    g, saved_gate = linear.forward(x, under(weights, "gate_proj."))
    u, saved_up = linear.forward(x, under(weights, "up_proj."))
    y, saved_down = linear.forward(silu(g) * u, under(weights, "down_proj."))
    return y, (g, u, saved_gate, saved_up, saved_down)


def backward(dy: Array, saved: Any) -> tuple[Array, Weights]:
    """dx, and the gradients of the three maps."""
    g, u, saved_gate, saved_up, saved_down = saved
    dh, down = linear.backward(dy, saved_down)
    dx_gate, gate = linear.backward(dh * u * silu_slope(g), saved_gate)
    dx_up, up = linear.backward(dh * silu(g), saved_up)
    gradients = prefixed("gate_proj.", gate) | prefixed("up_proj.", up) | prefixed("down_proj.", down)
    return dx_gate + dx_up, gradients
