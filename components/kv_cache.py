"""KV cache: the keys and values of the tokens read so far, so that the next token costs one step and not all of them.

    without   token t reads tokens 0 … t through the whole model: O(t) tokens of work for each new one
    with      only token t goes through the model; its query meets the kept keys and values of 0 … t − 1

Paper: the idea is as old as the decoder (Vaswani et al. 2017); its cost and the saving by sharing heads: Shazeer 2019,
arXiv:1911.02150, section 2.4. Shapes: keys and values [batch kv_head capacity d_head] for each layer, two views
of one buffer that is allocated once.

A layer that looks through a window needs the last window − 1 tokens and the new ones, so it keeps no more than a window
and a margin: when its buffer is full, what is too old leaves and the rest moves to the front (a rolling buffer, Mistral
7B, arXiv:2310.06825, section 2). The margin is there so that this happens once in so many tokens and not at each one.

    window 3, margin 2      a b c d         e comes and sees c d e         d e . .

The caller owns the cache and passes it in: `model(tokens, cache=cache)` appends and attends. The model itself keeps no
state, so that one model can serve many texts at once. A prompt may come in one piece or in chunks.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from config.model_config import ModelConfig
from config.sizes import CACHE_MARGIN


class KVCache:
    """Keys and values of up to `capacity` tokens (default n_ctx) for a batch of texts.

    Args:
        rewind: how many tokens `truncate` may take back at once.

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
        rewind: int = 0,
    ) -> None:
        self.batch = batch
        self.capacity = config.n_ctx if capacity is None else capacity
        self.length = 0
        self.rewind = rewind
        self.windows = config.windows  # of each layer; None where it looks at everything
        self.starts = [0] * config.n_layers  # the first token that each layer still holds
        heads, width = config.cached_shape
        lengths = [self._buffer_length(window) for window in self.windows]
        self._both = [torch.zeros(batch, heads, length, width, device=device, dtype=dtype) for length in lengths]
        if config.attention == "mla":  # one head: the shared key and the latent, side by side
            self.keys = [layer[..., : config.rope_head_dim] for layer in self._both]
            self.values = [layer[..., config.rope_head_dim :] for layer in self._both]
        else:
            self.keys = [layer[:, : config.kv_heads] for layer in self._both]
            self.values = [layer[:, config.kv_heads :] for layer in self._both]
        self._not_padding = torch.ones(batch, self.capacity, device=device, dtype=torch.bool)
        self._has_padding = False

    def _buffer_length(self, window: int | None) -> int:
        return self.capacity if window is None else min(self.capacity, self.kept_when_full(window) + CACHE_MARGIN)

    def kept_when_full(self, window: int) -> int:
        """How many of the newest tokens stay when the buffer of a window layer is emptied."""
        return window - 1 + self.rewind

    def reset(self) -> None:
        """Forget everything; the buffers stay allocated."""
        self.length = 0
        self.starts = [0] * len(self.starts)
        self._has_padding = False
        self._not_padding.fill_(True)

    def truncate(self, length: int) -> None:
        """Forget all but the first tokens, e.g. those that a draft proposed in vain.

        Raises:
            ValueError: if it does not hold so many, or a window layer has let go of what the next token would see.
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"the KV cache holds {self.length} tokens; it cannot keep {length}")
        for start, window in zip(self.starts, self.windows, strict=True):
            if window is not None and start > max(0, length - (window - 1)):
                raise ValueError(f"the KV cache can take back {self.rewind} tokens, not {self.length - length}")
        self.length = length

    def drop_oldest(self, count: int, turn: Callable[[int, Tensor], Tensor] = lambda layer, keys: keys) -> None:
        """Forget the first tokens and move the others to the front, their keys turned to their new positions.

        Args:
            turn: maps the kept keys of a layer, [batch kv_head kept d_head], where positions turn keys.

        Raises:
            ValueError: it does not hold so many.
        """
        if not 0 <= count <= self.length:
            raise ValueError(f"the KV cache holds {self.length} tokens; it cannot drop {count}")
        kept = self.length - count
        for layer, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
            held = slice(max(0, count - self.starts[layer]), self.length - self.starts[layer])
            n_held = held.stop - held.start
            keys[:, :, :n_held] = turn(layer, keys[:, :, held].clone())  # cloned: source and target overlap
            values[:, :, :n_held] = values[:, :, held].clone()
            self.starts[layer] = max(0, self.starts[layer] - count)
        self._not_padding[:, :kept] = self._not_padding[:, count : self.length].clone()
        self.length = kept

    def choose_rows(self, rows: Int[Tensor, "batch"]) -> None:
        """Let each row go on from another one's tokens, as the beams of a search do."""
        for both, start in zip(self._both, self.starts, strict=True):
            used = both[:, :, : self.length - start]
            used.copy_(used.index_select(0, rows))
        self._not_padding.copy_(self._not_padding.index_select(0, rows))

    def keys_and_values(self, index: int) -> Float[Tensor, "batch both_kv_heads capacity d_head"]:
        """One block's whole buffer, the heads of the keys before those of the values; for generation/decode_plan.py."""
        return self._both[index]

    def layer(self, index: int) -> "LayerCache":
        """The part that belongs to one block."""
        return LayerCache(self, index)

    def check_room(self, batch: int, n_new: int) -> None:
        """Refuse tokens that do not fit, before anything is written.

        Raises:
            ValueError: it is made for another batch, or there is no room.
        """
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
        self._cache, self._index = cache, index
        self._keys = cache.keys[index]
        self._values = cache.values[index]

    def append(
        self, key: Float[Tensor, "batch kv_head new d_head"], value: Float[Tensor, "batch kv_head new d_value"]
    ) -> tuple[Float[Tensor, "batch kv_head key d_head"], Float[Tensor, "batch kv_head key d_value"]]:
        """Write the new keys and values behind the old ones and return what the new tokens see, in their dtype."""
        window = self._cache.windows[self._index]
        held = self.offset - self._cache.starts[self._index]
        end = held + key.shape[2]
        if window is not None and end > self._keys.shape[2]:
            return self._roll(key, value, held, window)
        self._keys[:, :, held:end] = key
        self._values[:, :, held:end] = value
        first = 0 if window is None else max(0, held - (window - 1))
        keys, values = self._keys[:, :, first:end], self._values[:, :, first:end]
        return (keys, values) if keys.dtype == key.dtype else (keys.to(key.dtype), values.to(value.dtype))

    def _roll(self, key: Tensor, value: Tensor, held: int, window: int) -> tuple[Tensor, Tensor]:
        """The same where the buffer has no room: join old and new, keep the newest at its front."""
        joined = []
        for buffer, new in ((self._keys, key), (self._values, value)):
            both = torch.cat((buffer[:, :, :held].to(new.dtype), new), dim=2)
            kept = min(both.shape[2], self._cache.kept_when_full(window))
            buffer[:, :, :kept] = both[:, :, both.shape[2] - kept :]
            joined.append(both[:, :, max(0, held - (window - 1)) :])
        self._cache.starts[self._index] = self.offset + key.shape[2] - kept
        return joined[0], joined[1]
