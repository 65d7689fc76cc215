"""What a position scheme may do. Attention alone cannot tell the order of its inputs; something has to say it.

There are three places where a scheme can act, and each scheme uses exactly one:

    place                  method   who                  what
    the residual stream    embed    learned, sinusoidal  x + vector of the position, once, before the first block
    queries and keys       rotate   RoPE                 turned by an angle that grows with the position, in every block
    the attention scores   bias     ALiBi                lowered in proportion to the distance, in every block

The model asks at all three places; a scheme overrides its own place and leaves the other two as they are here.
So neither the model nor attention ever asks which scheme it has, and `position = "none"` is this class itself.
"""

from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor, nn

from config.model_config import ModelConfig


class Position(nn.Module):
    """No scheme at all (NoPE): every place passes its input through. Base of the schemes that do something."""

    has_bias: ClassVar[bool] = False
    """Whether `bias` gives anything; known beforehand, so that a mask that needs none is never made."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_ctx = config.n_ctx

    def embed(
        self, x: Float[Tensor, "batch pos d_model"], positions: Int[Tensor, "#batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Add to the residual stream; `positions` counts real tokens, from 0, padding on the left not counted."""
        return x

    def rotate(self, x: Float[Tensor, "batch head pos d_head"], offset: int) -> Float[Tensor, "batch head pos d_head"]:
        """Turn queries or keys whose first position is `offset` (the number of tokens in the KV cache)."""
        return x

    def turn_back(
        self, keys: Float[Tensor, "batch head pos d_head"], count: int
    ) -> Float[Tensor, "batch head pos d_head"]:
        """Cached keys that move to the front by `count` places, as `rotate` would have left them there."""
        return keys

    def bias(self, n_query: int, n_key: int) -> Float[Tensor, "head query key"] | None:
        """What to add to the scores of the last `n_query` of `n_key` positions; None for nothing."""
        return None
