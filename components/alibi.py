"""ALiBi: lowers every attention score in proportion to the distance of the two tokens. Nothing is learned.

    score[h, i, j] = q_i · k_j / √d_head − m_h · (i − j)        for j <= i; the future stays masked

    m_h = 2^(−8h / n)  for h = 1 … n heads                      steep heads look near, flat heads look far

Paper: Press, Smith & Lewis 2021, arXiv:2108.12409, section 3; slopes for other head counts as in its published code.
Shapes: nothing -> bias [head query key]. Slopes: [head], a float32 buffer, not in checkpoints.

The formula of the slopes is meant for head counts n that are powers of two. Otherwise, with p the next lower power of
two, the first p heads get the slopes of p heads and the rest every second slope of 2p heads, which lie between them
(n = 6: 1/4 1/16 1/64 1/256, then 1/2 1/8). With alibi_slopes "geometric" the formula is taken for every n: one row
without a jump, from 2^(−8/n) down to 1/256.

Two things it is not. It is not a mask: a token of the future would get a *bonus* m_h · (j − i), so the causal mask is
still needed. And it is not inside the division by √d_head: a slope means the same for every width of head.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from components.position import Position
from config.model_config import ModelConfig


def alibi_slopes(n_heads: int, row: str = "paper") -> list[float]:
    """The slope of each head, positive; `row` is "paper", in the order of its code, or "geometric"."""
    if row == "geometric":
        return [2.0 ** (-8.0 * head / n_heads) for head in range(1, n_heads + 1)]
    power = 1 << (n_heads.bit_length() - 1)  # largest power of two that is not above n_heads
    slopes = [2.0 ** (-8.0 * head / power) for head in range(1, power + 1)]
    between = [2.0 ** (-4.0 * head / power) for head in range(1, 2 * power + 1, 2)]  # every second of 2p slopes
    return slopes + between[: n_heads - power]


class LinearBiases(Position):
    """Holds the slopes; acts on the attention scores."""

    has_bias = True
    slopes: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        slopes = torch.tensor(alibi_slopes(config.n_heads, config.alibi_slopes), dtype=torch.float32)
        self.register_buffer("slopes", slopes, persistent=False)


class LinearBiasesEinops(LinearBiases):
    """Distance of every query to every key, times the slope of every head."""

    def bias(self, n_query: int, n_key: int) -> Float[Tensor, "head query key"]:
        positions = torch.arange(n_key, dtype=torch.float32, device=self.slopes.device)
        query = rearrange(positions[n_key - n_query :], "query -> query 1")
        key = rearrange(positions, "key -> 1 key")
        # A product by broadcasting, not einsum: autocast would round the distances to bfloat16.
        return -rearrange(self.slopes, "head -> head 1 1") * (query - key)


class LinearBiasesTorch(LinearBiases):
    """The same by broadcasting."""

    def bias(self, n_query: int, n_key: int) -> Float[Tensor, "head query key"]:
        positions = torch.arange(n_key, dtype=torch.float32, device=self.slopes.device)
        distance = positions[n_key - n_query :, None] - positions  # [query key]
        return -self.slopes[:, None, None] * distance


class LinearBiasesFused(LinearBiases):
    """Negates the few slopes instead of the many biases."""

    def bias(self, n_query: int, n_key: int) -> Float[Tensor, "head query key"]:
        positions = torch.arange(n_key, dtype=torch.float32, device=self.slopes.device)
        return (positions - positions[n_key - n_query :, None]) * self.slopes[:, None, None]


VARIANTS = {"einops": LinearBiasesEinops, "torch": LinearBiasesTorch, "fused": LinearBiasesFused}
