"""A mixture of experts (Shazeer et al. 2017, arXiv:1701.06538; as in Mixtral, arXiv:2401.04088, section 2.1).

    s = x W_rᵀ                     one score for each expert; W_r is the router
    p = softmax(s)                 T = the k experts with the largest p
    w_e = p_e / Σ_{T} p            for e in T (renormalized; otherwise w_e = p_e)
    y = Σ_{e in T} w_e · expert_e(x)

Backward. Which experts were chosen is a decision, not a number: it has no derivative and is taken as it was. Given T,
each expert gets w_e dy; the weight gets dw_e = dy · expert_e(x), and through the quotient and the softmax that reaches
the router. So a router learns only about the experts that it asked: the reason why load has to be balanced by other
means.

Shapes: x [token d_model] -> the same. Experts are SwiGLU MLPs. Weights: "router.weight" [expert d_model] and
"experts.N.gate_proj.weight", "experts.N.up_proj.weight", "experts.N.down_proj.weight".
"""

from typing import Any

import numpy as np

from learn.reference import linear, swiglu
from learn.reference.arrays import Array, Weights, prefixed, softmax, softmax_backward, under


def route(p: Array, k: int, renormalize: bool) -> tuple[Array, Array]:
    """Which experts are chosen [token k], and the weight of every expert [token expert], zero where not chosen."""
    chosen = np.argsort(-p, axis=-1, kind="stable")[:, :k]
    mask = np.zeros_like(p)
    np.put_along_axis(mask, chosen, 1, axis=-1)
    w = p * mask
    return chosen, w / w.sum(axis=-1, keepdims=True) if renormalize else w


def forward(x: Array, weights: Weights, k: int, renormalize: bool = True) -> tuple[Array, Any]:
    """y, and what backward needs."""
    s, saved_router = linear.forward(x, under(weights, "router."))
    p = softmax(s)
    chosen, w = route(p, k, renormalize)
    y, saved_experts = np.zeros_like(x), {}
    for expert in range(p.shape[-1]):
        mine = np.flatnonzero((chosen == expert).any(axis=-1))  # the tokens that asked this expert
        out, saved = swiglu.forward(x[mine], under(weights, f"experts.{expert}."))
        y[mine] += w[mine, expert, None] * out
        saved_experts[expert] = (mine, out, saved)
    return y, (p, w, saved_router, saved_experts, renormalize)


def backward(dy: Array, saved: Any) -> tuple[Array, Weights]:
    """dx, and the gradients of the router and of every expert."""
    p, w, saved_router, saved_experts, renormalize = saved
    dx, dw = np.zeros_like(dy), np.zeros_like(p)
    gradients: Weights = {}
    for expert, (mine, out, saved_expert) in saved_experts.items():
        dx_mine, of_expert = swiglu.backward(w[mine, expert, None] * dy[mine], saved_expert)
        dx[mine] += dx_mine
        dw[mine, expert] = (dy[mine] * out).sum(axis=-1)
        gradients |= prefixed(f"experts.{expert}.", of_expert)
    dp = dw * (w > 0)
    if renormalize:  # w_e = p_e / t with t the sum over the chosen: dp_e = (dw_e − Σ w dw) / t
        total = (p * (w > 0)).sum(axis=-1, keepdims=True)
        dp = (w > 0) * (dw - (w * dw).sum(axis=-1, keepdims=True)) / total
    dx_router, of_router = linear.backward(softmax_backward(dp, p), saved_router)
    return dx + dx_router, gradients | prefixed("router.", of_router)
