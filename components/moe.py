"""Mixture of experts: instead of one MLP many, of which every token visits a few, chosen by a router.

    y = Σ_{e chosen} w_e · expert_e(x)  (+ gate · shared(x))          chosen and w_e: components/router.py

    token ── router ──> expert 2, expert 5                             parameters grow with the number of experts,
      │                    │ · w_2     │ · w_5                          the work for a token with the visits alone
      └────────────────────┴── Σ ──────┘──> y

Papers: Shazeer et al. 2017, arXiv:1701.06538, section 2; in the transformer, every MLP replaced: Lepikhin et al. 2020,
arXiv:2006.16668; one expert for each token: Fedus et al. 2021, arXiv:2101.03961; experts that every token visits
("shared"): Dai et al. 2024 (DeepSeekMoE), arXiv:2401.06066, section 3.2; a gate on them: Qwen2-MoE.
Shapes: [batch pos d_model] -> [batch pos d_model]. An expert is an MLP of the catalogue, of hidden width d_expert.

Three ways to compute the same sum: every expert on every token, weighted by 0 where it was not chosen (einops: what
the formula says, E / k times the work); each expert on the tokens that chose it (torch); the tokens put in the order of
their experts, so that each expert reads one piece of memory (fused). While gradients are wanted an expert that nobody
chose computes on no token at all: its gradient is then 0 and not absent, which other processes would wait for.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from components.balance import RoutingRecord
from components.registry import resolve
from components.router import Choice
from config.model_config import ModelConfig

Stream = Float[Tensor, "batch pos d_model"]


class MixtureOfExperts(nn.Module, ABC):
    """Holds the router, the experts, and those that are shared by all tokens."""

    implementation: ClassVar[str]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.n_experts is not None
        mlp = resolve("mlp", config.mlp, self.implementation)
        self.router = resolve("routing", "top_k", self.implementation)(config)
        one_expert = config.replace(d_mlp=config.expert_width)
        self.experts = nn.ModuleList(mlp(one_expert) for _ in range(config.n_experts))
        self.shared_expert, self.shared_gate = None, None
        if config.n_shared_experts:
            self.shared_expert = mlp(config.replace(d_mlp=config.shared_width))
            self.shared_gate = nn.Linear(config.d_model, 1, bias=False) if config.shared_expert_gate else None

    def forward(self, x: Stream, record: RoutingRecord | None = None) -> Stream:
        """Send every token to its experts and add up what they say; `record` notes who went where."""
        choice = self.router(x)
        if record is not None:
            record.add(choice)
        y = self.mix(x, choice)
        if self.shared_expert is None:
            return y
        shared = self.shared_expert(x)
        return y + (shared if self.shared_gate is None else torch.sigmoid(self.shared_gate(x)) * shared)

    @abstractmethod
    def mix(self, x: Stream, choice: Choice) -> Stream:
        """The weighted sum over the chosen experts."""


class MixtureOfExpertsEinops(MixtureOfExperts):
    """Every expert on every token, times a weight that is 0 for most."""

    implementation = "einops"

    def mix(self, x: Stream, choice: Choice) -> Stream:
        weights, is_chosen = choice.weights.to(x.dtype), F.one_hot(choice.experts, len(self.experts)).to(x.dtype)
        weights = einsum(weights, is_chosen, "batch pos slot, batch pos slot expert -> batch pos expert")
        said = rearrange([expert(x) for expert in self.experts], "expert batch pos d_model -> batch pos expert d_model")
        return einsum(said, weights, "batch pos expert d_model, batch pos expert -> batch pos d_model")


class MixtureOfExpertsTorch(MixtureOfExperts):
    """Expert after expert: gather the tokens that chose it, and add what it says where they came from."""

    implementation = "torch"

    def mix(self, x: Stream, choice: Choice) -> Stream:
        y = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            visits = choice.experts == index  # [batch pos slot]
            if choice.kept is not None:
                visits = visits & choice.kept
            text, place, slot = visits.nonzero(as_tuple=True)  # [visit] each
            said = expert(x[text, place][None])[0] * choice.weights[text, place, slot, None]
            y = y.index_put((text, place), said.to(y.dtype), accumulate=True)
        return y


class MixtureOfExpertsFused(MixtureOfExperts):
    """All visits in the order of their experts; each expert then reads its own piece, and the order is undone."""

    implementation = "fused"

    def mix(self, x: Stream, choice: Choice) -> Stream:
        tokens, n_slots, n_experts = x.flatten(0, 1), choice.experts.shape[-1], len(self.experts)
        goals = choice.experts.flatten()  # [visit]: those of the first token, of the second, …
        if choice.kept is not None:
            goals = goals.where(choice.kept.flatten(), n_experts)  # behind the last expert, where nobody works
        order = goals.argsort(stable=True)
        counts = goals.bincount(minlength=n_experts + 1).tolist()  # the one wait for the device
        *pieces, turned_away = tokens.index_select(0, order // n_slots).split(counts)
        wanted = torch.is_grad_enabled()
        said = [
            expert(piece[None])[0] if wanted or len(piece) else piece
            for expert, piece in zip(self.experts, pieces, strict=True)
        ]
        said_in_order = torch.cat([*said, torch.zeros_like(turned_away)]).index_select(0, order.argsort())
        weighted = said_in_order.view(-1, n_slots, x.shape[-1]) * choice.weights.view(-1, n_slots, 1)
        return weighted.sum(dim=1).to(x.dtype).view_as(x)


VARIANTS = {"einops": MixtureOfExpertsEinops, "torch": MixtureOfExpertsTorch, "fused": MixtureOfExpertsFused}
