"""Samplers that narrow the distribution: each says which tokens are too unlikely, or too odd, to be drawn.

    top-k      the k most likely                                        Fan et al. 2018, arXiv:1805.04833
    top-p      the fewest that together reach p, "nucleus"              Holtzman et al. 2019, arXiv:1904.09751
    min-p      those at least min_p times as likely as the first        Nguyen et al. 2024, arXiv:2407.01082
    typical    the fewest that together reach a mass, those first       Meister et al. 2022, arXiv:2202.00666
               whose surprise −log p is nearest to the expected one

Tokens with equal logits share their fate: where the last that stays and the next are equal, both stay. So do top-k,
min-p and typical of Hugging Face's `generate`; its top-p drops some of the equals, whichever its sort puts first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from generation.sampler import Logits, Sampler, Text, refuse

# Top-p looks at this many candidates before it sorts a whole vocabulary, which is several times slower.
TOP_P_CANDIDATES = 256


@dataclass(frozen=True)
class TopK(Sampler):
    """Keep the k most likely tokens; a k larger than the vocabulary keeps all."""

    k: int

    def __post_init__(self) -> None:
        if self.k < 1:
            raise refuse("top_k", f"top_k {self.k} must be at least 1")

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        if self.k >= logits.shape[-1]:
            return logits
        kth = logits.topk(self.k, dim=-1).values[:, -1:]  # [batch 1]
        return logits.masked_fill(logits < kth, -math.inf)

    def __str__(self) -> str:
        return f"top-k {self.k}"


@dataclass(frozen=True)
class TopP(Sampler):
    """Keep the fewest most likely tokens whose probabilities together reach p; the first one always stays."""

    p: float

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise refuse("top_p", f"top_p {self.p} must be between 0 and 1")

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        if self.p == 1:  # a rounded sum may reach 1 before the last token
            return logits
        probabilities = logits.softmax(dim=-1)
        smallest = self._smallest_kept(probabilities, min(TOP_P_CANDIDATES, logits.shape[-1]))
        return logits.masked_fill(probabilities < smallest, -math.inf)

    def _smallest_kept(
        self, probabilities: Float[Tensor, "batch d_vocab"], candidates: int
    ) -> Float[Tensor, "batch 1"]:
        """Probability of the last token that stays, sought among so many candidates and, if they don't do, all."""
        top = probabilities.topk(candidates, dim=-1).values
        mass_before = top.cumsum(dim=-1, dtype=torch.float64) - top
        # Not "mass including it < p": that would drop the token that crosses p, and with it perhaps the only one.
        kept = (mass_before < self.p).sum(dim=-1, keepdim=True).clamp(min=1)
        d_vocab = probabilities.shape[-1]
        if candidates < d_vocab and int(kept.max()) == candidates:
            return self._smallest_kept(probabilities, d_vocab)
        return top.gather(-1, kept - 1)

    def __str__(self) -> str:
        return f"top-p {self.p:g}"


@dataclass(frozen=True)
class MinP(Sampler):
    """Keep the tokens that are at least p times as likely as the most likely one: few when the model is sure."""

    p: float

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise refuse("min_p", f"min_p {self.p} must be between 0 and 1")

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        probabilities = logits.softmax(dim=-1)
        least = self.p * probabilities.amax(dim=-1, keepdim=True)
        return logits.masked_fill(probabilities < least, -math.inf)

    def __str__(self) -> str:
        return f"min-p {self.p:g}"


@dataclass(frozen=True)
class Typical(Sampler):
    """Keep the tokens that surprise about as much as expected, up to the mass; drops the too obvious, too."""

    mass: float

    def __post_init__(self) -> None:
        if not 0 < self.mass < 1:
            raise refuse("typical", f"typical {self.mass} must be above 0 and below 1")

    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        log_probabilities = logits.log_softmax(dim=-1)
        probabilities = log_probabilities.exp()
        expected = -(probabilities * log_probabilities).nansum(dim=-1, keepdim=True)  # 0 · −∞ counts as 0
        oddity, order = (-log_probabilities - expected).abs().sort(dim=-1)  # most typical first
        mass = probabilities.gather(-1, order).cumsum(dim=-1)
        last = (mass < self.mass).sum(dim=-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
        odd = oddity > oddity.gather(-1, last)
        return logits.masked_fill(odd.scatter(-1, order, odd), -math.inf)

    def __str__(self) -> str:
        return f"typical {self.mass:g}"
