"""The two ends of the model: a vector for each token on the way in, a score for each token on the way out.

    token embedding   x[b, p] = E[token[b, p]] · embedding_scale        E: [d_vocab d_model]
    unembedding       z[b, p, v] = (x[b, p] · U[v] + β[v]) · logit_scale      U: [d_vocab d_model], or when tied E
                      logits = z, or with a cap c: c · tanh(z / c), which stays between −c and c

Papers: embedding, Bengio et al. 2003, section 2. Tying, Press & Wolf 2017, arXiv:1608.05859, section 3. Scaling the
embedding by √d_model, Vaswani et al. 2017, arXiv:1706.03762, section 3.4. Cap, Gemma 2, arXiv:2408.00118, section 2.
Shapes: tokens [batch pos] -> [batch pos d_model]; [batch pos d_model] -> logits [batch pos d_vocab].

Looking up row t is the same as multiplying a one-hot vector by E, only without the d_vocab − 1 products with zero.
With tie_embeddings there is one matrix, owned by the token embedding; the unembedding then has none of its own and gets
it handed in, so it is stored once, counted once, and receives both gradients. By default no scale, bias or cap, as in
GPT-2 and LLaMA.
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
        self.scale = config.embedding_scale

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        """The row of each token, scaled. Gemma rounds its scale to the weights' number format, so it is done here."""
        rows = self.look_up(tokens)
        return rows if self.scale == 1.0 else rows * rows.new_tensor(self.scale)

    @abstractmethod
    def look_up(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        """The row of each token."""


class TokenEmbeddingEinops(TokenEmbedding):
    """Picks the rows as one long list, then gives the list its two axes back."""

    def look_up(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        rows = self.weight[rearrange(tokens, "batch pos -> (batch pos)")]
        return rearrange(rows, "(batch pos) d_model -> batch pos d_model", pos=tokens.shape[1])


class TokenEmbeddingTorch(TokenEmbedding):
    """Plain indexing: an index of shape [batch pos] gives [batch pos d_model]."""

    def look_up(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        return self.weight[tokens]


class TokenEmbeddingFused(TokenEmbedding):
    """The look-up kernel."""

    def look_up(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_model"]:
        return F.embedding(tokens, self.weight)


class Unembedding(nn.Module, ABC):
    """Holds U, or nothing when tied, and the bias."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        weight = None if config.tie_embeddings else torch.empty(config.d_vocab, config.d_model)
        self.weight = None if weight is None else nn.Parameter(weight.normal_(0.0, config.init_std))
        self.bias = nn.Parameter(torch.zeros(config.d_vocab)) if config.unembedding_bias else None
        self.scale, self.cap = config.logit_scale, config.logit_softcap

    def forward(
        self, x: Float[Tensor, "batch pos d_model"], embedding: Float[Tensor, "d_vocab d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        """Score every token of the vocabulary; `embedding` is E, used when tied."""
        logits = self.project(x, embedding if self.weight is None else self.weight)
        logits = logits if self.scale == 1.0 else logits * self.scale
        if self.cap is None:
            return logits
        # In place, because nobody reads the logits before their cap, and with many words they outgrow the model.
        return self.cap * logits.div_(self.cap).tanh_()

    @abstractmethod
    def project(
        self, x: Float[Tensor, "batch pos d_model"], weight: Float[Tensor, "d_vocab d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        """The dot product of each position with each row, and the bias."""


class UnembeddingEinops(Unembedding):
    """The dot product with named axes."""

    def project(
        self, x: Float[Tensor, "batch pos d_model"], weight: Float[Tensor, "d_vocab d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        logits = einsum(x, weight, "batch pos d_model, d_vocab d_model -> batch pos d_vocab")
        return logits if self.bias is None else logits + self.bias


class UnembeddingTorch(Unembedding):
    """The same as a matrix product."""

    def project(
        self, x: Float[Tensor, "batch pos d_model"], weight: Float[Tensor, "d_vocab d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        return x @ weight.T if self.bias is None else x @ weight.T + self.bias


class UnembeddingFused(Unembedding):
    """The linear kernel, which reads the matrix as it is stored and adds the bias."""

    def project(
        self, x: Float[Tensor, "batch pos d_model"], weight: Float[Tensor, "d_vocab d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        return F.linear(x, weight, self.bias)


VARIANTS = {
    "token": {"einops": TokenEmbeddingEinops, "torch": TokenEmbeddingTorch, "fused": TokenEmbeddingFused},
    "unembedding": {"einops": UnembeddingEinops, "torch": UnembeddingTorch, "fused": UnembeddingFused},
}
