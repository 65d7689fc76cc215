"""Latent attention (MLA): the keys and values of all heads are unpacked from one small vector, and only that is cached.

    c = RMSNorm(x W_c)                    the latent: kv_rank numbers for each token
    k_h, v_h = c W_h                      unpacked: a key (d_head) and a value (d_head_value) for each head h
    r = RoPE(x W_r)                       one more key (d_head_rope), for all heads: it alone knows its position
    q_h, t_h = x W_q, RoPE(x W_t)         or from a latent of queries in the place of x, where q_rank is set
    score of head h = (q_h · k_h + t_h · r) / √(d_head + d_head_rope)

Paper: DeepSeek-V2, arXiv:2405.04434, section 2.1, equations 9-19; also in DeepSeek-V3, arXiv:2412.19437, section 2.1.1.
Shapes: [batch pos d_model] -> [batch pos d_model]. latent_proj gives [c | r], query_proj for each head [q | t],
unpack_proj for each head [k | v].

    cached for each token     all heads 2 · n_heads · d_head      here kv_rank + d_head_rope      (V2: 32,768 and 576)

Why the position needs a key of its own: RoPE between unpacking and score would bind the unpacked key to its place, and
every cached latent would have to be unpacked again for each new token. Without it, q · (W c) = (Wᵀ q) · c: the query is
packed instead of all the keys unpacked, and attention happens among latents. The fused implementation does so where
that is less work, as when a text is written token by token.
What departs from the paper: other positions than RoPE have no shared key. The norms of the latents keep ε = 1e-6 and
are RMSNorms whatever the model's norm is, as in the published models.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from components.activation_point import activation_points
from components.attention_kernels import attend
from components.attention_mask import AttentionMask, causal_mask
from components.attention_sinks import softmax_with_sinks, with_sink_key
from components.kv_cache import LayerCache
from components.linear import einsum_linear, matrix_of
from components.position import Position
from components.registry import resolve
from config.model_config import ModelConfig

Stream = Float[Tensor, "batch pos d_model"]
LATENT_EPS = 1e-6


class LatentAttention(nn.Module, ABC):
    """Holds the projections down to the latents, their norms, the projections up again, and the output projection."""

    implementation: ClassVar[str]
    query_norm: nn.Module

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_heads, self.scale, self.dropout = config.n_heads, config.score_scale, config.dropout
        self.query_widths = (config.head_dim, config.rope_head_dim)
        self.latent_widths = (config.latent_rank, config.rope_head_dim)
        self.unpacked_widths = (config.head_dim, config.value_head_dim)
        norm, of_latents = resolve("norm", "rmsnorm", self.implementation), config.replace(norm_eps=LATENT_EPS)
        self.query_latent_proj, self.query_norm, d_source = None, nn.Identity(), config.d_model
        if config.q_rank is not None:
            self.query_latent_proj = nn.Linear(config.d_model, config.q_rank, bias=config.qkv_bias)
            self.query_norm, d_source = norm(of_latents, config.q_rank), config.q_rank
        self.query_proj = nn.Linear(d_source, config.n_heads * sum(self.query_widths), bias=False)
        self.latent_proj = nn.Linear(config.d_model, sum(self.latent_widths), bias=config.qkv_bias)
        self.latent_norm = norm(of_latents, config.latent_rank)
        self.unpack_proj = nn.Linear(config.latent_rank, config.n_heads * sum(self.unpacked_widths), bias=False)
        self.out_proj = nn.Linear(config.d_attention, config.d_model, bias=config.attention_out_bias)
        self.sinks = nn.Parameter(torch.zeros(config.n_heads)) if config.attention_sinks else None
        self.hook_q, self.hook_k, self.hook_v = activation_points(3)
        self.hook_attn_scores, self.hook_pattern, self.hook_z = activation_points(3)

    def project(self, x: Stream, position: Position, offset: int) -> tuple[Tensor, Tensor, Tensor]:
        """[q | t] of every head [batch head pos d_query], c [batch 1 pos rank] and r [batch 1 pos d_rope]."""
        source = x if self.query_latent_proj is None else self.query_norm(self.query_latent_proj(x))
        query = self.query_proj(source).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
        query, turned_query = query.split(self.query_widths, dim=-1)
        latent, shared_key = self.latent_proj(x)[:, None].split(self.latent_widths, dim=-1)
        query = torch.cat((query, position.rotate(turned_query, offset)), dim=-1)
        return query, self.latent_norm(latent), position.rotate(shared_key, offset)

    def unpack(self, latent: Tensor, shared_key: Tensor) -> tuple[Tensor, Tensor]:
        """[k | r] [batch head key d_query] and v [batch head key d_value] of every head."""
        unpacked = self.unpack_proj(latent[:, 0]).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
        key, value = unpacked.split(self.unpacked_widths, dim=-1)
        return torch.cat((key, shared_key.expand(-1, self.n_heads, -1, -1)), dim=-1), value

    @abstractmethod
    def forward(
        self, x: Stream, position: Position, mask: AttentionMask | None = None, cache: LayerCache | None = None
    ) -> Stream:
        """Attend. Without a mask a token sees itself and all before it. With a cache, x holds only the new tokens."""


class LatentAttentionEinops(LatentAttention):
    """Every axis has its name."""

    implementation = "einops"

    def forward(
        self, x: Stream, position: Position, mask: AttentionMask | None = None, cache: LayerCache | None = None
    ) -> Stream:
        source = x if self.query_latent_proj is None else self.query_norm(einsum_linear(self.query_latent_proj, x))
        query = einsum_linear(self.query_proj, source)
        query = rearrange(query, "batch pos (head d_query) -> batch head pos d_query", head=self.n_heads)
        query, turned_query = query.split(self.query_widths, dim=-1)
        latent, shared_key = einsum_linear(self.latent_proj, x).split(self.latent_widths, dim=-1)
        latent = rearrange(self.latent_norm(latent), "batch pos rank -> batch 1 pos rank")
        shared_key = rearrange(shared_key, "batch pos d_rope -> batch 1 pos d_rope")
        offset = 0 if cache is None else cache.offset
        turned_query, shared_key = position.rotate(turned_query, offset), position.rotate(shared_key, offset)
        if cache is not None:
            shared_key, latent = cache.append(shared_key, latent)
        if mask is None:
            mask = causal_mask(query.shape[2], latent.shape[2], x.device)

        unpacked = einsum_linear(self.unpack_proj, rearrange(latent, "batch 1 key rank -> batch key rank"))
        unpacked = rearrange(unpacked, "batch key (head d_both) -> batch head key d_both", head=self.n_heads)
        key, value = unpacked.split(self.unpacked_widths, dim=-1)
        query, key, value = self.hook_q(query), self.hook_k(key), self.hook_v(value)
        scores = einsum(query, key, "batch head query d_head, batch head key d_head -> batch head query key")
        shared_key = rearrange(shared_key, "batch 1 key d_rope -> batch key d_rope")
        by_place = einsum(turned_query, shared_key, "batch head query d_rope, batch key d_rope -> batch head query key")
        scores = self.hook_attn_scores((scores + by_place) * self.scale + mask.added)
        pattern = self.hook_pattern(mask.silence_blind(softmax_with_sinks(scores, self.sinks)))
        pattern = F.dropout(pattern, self.dropout, self.training)
        mixed = einsum(pattern, value, "batch head query key, batch head key d_value -> batch head query d_value")
        mixed = rearrange(self.hook_z(mixed), "batch head query d_value -> batch query (head d_value)")
        return einsum_linear(self.out_proj, mixed)


class LatentAttentionTorch(LatentAttention):
    """The same with views and matrix products; the two parts of a score are one product of joined vectors."""

    implementation = "torch"

    def forward(
        self, x: Stream, position: Position, mask: AttentionMask | None = None, cache: LayerCache | None = None
    ) -> Stream:
        query, latent, shared_key = self.project(x, position, 0 if cache is None else cache.offset)
        if cache is not None:
            shared_key, latent = cache.append(shared_key, latent)
        if mask is None:
            mask = causal_mask(query.shape[2], latent.shape[2], x.device)
        key, value = self.unpack(latent, shared_key)
        scores = query @ key.transpose(-2, -1) * self.scale + mask.added  # [batch head query key]
        pattern = mask.silence_blind(softmax_with_sinks(scores, self.sinks))
        mixed = F.dropout(pattern, self.dropout, self.training) @ value  # [batch head query d_value]
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class LatentAttentionFused(LatentAttention):
    """One kernel that never stores the pattern; among latents where few queries meet many keys."""

    implementation = "fused"

    def forward(
        self, x: Stream, position: Position, mask: AttentionMask | None = None, cache: LayerCache | None = None
    ) -> Stream:
        query, latent, shared_key = self.project(x, position, 0 if cache is None else cache.offset)
        if cache is not None:
            shared_key, latent = cache.append(shared_key, latent)
        among_latents = cache is not None and self.packing_is_less_work(query.shape[2])
        if among_latents:
            query, key, value = self.pack(query), torch.cat((latent, shared_key), dim=-1), latent
        else:
            key, value = self.unpack(latent, shared_key)
        if self.sinks is not None:
            key, value, mask = with_sink_key(key, value, mask, query.shape[2], self.sinks)
        mixed = attend(query, key, value, mask, self.dropout if self.training else 0.0, self.scale)
        if among_latents:
            mixed = mixed @ self.unpacking[:, self.unpacked_widths[0] :].transpose(1, 2)  # [batch head query d_value]
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    @property
    def unpacking(self) -> Float[Tensor, "head d_both rank"]:
        """The matrix that unpacks keys and values, head by head."""
        return matrix_of(self.unpack_proj).unflatten(0, (self.n_heads, -1))

    def pack(self, query: Float[Tensor, "batch head query d_query"]) -> Float[Tensor, "batch head query packed"]:
        """Queries as latents, to meet latents: q · (W c) = (Wᵀ q) · c; what is turned stays behind them."""
        plain, turned = query.split(self.query_widths, dim=-1)
        return torch.cat((plain @ self.unpacking[:, : self.unpacked_widths[0]], turned), dim=-1)

    def packing_is_less_work(self, n_query: int) -> bool:
        """For each key: unpacking it for a head, against products with all queries that are longer by so much.

        Never where something stands in for the map that unpacks (an adapter): its matrix alone is not all it computes.
        """
        if type(self.unpack_proj) is not nn.Linear:
            return False
        rank, unpacked = self.latent_widths[0], sum(self.unpacked_widths)
        return n_query * (2 * rank - unpacked) < rank * unpacked


VARIANTS = {"einops": LatentAttentionEinops, "torch": LatentAttentionTorch, "fused": LatentAttentionFused}
