"""Query and key norm: queries and keys are normalized before they meet, so that no score can grow without bound.

    head            each head's query by itself, one gain for all heads          [d_head]
    full            all heads together, before they are looked at apart          [head · d_head]
    head_separate   each head's query by itself, with a gain of its own          [head · d_head]

A score is at most |q| |k| · scale, and a norm makes |q| = |k| = √d_head times the gain: with a norm on each head scores
stay below √d_head. Without one they can grow until the softmax knows only 0 and 1, and training diverges.
The norm is the model's own (LayerNorm or RMSNorm), and comes before RoPE, which changes no length.

Papers: Henry et al. 2020, arXiv:2010.04245; for large models, Dehghani et al. 2023, arXiv:2302.05442, section 2. By
head in Qwen 3 (arXiv:2505.09388), full in OLMo 2 (arXiv:2501.00656, section 2.1), with separate gains in Cohere's
Command R+. Shapes: [batch head pos d_head] -> [batch head pos d_head].
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from components.registry import resolve
from config.model_config import ModelConfig

Heads = Float[Tensor, "batch head pos d_head"]


class QueryKeyNorm(nn.Module):
    """The norm of the queries of all heads, or of the keys of all kv heads, in any implementation of the norm."""

    def __init__(self, config: ModelConfig, n_heads: int, implementation: str) -> None:
        super().__init__()
        norm = resolve("norm", config.norm, implementation)
        self.is_full = config.qk_norm == "full"
        self.weight = None
        self.has_unit_offset = config.norm_unit_offset
        if config.qk_norm == "head_separate":
            self.norm = norm(config.replace(norm_gain=False, norm_bias=False), config.head_dim)
            first = torch.zeros if self.has_unit_offset else torch.ones
            self.weight = nn.Parameter(first(n_heads * config.head_dim)) if config.norm_gain else None
        else:
            self.norm = norm(config, n_heads * config.head_dim if self.is_full else config.head_dim)

    def forward(self, x: Heads) -> Heads:
        """Normalize over d_head, or over heads and d_head."""
        if self.is_full:
            together = x.transpose(1, 2)  # [batch pos head d_head]
            return self.norm(together.flatten(2)).view(together.shape).transpose(1, 2)
        y = self.norm(x)
        if self.weight is None:
            return y
        gain = self.weight.view(x.shape[1], 1, x.shape[3])  # [head 1 d_head]
        return y * (1.0 + gain if self.has_unit_offset else gain)
