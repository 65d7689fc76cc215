"""Causal self-attention: every token gathers from the tokens before it what it finds relevant.

    q, k, v = x W_q, x W_k, x W_v          split into heads of width d_head
    pattern = softmax(q kᵀ · scale + mask)       one row of weights for each query, summing to 1; scale = 1 / √d_head
    y = concat_heads(pattern v) W_o

Papers: Vaswani et al. 2017, arXiv:1706.03762, section 3.2. Sharing keys and values: one head for all (MQA), Shazeer
2019, arXiv:1911.02150, section 3; in groups (GQA), Ainslie et al. 2023, arXiv:2305.13245, section 2.2.

    heads      q q q q q q        q q q q q q        q q q q q q
               | | | | | |        \\|/   \\|/          \\ \\ | | / /
    kv heads   k k k k k k         k     k                k
               MHA, 6 : 6         GQA, 6 : 2         MQA, 6 : 1

Shapes: [batch pos d_model] -> [batch pos d_model]. qkv_proj is one packed matrix with d_head rows for each head, in the
order [q of all heads | k of all kv heads | v of all kv heads]. Head h uses kv head h // (n_heads / kv_heads).
What departs from the paper: biases are optional, positions may act here (components/position.py), and a query that may
look at nothing gets zeros (components/attention_mask.py). Dropout acts on the pattern, as in the paper's code. Off by
default: a sink for each head (components/attention_sinks.py), a norm on queries and keys (query_key_norm.py), all three
cut off at a size (clip_qkv, MPT), another scale, and a cap that scores approach and never pass, cap · tanh(scores/cap)
(Gemma 2, arXiv:2408.00118, section 2).
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from components.activation_point import activation_points
from components.attention_kernels import attend
from components.attention_mask import AttentionMask, causal_mask
from components.attention_sinks import softmax_with_sinks, with_sink_key
from components.kv_cache import LayerCache
from components.linear import einsum_linear
from components.position import Position
from components.query_key_norm import QueryKeyNorm
from config.model_config import ModelConfig

Stream = Float[Tensor, "batch pos d_model"]
Queries = Float[Tensor, "batch head query d_head"]
NewKeys = Float[Tensor, "batch kv_head query d_head"]
Keys = Float[Tensor, "batch kv_head key d_head"]
Pattern = Float[Tensor, "batch head query key"]


class Attention(nn.Module, ABC):
    """Holds the packed projection and the output projection."""

    implementation: ClassVar[str]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_heads, self.kv_heads, self.d_head = config.n_heads, config.kv_heads, config.head_dim
        self.heads_in_qkv = (self.n_heads, self.kv_heads, self.kv_heads)
        self.group = self.n_heads // self.kv_heads  # how many heads share one kv head
        self.scale = config.score_scale
        self.cap, self.clip, self.dropout = config.attention_softcap, config.clip_qkv, config.dropout
        self.qkv_proj = nn.Linear(config.d_model, sum(self.heads_in_qkv) * self.d_head, bias=config.qkv_bias)
        self.query_norm, self.key_norm = None, None
        if config.qk_norm != "none":
            self.query_norm = QueryKeyNorm(config, self.n_heads, self.implementation)
            self.key_norm = QueryKeyNorm(config, self.kv_heads, self.implementation)
        self.out_proj = nn.Linear(config.d_attention, config.d_model, bias=config.attention_out_bias)
        self.sinks = nn.Parameter(torch.zeros(config.n_heads)) if config.attention_sinks else None
        self.hook_q, self.hook_k, self.hook_v = activation_points(3)
        self.hook_attn_scores, self.hook_pattern, self.hook_z = activation_points(3)

    def prepared(
        self, query: Queries, key: NewKeys, value: NewKeys, position: Position, cache: LayerCache | None
    ) -> tuple[Queries, Keys, Keys]:
        """Queries and what they meet: normed, cut off, turned to their positions, behind what the cache holds."""
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        if self.clip is not None:
            query, key, value = (part.clamp(-self.clip, self.clip) for part in (query, key, value))
        offset = 0 if cache is None else cache.offset
        query, key = position.rotate(query, offset), position.rotate(key, offset)
        return (query, key, value) if cache is None else (query, *cache.append(key, value))

    def capped(self, scores: Pattern) -> Pattern:
        """Scores that stay between −cap and cap, where there is a cap."""
        return scores if self.cap is None else self.cap * (scores / self.cap).tanh()

    @abstractmethod
    def forward(
        self, x: Stream, position: Position, mask: AttentionMask | None = None, cache: LayerCache | None = None
    ) -> Stream:
        """Attend. Without a mask a token sees itself and all before it. With a cache, x holds only the new tokens."""


class AttentionEinops(Attention):
    """Every axis has its name."""

    implementation = "einops"

    def forward(
        self, x: Stream, position: Position, mask: AttentionMask | None = None, cache: LayerCache | None = None
    ) -> Stream:
        qkv = einsum_linear(self.qkv_proj, x)
        qkv = rearrange(qkv, "batch pos (head d_head) -> batch head pos d_head", d_head=self.d_head)
        query, key, value = qkv.split(self.heads_in_qkv, dim=1)
        query, key, value = self.hook_q(query), self.hook_k(key), self.hook_v(value)
        query, key, value = self.prepared(query, key, value, position, cache)
        if mask is None:
            mask = causal_mask(query.shape[2], key.shape[2], x.device)

        key = repeat(key, "batch kv_head key d_head -> batch (kv_head group) key d_head", group=self.group)
        value = repeat(value, "batch kv_head key d_head -> batch (kv_head group) key d_head", group=self.group)
        scores = einsum(query, key, "batch head query d_head, batch head key d_head -> batch head query key")
        scores = self.hook_attn_scores(self.capped(scores * self.scale) + mask.added)
        pattern = self.hook_pattern(mask.silence_blind(softmax_with_sinks(scores, self.sinks)))
        pattern = F.dropout(pattern, self.dropout, self.training)
        mixed = einsum(pattern, value, "batch head query key, batch head key d_head -> batch head query d_head")
        mixed = self.hook_z(mixed)
        return einsum_linear(self.out_proj, rearrange(mixed, "batch head query d_head -> batch query (head d_head)"))


class AttentionTorch(Attention):
    """The same with views, transposes and matrix products."""

    implementation = "torch"

    def forward(
        self, x: Stream, position: Position, mask: AttentionMask | None = None, cache: LayerCache | None = None
    ) -> Stream:
        batch, n_query, _ = x.shape
        qkv = self.qkv_proj(x).view(batch, n_query, -1, self.d_head).transpose(1, 2)
        query, key, value = qkv.split(self.heads_in_qkv, dim=1)  # [batch head|kv_head|kv_head pos d_head]
        query, key, value = self.prepared(query, key, value, position, cache)
        if mask is None:
            mask = causal_mask(n_query, key.shape[2], x.device)

        key = key.repeat_interleave(self.group, dim=1)  # [batch head key d_head]
        value = value.repeat_interleave(self.group, dim=1)
        scores = self.capped(query @ key.transpose(-2, -1) * self.scale) + mask.added  # [batch head query key]
        pattern = mask.silence_blind(softmax_with_sinks(scores, self.sinks))
        pattern = F.dropout(pattern, self.dropout, self.training)
        mixed = pattern @ value  # [batch head query d_head]
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, n_query, -1))


class AttentionFused(Attention):
    """One kernel that never stores the pattern; the triangle is a flag, not a tensor."""

    implementation = "fused"

    def forward(
        self, x: Stream, position: Position, mask: AttentionMask | None = None, cache: LayerCache | None = None
    ) -> Stream:
        batch, n_query, _ = x.shape
        # Views, no copies; cut before the axes are swapped, so that the backward pass writes one gradient, not two.
        parts = self.qkv_proj(x).view(batch, n_query, -1, self.d_head).split(self.heads_in_qkv, dim=2)
        query, key, value = (part.transpose(1, 2) for part in parts)
        query, key, value = self.prepared(query, key, value, position, cache)
        if self.sinks is not None:
            key, value, mask = with_sink_key(key, value, mask, n_query, self.sinks)
        mixed = attend(query, key, value, mask, self.dropout if self.training else 0.0, self.scale, self.cap)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, n_query, -1))


VARIANTS = {"einops": AttentionEinops, "torch": AttentionTorch, "fused": AttentionFused}
