"""Beam search: keeps the few best texts instead of drawing one, and gives out the likeliest that it finds.

    score(text) = Σ log p(token)          over what was written
    a text that ends competes with       score / n_written ** length_penalty

Every step continues each of `n_beams` texts by every token and keeps the n_beams best continuations that go on; those
that end with a stop token are set aside. Above 0 the length penalty favors long texts, as sums of logarithms are
negative; 0 compares the sums, 1 the means.

Early stopping, in Hugging Face's words:
    True       as soon as n_beams texts have ended
    False      when even the best text still open, if it ended now, could not replace the worst that ended: a guess
    "never"    when it could not at any length that is allowed: certain, and slow

Source: beams as in Sutskever et al. 2014, arXiv:1409.3215, section 3.2; the penalty |text| ** α is that of Hugging
Face's `generate`, a simpler form of Wu et al. 2016, arXiv:1609.08144, section 7. Equal to `generate(num_beams=…)`.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from components.kv_cache import KVCache
from config.errors import ConfigError, Problem
from generation.reading import last_logits
from generation.sampler import Sampler, Text

# n_written ** length_penalty stays within 10^±300, so that scores are numbers (float64 ends at 10^308).
LARGEST_EXPONENT = 300

EarlyStopping = bool | Literal["never"]


@dataclass(frozen=True)
class Beam:
    """One continuation: its tokens without the prompt, the sum of their log-probabilities, and what it is ranked by."""

    tokens: tuple[int, ...]
    log_probability: float
    score: float


@dataclass(frozen=True)
class BeamSettings:
    """How to search.

    Raises:
        ConfigError: with a problem for every setting that is out of range.
    """

    n_beams: int = 4
    max_new_tokens: int = 50
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False
    stop_tokens: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        least = {"n_beams": 1, "max_new_tokens": 1}
        problems = [
            Problem(name, f"{name} {getattr(self, name)} must be at least {minimum}")
            for name, minimum in least.items()
            if getattr(self, name) < minimum
        ]
        if not math.isfinite(self.length_penalty):
            problems.append(Problem("length_penalty", f"length_penalty {self.length_penalty} must be finite"))
        elif self.max_new_tokens > 1 and abs(self.length_penalty) * math.log10(self.max_new_tokens) > LARGEST_EXPONENT:
            limit = math.floor(LARGEST_EXPONENT / math.log10(self.max_new_tokens))
            message = (
                f"length_penalty {self.length_penalty:g} is too far from 0 for max_new_tokens {self.max_new_tokens}: "
                f"choose one from -{limit} to {limit}"
            )
            problems.append(Problem("length_penalty", message))
        if self.early_stopping not in (True, False, "never"):
            message = f"early_stopping {self.early_stopping!r} must be True, False or 'never'"
            problems.append(Problem("early_stopping", message))
        if problems:
            raise ConfigError(problems)


def beam_search(
    model: nn.Module,
    tokens: Sequence[int],
    *,
    n_beams: int = 4,
    max_new_tokens: int = 50,
    length_penalty: float = 1.0,
    early_stopping: EarlyStopping = False,
    stop_tokens: Collection[int] = (),
    samplers: Sampler | None = None,
    vocab_size: int | None = None,
) -> list[Beam]:
    """The n_beams best continuations found, best first; fewer where there are no more.

    Args:
        samplers: penalties that change the log-probabilities before they are compared; nothing is drawn.
        vocab_size: of the tokenizer, where the model's vocabulary is padded beyond it.

    Raises:
        ConfigError: settings out of range, an empty prompt, or one that leaves no room for max_new_tokens: beams do
            not slide the window.
    """
    config = _config(model)
    settings = BeamSettings(n_beams, max_new_tokens, length_penalty, early_stopping, frozenset(stop_tokens))
    if not tokens:
        raise ConfigError([Problem("tokens", "there is nothing to continue: give at least one token")])
    if len(tokens) + max_new_tokens > config.n_ctx:
        message = (
            f"{len(tokens)} tokens of prompt and max_new_tokens {max_new_tokens} do not fit into the context of "
            f"{config.n_ctx}: beam search needs the whole text in it"
        )
        raise ConfigError([Problem("max_new_tokens", message)])
    if config.angles_grow:
        message = "beams share a KV cache, which dynamic RoPE scaling makes stale at each token: leave num_beams out"
        raise ConfigError([Problem("num_beams", message)])
    drawable = config.d_vocab if vocab_size is None else min(vocab_size, config.d_vocab)
    return _Search(model, list(tokens), settings, samplers, drawable).run()


def _config(model: nn.Module) -> Any:
    return model.config  # nn.Module's attributes have no type


class _Search:
    """The beams that are open, those that ended, and the cache in which each beam has a row."""

    def __init__(
        self, model: nn.Module, prompt: list[int], settings: BeamSettings, samplers: Sampler | None, drawable: int
    ) -> None:
        self.model, self.prompt, self.settings = model, prompt, settings
        self.samplers, self.drawable = samplers, drawable
        weight = next(model.parameters())
        self.device = weight.device
        with torch.inference_mode():
            capacity = len(prompt) + settings.max_new_tokens
            self.cache = KVCache(_config(model), settings.n_beams, capacity, weight.device, weight.dtype)
        # At first all rows hold the same text; the others must not compete with the first.
        self.open = [Beam((), 0.0 if row == 0 else -math.inf, 0.0) for row in range(settings.n_beams)]
        self.ended: list[Beam] = []
        self.is_done = False

    @torch.inference_mode()
    def run(self) -> list[Beam]:
        newest = torch.tensor([self.prompt] * self.settings.n_beams, device=self.device)
        while True:
            rows = self._advance(last_logits(self.model, newest, self.cache)[:, : self.drawable])
            if self.is_done:
                return self.ended
            self.cache.choose_rows(torch.tensor(rows, device=self.device))
            newest = torch.tensor([beam.tokens[-1:] for beam in self.open], device=self.device)

    def _advance(self, logits: torch.Tensor) -> list[int]:
        """Continue every beam; returns the cache row that each new beam comes from."""
        log_probabilities = logits.log_softmax(dim=-1)
        if self.samplers is not None:
            texts = [Text([*self.prompt, *beam.tokens], len(self.prompt)) for beam in self.open]
            log_probabilities = self.samplers(log_probabilities, texts)
        totals = log_probabilities + log_probabilities.new_tensor([[beam.log_probability] for beam in self.open])
        # So many that n_beams go on even if every beam could end in every way there is.
        n_best = min(totals.numel(), max(2, 1 + len(self.settings.stop_tokens)) * self.settings.n_beams)
        best = totals.flatten().topk(n_best)
        is_last = len(self.open[0].tokens) + 1 == self.settings.max_new_tokens
        rows: list[int] = []
        kept: list[Beam] = []
        for rank, (place, total) in enumerate(zip(best.indices.tolist(), best.values.tolist(), strict=True)):
            row, token = divmod(place, totals.shape[1])
            beam = Beam((*self.open[row].tokens, token), total, 0.0)
            if is_last or token in self.settings.stop_tokens:
                if rank < self.settings.n_beams and total > -math.inf:  # an end among the best counts, a later one not
                    self._set_aside(beam)
            elif len(kept) < self.settings.n_beams:
                rows.append(row)
                kept.append(beam)
        self.open = kept
        self.is_done = is_last or not kept or self._cannot_improve()  # none is kept where every token is a stop token
        return rows

    def _set_aside(self, beam: Beam) -> None:
        """Keep the n_beams best that ended, best first; of equals the earlier."""
        if beam.log_probability > -math.inf:
            score = self._score(beam.log_probability, len(beam.tokens))
            ranked = sorted([*self.ended, replace(beam, score=score)], key=lambda ended: -ended.score)
            self.ended = ranked[: self.settings.n_beams]

    def _score(self, log_probability: float, n_written: int) -> float:
        return log_probability / n_written**self.settings.length_penalty

    def _cannot_improve(self) -> bool:
        """Whether the search may end, by the rule of `early_stopping`."""
        if len(self.ended) < self.settings.n_beams:
            return False
        if self.settings.early_stopping is True:
            return True
        n_written = len(self.open[0].tokens)
        if self.settings.early_stopping == "never" and self.settings.length_penalty > 0:
            n_written = self.settings.max_new_tokens
        return self.ended[-1].score >= self._score(self.open[0].log_probability, n_written)
