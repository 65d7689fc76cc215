"""Causal self-attention (Vaswani et al. 2017, arXiv:1706.03762, 3.2; grouped: Ainslie et al. 2023, arXiv:2305.13245).

    q, k, v = x Wᵀ + b, cut into heads               S = q kᵀ / √d_head + bias, the future −∞
    P = softmax(S)          z = P v          y = (heads of z side by side) W_oᵀ + b_o

Backward, step by step from the end:

    dP = dz vᵀ        dv = Pᵀ dz        dS = P ⊙ (dP − Σ P ⊙ dP)        dq = dS k / √d_head        dk = dSᵀ q / √d_head

Query heads that share a key/value head used a copy of it each, so its gradient is the sum over its group. RoPE turns q
and k after the projection; on the way back their gradients are turned back before it. Where the mask put −∞, P is 0,
and with it dS: nothing flows to the future, and no line of code has to say so.

Shapes: x [batch pos d_model]; q, z [batch head pos d_head]; k, v [batch kv_head pos d_head]; S, P [batch head pos pos].
Weights: "qkv_proj.weight" with the rows [q of all heads | k of all kv heads | v of all kv heads], "out_proj.weight",
and biases if there are any.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from learn.reference import linear, rope
from learn.reference.arrays import Array, Weights, prefixed, softmax, softmax_backward, under


@dataclass(frozen=True)
class Heads:
    """How many heads, how wide, and what positions do to them."""

    n_heads: int
    kv_heads: int
    d_head: int
    angles: Array | None = None  # RoPE's [pos pair], or no rotation
    bias: Array | None = None  # ALiBi's [head query key], or none


def split_heads(x: Array, d_head: int) -> Array:
    """[batch pos (head d_head)] -> [batch head pos d_head]."""
    batch, pos, _ = x.shape
    return x.reshape(batch, pos, -1, d_head).transpose(0, 2, 1, 3)


def join_heads(x: Array) -> Array:
    """[batch head pos d_head] -> [batch pos (head d_head)]."""
    batch, _, pos, _ = x.shape
    return x.transpose(0, 2, 1, 3).reshape(batch, pos, -1)


def sum_groups(x: Array, group: int) -> Array:
    """[batch head …] -> [batch kv_head …]: neighbours that shared a key/value head, added up."""
    return x.reshape(x.shape[0], -1, group, *x.shape[2:]).sum(axis=2)


def forward(x: Array, weights: Weights, heads: Heads) -> tuple[Array, Any]:
    """y, and what backward needs."""
    qkv, saved_qkv = linear.forward(x, under(weights, "qkv_proj."))
    borders = [heads.n_heads, heads.n_heads + heads.kv_heads]
    q, k, v = np.split(split_heads(qkv, heads.d_head), borders, axis=1)
    if heads.angles is not None:
        q, k = rope.forward(q, heads.angles), rope.forward(k, heads.angles)
    group = heads.n_heads // heads.kv_heads
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)

    S = q @ k.swapaxes(-1, -2) / math.sqrt(heads.d_head)
    if heads.bias is not None:
        S = S + heads.bias.astype(S.dtype)
    future = np.triu(np.ones(S.shape[-2:], dtype=bool), k=1)
    P = softmax(np.where(future, -np.inf, S))
    y, saved_out = linear.forward(join_heads(P @ v), under(weights, "out_proj."))
    return y, (q, k, v, P, saved_qkv, saved_out, heads)


def backward(dy: Array, saved: Any) -> tuple[Array, Weights]:
    """dx, and the gradients of both projections."""
    q, k, v, P, saved_qkv, saved_out, heads = saved
    dz_joined, out = linear.backward(dy, saved_out)
    dz = split_heads(dz_joined, heads.d_head)

    dS = softmax_backward(dz @ v.swapaxes(-1, -2), P) / math.sqrt(heads.d_head)
    group = heads.n_heads // heads.kv_heads
    dq = dS @ k
    dk = sum_groups(dS.swapaxes(-1, -2) @ q, group)
    dv = sum_groups(P.swapaxes(-1, -2) @ dz, group)
    if heads.angles is not None:
        dq, dk = rope.backward(dq, heads.angles), rope.backward(dk, heads.angles)
    dx, qkv = linear.backward(join_heads(np.concatenate((dq, dk, dv), axis=1)), saved_qkv)
    return dx, prefixed("qkv_proj.", qkv) | prefixed("out_proj.", out)
