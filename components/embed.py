"""The two ends of the model: a vector for each token on the way in, a score for each token on the way out.

    token embedding   x[b, p] = E[token[b, p]]                 E: [d_vocab d_model]
    unembedding       logits[b, p, v] = x[b, p] · U[v]         U: [d_vocab d_model], or E itself when tied

Papers: embedding, Bengio et al. 2003, section 2. Tying, Press & Wolf 2017, arXiv:1608.05859, section 3.
Shapes: tokens [batch pos] -> [batch pos d_model]; [batch pos d_model] -> logits [batch pos d_vocab].

Looking up row t is the same as multiplying a one-hot vector by E, only without the d_vocab − 1 products with zero.
With tie_embeddings there is one matrix, owned by the token embedding; the unembedding has no parameter and gets it
handed in, so it is stored once, counted once, and receives both gradients. No bias, as in GPT-2 and LLaMA.
What departs from Vaswani et al. 2017, section 3.4: the embedding is not multiplied by √d_model.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from config.model_config import ModelConfig


class TokenEmbedding(nn.Module, ABC):
    """Holds E."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.d_vocab, config.d_model).normal_(0.0, config.init_std))

    @abstractmethod
    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        """The row of each token."""


class TokenEmbeddingEinops(TokenEmbedding):
    """Picks the rows as one long list, then gives the list its two axes back."""

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        rows = self.weight[rearrange(tokens, "batch pos -> (batch pos)")]
        return rearrange(rows, "(batch pos) d_model -> batch pos d_model", pos=tokens.shape[1])


class TokenEmbeddingTorch(TokenEmbedding):
    """Plain indexing: an index of shape [batch pos] gives [batch pos d_model]."""

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        return self.weight[tokens]


class TokenEmbeddingFused(TokenEmbedding):
    """The look-up kernel."""

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        return F.embedding(tokens, self.weight)


class Unembedding(nn.Module, ABC):
    """Holds U, or nothing when tied."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        weight = None if config.tie_embeddings else torch.empty(config.d_vocab, config.d_model)
        self.weight = None if weight is None else nn.Parameter(weight.normal_(0.0, config.init_std))

    def forward(
        self, x: Float[Tensor, "batch pos d_model"], embedding: Float[Tensor, "d_vocab d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        """Score every token of the vocabulary; `embedding` is E, used when tied."""
        return self.project(x, embedding if self.weight is None else self.weight)

    @abstractmethod
    def project(
        self, x: Float[Tensor, "batch pos d_model"], weight: Float[Tensor, "d_vocab d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        """The dot product of each position with each row."""


class UnembeddingEinops(Unembedding):
    """The dot product with named axes."""

    def project(
        self, x: Float[Tensor, "batch pos d_model"], weight: Float[Tensor, "d_vocab d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        return einsum(x, weight, "batch pos d_model, d_vocab d_model -> batch pos d_vocab")


class UnembeddingTorch(Unembedding):
    """The same as a matrix product."""

    def project(
        self, x: Float[Tensor, "batch pos d_model"], weight: Float[Tensor, "d_vocab d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        return x @ weight.T


class UnembeddingFused(Unembedding):
    """The linear kernel, which reads the matrix as it is stored."""

    def project(
        self, x: Float[Tensor, "batch pos d_model"], weight: Float[Tensor, "d_vocab d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        return F.linear(x, weight)


VARIANTS = {
    "token": {"einops": TokenEmbeddingEinops, "torch": TokenEmbeddingTorch, "fused": TokenEmbeddingFused},
    "unembedding": {"einops": UnembeddingEinops, "torch": UnembeddingTorch, "fused": UnembeddingFused},
}
