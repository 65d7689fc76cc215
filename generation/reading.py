"""Reading tokens into a KV cache: one pass over many, of which only the last position is scored.

The unembedding is the largest matrix of a small model. A prompt of 1,000 tokens needs one row of its scores, not 1,000.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from components.kv_cache import KVCache


def last_logits(
    model: nn.Module,
    tokens: Int[Tensor, "batch pos"],
    cache: KVCache | None = None,
    padding_mask: Bool[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, "batch d_vocab"]:
    """Logits after the last token of each row, in float32 on the CPU, where samplers work."""
    parts: Any = model  # nn.Module's attributes have no type
    x = parts.stream(tokens, cache, padding_mask)[:, -1:]
    return parts.unembedding(x, parts.token_embedding.weight)[:, -1].float().cpu()


def left_padded(rows: list[list[int]], device: torch.device) -> tuple[Int[Tensor, "batch pos"], Tensor | None]:
    """The rows as one tensor, shorter ones padded before the text, and which tokens are real (None: all)."""
    longest = max(map(len, rows))
    tokens = torch.tensor([[0] * (longest - len(row)) + row for row in rows], device=device)
    if all(len(row) == longest for row in rows):
        return tokens, None
    n_padding = torch.tensor([[longest - len(row)] for row in rows], device=device)  # [batch 1]
    return tokens, torch.arange(longest, device=device) >= n_padding
