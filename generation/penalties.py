"""Samplers that look back: what was written makes tokens less likely, more likely, or impossible.

    repetition      divide a positive logit, multiply a negative one   Keskar et al. 2019, arXiv:1909.05858, section 4.1
    frequency       subtract the penalty once for every time the token was written
    presence        subtract the penalty once if the token was written at all
    n-gram block    no n tokens in a row twice                         Paulus et al. 2017, arXiv:1705.04304, section 2.5

The repetition penalty and the n-gram block count the prompt, too, as in Hugging Face's `generate`; frequency and
presence count only what was written after it, as in the interfaces that made them known. A stage that bars tokens
leaves a row alone when nothing would be left to draw.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from generation.sampler import Logits, Sampler, Text, bar, one_text_each, refuse


@dataclass(frozen=True)
class RepetitionPenalty(Sampler):
    """Make every token of prompt and text less likely; 1 changes nothing, below 1 invites repetition."""

    penalty: float

    def __post_init__(self) -> None:
        if not 0 < self.penalty < math.inf:
            raise refuse("repetition_penalty", f"repetition_penalty {self.penalty} must be above 0 (1 is off)")

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        one_text_each(logits, texts)
        result = logits.clone()
        for row, text in zip(result, texts, strict=True):
            seen = torch.tensor(sorted(set(text.tokens)), device=row.device)
            before = row[seen]
            row[seen] = torch.where(before < 0, before * self.penalty, before / self.penalty)
        return result

    def __str__(self) -> str:
        return f"repetition penalty {self.penalty:g}"


@dataclass(frozen=True)
class FrequencyPenalty(Sampler):
    """Lower a token's logit by the penalty for each time it was written; below 0 invites repetition."""

    penalty: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.penalty):
            raise refuse("frequency_penalty", f"frequency_penalty {self.penalty} must be finite; 0 is off")

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        one_text_each(logits, texts)
        result = logits.clone()
        for row, text in zip(result, texts, strict=True):
            counts = Counter(text.written)
            row[list(counts)] -= self.penalty * row.new_tensor(list(counts.values()))
        return result

    def __str__(self) -> str:
        return f"frequency penalty {self.penalty:g}"


@dataclass(frozen=True)
class PresencePenalty(Sampler):
    """Lower the logit of every token that was written by the penalty, once."""

    penalty: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.penalty):
            raise refuse("presence_penalty", f"presence_penalty {self.penalty} must be finite; 0 is off")

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        one_text_each(logits, texts)
        result = logits.clone()
        for row, text in zip(result, texts, strict=True):
            row[sorted(set(text.written))] -= self.penalty
        return result

    def __str__(self) -> str:
        return f"presence penalty {self.penalty:g}"


@dataclass(frozen=True)
class NoRepeatNgram(Sampler):
    """Bar every token that would end a sequence of `size` tokens which prompt and text already hold."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise refuse("no_repeat_ngram_size", f"no_repeat_ngram_size {self.size} must be at least 1")

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        one_text_each(logits, texts)
        result = logits.clone()
        for row, text in zip(result, texts, strict=True):
            bar(row, self._would_repeat(text.tokens))
        return result

    def _would_repeat(self, tokens: list[int]) -> set[int]:
        """What followed each earlier occurrence of the last size − 1 tokens."""
        n_before = self.size - 1
        ending = tokens[len(tokens) - n_before :]
        starts = range(len(tokens) - n_before)
        return {tokens[start + n_before] for start in starts if tokens[start : start + n_before] == ending}

    def __str__(self) -> str:
        return f"no {self.size}-gram twice"


@dataclass(frozen=True)
class MinNewTokens(Sampler):
    """Bar the tokens that end a text until so many were written."""

    count: int
    stop_tokens: frozenset[int]

    def __post_init__(self) -> None:
        if self.count < 0:
            raise refuse("min_new_tokens", f"min_new_tokens {self.count} must not be negative")

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        one_text_each(logits, texts)
        result = logits.clone()
        for row, text in zip(result, texts, strict=True):
            if len(text.tokens) - text.n_prompt < self.count:
                bar(row, sorted(self.stop_tokens))
        return result

    def __str__(self) -> str:
        return f"at least {self.count} tokens"


@dataclass(frozen=True)
class LogitBias(Sampler):
    """Add to the logits of single tokens; −∞ bars a token."""

    biases: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        for token, bias in self.biases:
            if token < 0 or math.isnan(bias) or bias == math.inf:
                raise refuse(
                    "logit_bias", f"logit_bias {bias} of token {token}: give an id and a number below infinity"
                )

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        known = [(token, bias) for token, bias in self.biases if token < logits.shape[-1]]
        result = logits.clone()
        result[:, [token for token, _ in known]] += result.new_tensor([bias for _, bias in known])
        return result

    def __str__(self) -> str:
        return f"bias on {len(self.biases)} token{'' if len(self.biases) == 1 else 's'}"
