"""The masks of one forward pass: one for all layers that look alike, made when the first of them asks.

Layers differ in two ways, by patterns of the configuration: some look at everything, some through a window (Beltagy et
al. 2020, arXiv:2004.05150, section 3.1; in Mistral 7B, arXiv:2310.06825, section 2); in some positions act, in others
not (Kazemnejad et al. 2023, arXiv:2305.19466). Shapes: components/attention_mask.py.

Behind a KV cache a window layer is given the keys of the last window − 1 tokens before the new ones, not all of them
(components/kv_cache.py), so its mask has as many columns.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from components.attention_mask import AttentionMask, attention_mask, causal
from components.position import Position


@dataclass
class LayerMasks:
    """What there is to know of the new tokens, and the masks that were made of it."""

    n_query: int
    offset: int
    """How many tokens came before; they are in the KV cache."""

    not_padding: Tensor | None
    documents: Tensor | None
    device: torch.device
    _made: dict[tuple[int | None, bool], AttentionMask | None] = field(default_factory=dict)

    def of(self, window: int | None, position: Position) -> AttentionMask | None:
        """The mask of layers with this window and this scheme; None where plain causal attention is all there is."""
        kind = window, position.has_bias
        if kind not in self._made:
            self._made[kind] = self._make(window, position)
        return self._made[kind]

    def _make(self, window: int | None, position: Position) -> AttentionMask | None:
        before = self.offset if window is None else min(self.offset, window - 1)
        n_key = before + self.n_query
        is_cut = window is not None and window < n_key
        if not is_cut and self.not_padding is None and self.documents is None and not position.has_bias:
            return None
        visible = causal(self.n_query, n_key, self.device, window)
        not_padding = None if self.not_padding is None else self.not_padding[:, -n_key:]
        return attention_mask(visible, not_padding, position.bias(self.n_query, n_key), self.documents)
