"""Speculative decoding: a small model proposes a few tokens, the large one checks them all in one pass.

    1. the draft writes k tokens x₁ … x_k, each drawn from its distribution q
    2. the model reads them in one pass, which gives its distribution p at every place
    3. x_i is accepted with probability min(1, p(x_i) / q(x_i)); at the first refusal a token is drawn from what p has
       more than q, max(p − q, 0) made a distribution; if none is refused, one more is drawn from the last p

Every token then has exactly the distribution p: q(x) · min(1, p/q) + P(refused) · max(p − q, 0)/Z = p(x). p and q are
taken after the samplers, so all stages work, and greedy gives exactly the model's own greedy text. A pass over k + 1
tokens costs hardly more than one over 1 where weights are what a step waits for; the gain is the number of tokens a
pass yields, less what the draft costs.

Papers: Leviathan et al. 2023, arXiv:2211.17192, section 2.3; Chen et al. 2023, arXiv:2302.01318, theorem 1.
The window slides as in generation/window.py, by re-encoding; proposals never reach beyond it.
"""

from collections.abc import Collection, Iterator, Sequence
from random import Random
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from components.kv_cache import KVCache
from config.errors import ConfigError, Problem
from generation.decode_plan import DecodePlan
from generation.packing import packed
from generation.reading import last_logits
from generation.sampler import Sampler, Text
from generation.samplers import draw
from generation.step import Step


class Speculation:
    """A text that is written with a draft; iterate over it for its steps, once.

    Args:
        model: the one whose texts these are.
        draft: a smaller one with the same tokenizer.
        n_draft: how many tokens the draft proposes at a time.

    The others are those of `generate`.

    Raises:
        ConfigError: as `generate`, or the two have not the same tokenizer, or the positions allow no KV cache.
    """

    def __init__(
        self,
        model: nn.Module,
        draft: nn.Module,
        tokens: Sequence[int],
        *,
        max_new_tokens: int,
        samplers: Sampler,
        seed: int,
        n_draft: int = 4,
        vocab_size: int | None = None,
        stop_tokens: Collection[int] = (),
    ) -> None:
        parts: list[Any] = [model, draft]  # nn.Module's attributes have no type
        sizes = [part.config.d_vocab for part in parts]
        self._check(tokens, min(sizes), max_new_tokens, seed, n_draft)
        if any(part.config.angles_grow for part in parts):
            message = "a draft needs a KV cache, which dynamic RoPE scaling makes stale at each token: leave it out"
            raise ConfigError([Problem("draft", message)])
        if vocab_size is None and sizes[0] != sizes[1]:
            message = f"the draft has a vocabulary of {sizes[1]}, the model one of {sizes[0]}: not the same tokenizer"
            raise ConfigError([Problem("draft", message)])
        self.proposed = self.accepted = self.passes = self.written = 0
        self._drawable = min(*sizes, *([] if vocab_size is None else [vocab_size]))
        self._model = _Reader(model, tokens, n_draft, checks=True)
        self._draft = _Reader(draft, tokens, n_draft, checks=False)
        self._text = Text(list(tokens), len(tokens))
        self._samplers, self._random = samplers, Random(seed)
        self._max_new_tokens, self._n_draft, self._stop_tokens = max_new_tokens, n_draft, frozenset(stop_tokens)

    @staticmethod
    def _check(tokens: Sequence[int], d_vocab: int, max_new_tokens: int, seed: int, n_draft: int) -> None:
        problems = [
            Problem(name, f"{name} {value} must be at least {least}")
            for name, value, least in (
                ("max_new_tokens", max_new_tokens, 0),
                ("seed", seed, 0),
                ("n_draft", n_draft, 1),
            )
            if value < least
        ]
        if not tokens or not 0 <= min(tokens) <= max(tokens) < d_vocab:
            problems.append(
                Problem("tokens", f"the prompt needs at least one token, all in the vocabulary of {d_vocab}")
            )
        if problems:
            raise ConfigError(problems)

    @property
    def acceptance_rate(self) -> float:
        """The share of proposed tokens that the model took."""
        return self.accepted / self.proposed if self.proposed else 0.0

    @property
    def tokens_per_pass(self) -> float:
        """How many tokens a pass of the large model yielded; 1 without a draft."""
        return self.written / self.passes if self.passes else 0.0

    def __iter__(self) -> Iterator[Step]:
        while self.written < self._max_new_tokens:
            with torch.inference_mode():
                steps = self._round()
            for step in steps:
                self.written += 1
                yield step
                if step.token in self._stop_tokens:
                    return

    def _round(self) -> list[Step]:
        """Propose, check, and give out at least one token."""
        self._model.make_room(1)
        n_draft = min(self._n_draft, self._model.room(), self._max_new_tokens - self.written - 1)
        proposals, proposed_from = self._propose(n_draft)
        n_draft = len(proposals)
        logits = self._model.read(proposals)[:, : self._drawable]  # [n_draft + 1, d_vocab]
        self.passes += 1
        self.proposed += n_draft
        steps: list[Step] = []
        for place, row in enumerate(logits.split(1)):
            p = self._distribution(row)
            if place < n_draft:
                token, q = proposals[place], proposed_from[place]
                # u < p/q, without dividing; u is below 1, so p >= q always accepts
                if self._random.random() * float(q[0, token]) < float(p[0, token]):
                    self._take(token, row, steps)
                    self.accepted += 1
                    continue
                left = (p - q).clamp(min=0)
                p = left if left.any() else p  # p and q equal but for rounding, which alone refused
            self._take(int(draw(p.log(), [self._random.random()])), row, steps)
            break
        tokens = [step.token for step in steps]
        self._model.keep(tokens)
        self._draft.keep(tokens)
        return steps

    def _propose(self, n_draft: int) -> tuple[list[int], list[Tensor]]:
        """Tokens of the draft, and the distributions they were drawn from."""
        proposals: list[int] = []
        distributions: list[Tensor] = []
        if n_draft:
            self._draft.make_room(n_draft)
            n_draft = min(n_draft, self._draft.room() + 1)  # the last proposal is never read by the draft
        n_before = len(self._text.tokens)
        for _ in range(n_draft):
            logits = self._draft.step(proposals)[:, : self._drawable]
            distributions.append(self._distribution(logits))
            proposals.append(int(draw(distributions[-1].log(), [self._random.random()])))
            self._text.tokens.append(proposals[-1])  # what penalties look at
        del self._text.tokens[n_before:]
        return proposals, distributions

    def _distribution(self, logits: Float[Tensor, "1 d_vocab"]) -> Float[Tensor, "1 d_vocab"]:
        return self._samplers(logits, [self._text]).softmax(dim=-1)

    def _take(self, token: int, logits: Float[Tensor, "1 d_vocab"], steps: list[Step]) -> None:
        log_probability = float(logits.log_softmax(dim=-1)[0, token])
        steps.append(Step(token, float(torch.tensor(log_probability).exp()), log_probability))
        self._text.tokens.append(token)


class _Reader:
    """A model, the tokens in its window, and how many of them its cache holds.

    Args:
        checks: it reads several proposals at once; one that proposes reads token after token.
    """

    def __init__(self, model: nn.Module, tokens: Sequence[int], n_draft: int, checks: bool) -> None:
        parts: Any = model
        self.model, self.n_ctx = model, parts.config.n_ctx
        self.tokens = list(tokens[-self.n_ctx :])
        weight = next(model.parameters())
        self.device = weight.device
        with torch.inference_mode():
            self.cache = KVCache(parts.config, device=weight.device, dtype=weight.dtype, rewind=n_draft)
            self.checker = packed(model, n_draft + 1) if checks else model
        self.n_draft = n_draft
        self.plan = DecodePlan.of(model, self.cache)

    def room(self) -> int:
        """How many more tokens the window can hold."""
        return self.n_ctx - len(self.tokens)

    def make_room(self, count: int) -> None:
        """Slide if the window holds more tokens than it can, `count` of them being still to come less one."""
        if len(self.tokens) + count - 1 > self.n_ctx:
            self.tokens = self.tokens[-max(1, self.n_ctx // 2) :]
            self.cache.reset()

    def read(self, proposals: list[int]) -> Float[Tensor, "new d_vocab"]:
        """Logits after the last token of the text and after each proposal."""
        unseen = torch.tensor([self.tokens[self.cache.length :] + proposals], device=self.device)
        parts: Any = self.checker if unseen.shape[1] <= self.n_draft + 1 else self.model  # a prompt is many rows
        stream = parts.stream(unseen, self.cache)[:, -1 - len(proposals) :]
        return parts.unembedding(stream, parts.token_embedding.weight)[0].float().cpu()

    def step(self, proposals: list[int]) -> Float[Tensor, "1 d_vocab"]:
        """Logits after the last proposal, of which only that one may be new."""
        unseen = [*self.tokens, *proposals][self.cache.length :]
        if self.plan is not None and len(unseen) == 1:
            return self.plan.step(unseen[0])
        return last_logits(self.model, torch.tensor([unseen], device=self.device), self.cache)

    def keep(self, tokens: list[int]) -> None:
        """Go on with these tokens, the last of which is not read yet; other proposals leave the cache."""
        self.cache.truncate(min(self.cache.length, len(self.tokens) + len(tokens) - 1))
        self.tokens += tokens
