"""A transformer block: attention, then MLP, each added to the residual stream.

    pre-norm     x ← x + f(norm(x))              post-norm     x ← norm(x + f(x))

Backward. A sum passes its gradient to both terms unchanged. So in pre-norm dx is dy itself plus what comes back through
the branch: the gradient has a straight way from the loss to every layer, which is why deep models train at all.

Shapes: x [batch pos d_model] -> the same. Weights: those of "attention_norm", "attention", "mlp_norm" and "mlp".
"""

from collections.abc import Callable
from typing import Any

from config.model_config import ModelConfig
from learn.reference import attention, layernorm, mlp, rmsnorm, swiglu
from learn.reference.arrays import Array, Weights, prefixed, under
from learn.reference.attention import Heads

NORMS = {"layernorm": layernorm, "rmsnorm": rmsnorm}
Branch = Callable[[Array], tuple[Array, Any]]


def mlp_forward(x: Array, weights: Weights, config: ModelConfig) -> tuple[Array, Any]:
    """The MLP that the config names."""
    if config.mlp == "swiglu":
        return swiglu.forward(x, weights)
    return mlp.forward(x, weights, "gelu" if config.gelu_form == "exact" else "gelu_tanh")


def forward(x: Array, weights: Weights, config: ModelConfig, heads: Heads) -> tuple[Array, Any]:
    """The stream after both parts, and what backward needs."""
    parts: list[tuple[str, Branch]] = [
        ("attention", lambda x: attention.forward(x, under(weights, "attention."), heads)),
        ("mlp", lambda x: mlp_forward(x, under(weights, "mlp."), config)),
    ]
    saved = []
    for name, part in parts:

        def norm(x: Array, name: str = name) -> tuple[Array, Any]:
            return NORMS[config.norm].forward(x, under(weights, f"{name}_norm."), config.norm_eps)

        if config.norm_placement == "pre":
            normed, saved_norm = norm(x)
            y, saved_part = part(normed)
            x = x + y
        else:
            y, saved_part = part(x)
            x, saved_norm = norm(x + y)
        saved.append((saved_norm, saved_part))
    return x, saved


def backward(dx: Array, saved: Any, config: ModelConfig) -> tuple[Array, Weights]:
    """The gradient of the stream that came in, and those of all weights."""
    norm = NORMS[config.norm]
    backwards = {"attention": attention.backward, "mlp": (swiglu if config.mlp == "swiglu" else mlp).backward}
    gradients: Weights = {}
    for (name, part_backward), (saved_norm, saved_part) in reversed(list(zip(backwards.items(), saved, strict=True))):
        if config.norm_placement == "pre":
            d_normed, of_part = part_backward(dx, saved_part)
            d_branch, of_norm = norm.backward(d_normed, saved_norm)
        else:
            dx, of_norm = norm.backward(dx, saved_norm)
            d_branch, of_part = part_backward(dx, saved_part)
        dx = dx + d_branch
        gradients |= prefixed(f"{name}.", of_part) | prefixed(f"{name}_norm.", of_norm)
    return dx, gradients
