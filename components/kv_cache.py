"""KV cache: the keys and values of the tokens read so far, so that the next token costs one step and not all of them.

    without   token t reads tokens 0 … t through the whole model: O(t) tokens of work for each new one
    with      only token t goes through the model; its query meets the kept keys and values of 0 … t − 1

Paper: the idea is as old as the decoder (Vaswani et al. 2017); its cost and the saving by sharing heads: Shazeer 2019,
arXiv:1911.02150, section 2.4. Shapes: keys and values [batch kv_head capacity d_head] for each layer, two views
of one buffer that is allocated once.

The caller owns the cache and passes it in: `model(tokens, cache=cache)` appends and attends. The model itself keeps no
state, so that one model can serve many texts at once. A prompt may come in one piece or in chunks.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from config.model_config import ModelConfig


class KVCache:
    """Keys and values of up to `capacity` tokens (default n_ctx) for a batch of texts.

    Raises:
        ValueError: when more tokens are appended than there is room for.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch: int = 1,
        capacity: int | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.batch = batch
        self.capacity = config.n_ctx if capacity is None else capacity
        self.length = 0
        heads, width = config.cached_shape
        shape = (batch, heads, self.capacity, width)
        self._both = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(config.n_layers)]
        if config.attention == "mla":  # one head: the shared key and the latent, side by side
            self.keys = [layer[..., : config.rope_head_dim] for layer in self._both]
            self.values = [layer[..., config.rope_head_dim :] for layer in self._both]
        else:
            self.keys = [layer[:, : config.kv_heads] for layer in self._both]
            self.values = [layer[:, config.kv_heads :] for layer in self._both]
        self._not_padding = torch.ones(batch, self.capacity, device=device, dtype=torch.bool)
        self._has_padding = False

    def reset(self) -> None:
        """Forget everything; the buffers stay allocated."""
        self.length = 0
        self._has_padding = False
        self._not_padding.fill_(True)

    def truncate(self, length: int) -> None:
        """Forget all but the first tokens, e.g. those that a draft proposed in vain."""
        if not 0 <= length <= self.length:
            raise ValueError(f"the KV cache holds {self.length} tokens; it cannot keep {length}")
        self.length = length

    def drop_oldest(self, count: int, turn: Callable[[Tensor], Tensor] = lambda keys: keys) -> None:
        """Forget the first tokens and move the others to the front, their keys turned to their new positions.

        Args:
            turn: maps the kept keys of a layer, [batch kv_head kept d_head], where positions turn keys.
        """
        if not 0 <= count <= self.length:
            raise ValueError(f"the KV cache holds {self.length} tokens; it cannot drop {count}")
        kept = self.length - count
        for keys, values in zip(self.keys, self.values, strict=True):
            keys[:, :, :kept] = turn(keys[:, :, count : self.length].clone())  # cloned: source and target overlap
            values[:, :, :kept] = values[:, :, count : self.length].clone()
        self._not_padding[:, :kept] = self._not_padding[:, count : self.length].clone()
        self.length = kept

    def choose_rows(self, rows: Int[Tensor, "batch"]) -> None:
        """Let each row go on from another one's tokens, as the beams of a search do."""
        for both in self._both:
            used = both[:, :, : self.length]
            used.copy_(used.index_select(0, rows))
        self._not_padding.copy_(self._not_padding.index_select(0, rows))

    def keys_and_values(self, index: int) -> Float[Tensor, "batch both_kv_heads capacity d_head"]:
        """One block's whole buffer, the heads of the keys before those of the values; for generation/decode_plan.py."""
        return self._both[index]

    def layer(self, index: int) -> "LayerCache":
        """The part that belongs to one block."""
        return LayerCache(self, index)

    def check_room(self, batch: int, n_new: int) -> None:
        """Refuse tokens that do not fit, before anything is written."""
        if batch != self.batch:
            raise ValueError(f"the KV cache holds a batch of {self.batch} texts, not of {batch}")
        if self.length + n_new > self.capacity:
            raise ValueError(
                f"the KV cache has room for {self.capacity} tokens and holds {self.length}; {n_new} more do not fit: "
                "make a larger one, or reset it and read the last part of the text again"
            )

    def add_padding(
        self, padding_mask: Bool[Tensor, "batch new"] | None, n_new: int
    ) -> Bool[Tensor, "batch key"] | None:
        """Note which of the new tokens are real; return the same for all, or None while there is no padding."""
        if padding_mask is None and not self._has_padding:
            return None
        end = self.length + n_new
        self._not_padding[:, self.length : end] = True if padding_mask is None else padding_mask
        self._has_padding = True
        return self._not_padding[:, :end]

    def advance(self, n_new: int) -> None:
        """Count the new tokens, once every layer has appended them."""
        self.length += n_new


class LayerCache:
    """One layer's view of a KVCache."""

    def __init__(self, cache: KVCache, index: int) -> None:
        self.offset = cache.length
        self._keys = cache.keys[index]
        self._values = cache.values[index]

    def append(
        self, key: Float[Tensor, "batch kv_head new d_head"], value: Float[Tensor, "batch kv_head new d_value"]
    ) -> tuple[Float[Tensor, "batch kv_head key d_head"], Float[Tensor, "batch kv_head key d_value"]]:
        """Write the new keys and values behind the old ones and return all of them, in the dtype of the new ones."""
        end = self.offset + key.shape[2]
        self._keys[:, :, self.offset : end] = key
        self._values[:, :, self.offset : end] = value
        keys, values = self._keys[:, :, :end], self._values[:, :, :end]
        return (keys, values) if keys.dtype == key.dtype else (keys.to(key.dtype), values.to(value.dtype))
