"""The tokens that the model sees, how far the cache knows them, and what happens when there are too many.

A model sees n_ctx tokens. A longer prompt loses its beginning: the last n_ctx tokens count. When the window is full it
slides by half: the most recent n_ctx // 2 tokens stay, and it fills up again. How the cache follows is the policy:

    reencode   The tokens that stay are read anew from position 0. Right for every position scheme: what the model sees
               is exactly these tokens, with and without cache. Costs one pass of n_ctx / 2 tokens every n_ctx / 2
               tokens. The default.
    roll       The cached keys and values of the tokens that stay are kept and moved to the front; rotated keys (RoPE)
               are turned back by as many positions as they move. Costs next to nothing. Not for learned and
               sinusoidal positions: those are added to the stream, and no cached key can be freed from them.

The two differ. A kept key of layer 2 or deeper was computed while its token still saw tokens that have left since, so
after rolling the model knows a little of what it no longer sees: its logits are those of a pass over the whole text in
which each token attends to the tokens that were in the window when it was read, and no others. Models are not trained
so, and in large ones the first tokens, which many heads lean on, go missing without being replaced (Xiao et al. 2023,
arXiv:2309.17453, section 3). Re-encoding is the default for every scheme: the text is then the same with and without
cache, and alone or beside texts of another length.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from components.kv_cache import KVCache
from config.errors import Problem
from config.model_config import ModelConfig
from generation.decode_plan import DecodePlan
from generation.reading import last_logits, left_padded

POLICIES = ("reencode", "roll")
ROLLING = ("rope", "alibi", "none")


def find_policy_problems(config: ModelConfig, sliding: str, use_cache: bool, lengths: set[int]) -> list[Problem]:
    """Why a policy cannot be used, if it cannot."""
    if sliding not in POLICIES:
        return [Problem("sliding", f"sliding {sliding!r} does not exist; choose one of {', '.join(POLICIES)}")]
    if sliding == "reencode":
        return []
    reason = ""
    if config.position not in ROLLING:
        reason = f"cached keys of {config.position} positions cannot move"
    elif not use_cache:
        reason = "there is no cache to roll"
    elif len({min(length, config.n_ctx) for length in lengths}) > 1:
        reason = "the texts of a batch must be equally long to leave the window together"
    return [Problem("sliding", f"sliding 'roll' is not possible: {reason}; use 'reencode'")] if reason else []


class Window:
    """One or several texts that grow by one token each at a time."""

    def __init__(
        self,
        model: nn.Module,
        prompts: Sequence[Sequence[int]],
        capacity: int | None,
        sliding: str,
        use_plan: bool,
        weights: str = "float32",
        compiled: bool = False,
    ) -> None:
        parts: Any = model  # nn.Module's attributes have no type
        config: ModelConfig = parts.config
        self.model = model
        self.n_ctx, self.sliding = config.n_ctx, sliding
        self.rows = [list(prompt[-self.n_ctx :]) for prompt in prompts]
        weight = next(model.parameters())
        self.device = weight.device
        self.cache: KVCache | None = None
        self.plan: DecodePlan | None = None
        if capacity is not None:
            with torch.inference_mode():
                self.cache = KVCache(config, len(prompts), capacity=capacity, device=weight.device, dtype=weight.dtype)
            if use_plan and len(prompts) == 1:
                self.plan = DecodePlan.of(model, self.cache, weights, compiled)

    def append(self, tokens: Sequence[int]) -> None:
        """One more token for each row."""
        for row, token in zip(self.rows, tokens, strict=True):
            row.append(token)

    def next_logits(self) -> Float[Tensor, "batch d_vocab"]:
        """Logits after the last token of each row; with a cache, only tokens it has not seen are computed."""
        if max(map(len, self.rows)) > self.n_ctx:
            self._slide()
        if self.cache is None or self.cache.length == 0:
            return last_logits(self.model, *self._whole())
        if self.plan is not None:
            return self.plan.step(self.rows[0][-1])
        newest = torch.tensor([row[-1:] for row in self.rows], device=self.device)
        return last_logits(self.model, newest, self.cache)

    def _whole(self) -> tuple[Tensor, KVCache | None, Tensor | None]:
        tokens, padding_mask = left_padded(self.rows, self.device)
        return tokens, self.cache, padding_mask

    def _slide(self) -> None:
        """Keep the last half of each row that is too long; the cache follows by the policy."""
        kept = max(1, self.n_ctx // 2)
        self.rows = [row[-kept:] if len(row) > self.n_ctx else row for row in self.rows]
        if self.cache is None:
            return
        if self.sliding == "roll" and kept > 1:
            gone = self.cache.length - (kept - 1)  # the newest of the kept tokens is not in the cache yet
            self.cache.drop_oldest(gone, turn_back(self.model, gone))
        else:
            self.cache.reset()


def turn_back(model: nn.Module, count: int) -> Callable[[int, Tensor], Tensor]:
    """How a layer's cached keys [batch head pos d_head] change when they move to the front by so many places.

    RoPE turns them by −count. That is exact up to rounding, and a key moves once before it leaves, so that errors do
    not add up.
    """
    parts: Any = model  # nn.Module's attributes have no type
    return lambda layer, keys: parts.position_of(layer).turn_back(keys, count)
