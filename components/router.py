"""Router: scores every expert for a token, picks the few that the token visits, and says how much each one counts.

    s = softmax(W x + b)   or   sigmoid(W x + b)       a score for each expert: against the others, or by itself
    chosen = the k experts with the largest s + c      c, the selection bias, decides here and nowhere else
    w_e = scale · s_e / Σ_chosen s                     the sum only where router_renormalize says so

Papers: softmax over all, top k, Shazeer et al. 2017, arXiv:1701.06538, section 2.1 (with noise, which is gone since);
weights that sum to 1, Mixtral, Jiang et al. 2024, arXiv:2401.04088, section 2.1; groups, DeepSeek-V2, arXiv:2405.04434,
section 2.2.2; sigmoid and selection bias, DeepSeek-V3, arXiv:2412.19437, section 2.1.2, after arXiv:2408.15664.
Shapes: [batch pos d_model] -> experts and weights [batch pos slot], slot = 1 … k; all in float32 at least, whatever the
model's format: two close scores must not become equal by rounding.

"The top k of the logits, then softmax over those" (gpt-oss) is softmax over all, renormalized: exp(a) / Σ exp either
way. Groups: only experts of the best groups may be chosen; a group is as good as its best expert (softmax, DeepSeek-V2)
or as its best two together (sigmoid, DeepSeek-V3). b is a parameter (router_bias); c is none: no gradient reaches it,
because choosing has none. It is a buffer that training moves (components/balance.py) and that checkpoints hold.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import einsum, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from components.capacity import within_capacity
from config.model_config import ModelConfig

Stream = Float[Tensor, "batch pos d_model"]
Scores = Float[Tensor, "batch pos expert"]
TINY = 1e-20  # a sum of sigmoids may be 0


class Choice(NamedTuple):
    """Where the tokens of a batch go."""

    scores: Scores
    experts: Int[Tensor, "batch pos slot"]
    weights: Float[Tensor, "batch pos slot"]
    kept: Bool[Tensor, "batch pos slot"] | None = None
    """Which visits take place; the others came to an expert that was full. None where there is no capacity."""


class Router(nn.Module, ABC):
    """Holds the scores' projection and the selection bias; the implementations differ in how they score."""

    selection_bias: Tensor | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.n_experts is not None
        self.n_experts, self.n_chosen = config.n_experts, config.experts_per_token
        self.kind, self.renormalize, self.scale = config.router, config.router_renormalize, config.router_scale
        self.groups, self.groups_per_token = config.expert_groups, config.groups_per_token
        self.capacity = config.expert_capacity
        self.score_proj = nn.Linear(config.d_model, config.n_experts, bias=config.router_bias)
        bias = torch.zeros(config.n_experts) if config.router_selection_bias else None
        self.register_buffer("selection_bias", bias)

    @abstractmethod
    def score(self, x: Stream) -> Scores:
        """s for every expert, from a stream in float32 or finer."""

    def forward(self, x: Stream) -> Choice:
        """Score, choose and weigh."""
        with torch.autocast(x.device.type, enabled=False):
            scores = self.score(x.to(torch.promote_types(x.dtype, torch.float32)))
            experts = self.choose(scores.detach())
            weights = scores.gather(-1, experts)  # without the selection bias
            if self.renormalize:
                weights = weights / (weights.sum(dim=-1, keepdim=True) + TINY)
            weights = weights * self.scale
        if self.capacity is None or not self.training:  # when text is written, nobody is turned away
            return Choice(scores, experts, weights)
        kept = within_capacity(experts, self.n_experts, self.capacity)
        return Choice(scores, experts, weights * kept, kept)

    def choose(self, scores: Scores) -> Int[Tensor, "batch pos slot"]:
        """The k best, in the best groups, the selection bias counted."""
        wanted = scores if self.selection_bias is None else scores + self.selection_bias
        if self.groups is not None:
            wanted = self._hide_other_groups(wanted, self.groups)
        return wanted.topk(self.n_chosen, dim=-1).indices

    def _hide_other_groups(self, wanted: Scores, groups: int) -> Scores:
        members = wanted.unflatten(-1, (groups, -1))  # [batch pos group member]
        best = members.topk(2, dim=-1).values.sum(dim=-1) if self.kind == "sigmoid" else members.amax(dim=-1)
        visited = best.topk(self.groups_per_token, dim=-1).indices
        hidden = torch.ones_like(best, dtype=torch.bool).scatter(-1, visited, False)  # [batch pos group]
        return members.masked_fill(hidden[..., None], float("-inf")).flatten(-2)


class RouterEinops(Router):
    """The product with named axes, the softmax from its formula."""

    def score(self, x: Stream) -> Scores:
        logits = einsum(x, self.score_proj.weight.to(x.dtype), "batch pos d_model, expert d_model -> batch pos expert")
        if self.score_proj.bias is not None:
            logits = logits + self.score_proj.bias.to(x.dtype)
        if self.kind == "sigmoid":
            return torch.sigmoid(logits)
        powers = (logits - reduce(logits, "batch pos expert -> batch pos 1", "max").detach()).exp()
        return powers / reduce(powers, "batch pos expert -> batch pos 1", "sum")


class RouterTorch(Router):
    """The same in tensor methods."""

    def score(self, x: Stream) -> Scores:
        logits = x @ self.score_proj.weight.to(x.dtype).T
        if self.score_proj.bias is not None:
            logits = logits + self.score_proj.bias.to(x.dtype)
        return logits.sigmoid() if self.kind == "sigmoid" else logits.softmax(dim=-1)


class RouterFused(Router):
    """Product and bias as one kernel."""

    def score(self, x: Stream) -> Scores:
        bias = self.score_proj.bias
        logits = F.linear(x, self.score_proj.weight.to(x.dtype), None if bias is None else bias.to(x.dtype))
        return torch.sigmoid(logits) if self.kind == "sigmoid" else torch.softmax(logits, dim=-1)


VARIANTS = {"einops": RouterEinops, "torch": RouterTorch, "fused": RouterFused}
