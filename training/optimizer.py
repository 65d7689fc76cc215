"""The optimizers of a training behind one small interface, and which parameters each of them gets.

    adamw        torch's fused AdamW over flat buffers (training/flat.py); over ordinary tensors for a part of a model
    adamw_plain  the same, written out in training/adamw.py
    muon         torch's Muon for the matrices of the blocks, AdamW for embeddings, unembedding and vectors
    sgd          torch's SGD with momentum

Weight decay is for matrices alone: pulling a norm's scale or a bias towards zero would fight what it is for. Decoupled
decay: Loshchilov & Hutter 2017, arXiv:1711.05101; SGD's is coupled, it is added to the gradient and so passes through
the momentum. Muon: Jordan 2024, and Liu et al. 2025, arXiv:2502.16982, section 2.2
(its updates scaled to the size of AdamW's, so that one learning rate serves both).
"""

from typing import Any

import torch
from torch import Tensor, nn

from config.errors import CheckpointError
from config.train_config import TrainConfig
from training.adamw import AdamW
from training.flat import FlatParameters, can_be_flat
from training.fused_adamw import FusedAdamW
from training.parallel import gather, sharded_like, whole

MUON_MOMENTUM = 0.95  # of its author, over sizes and data sets; beta1 and beta2 remain those of its AdamW part
BLOCKS = "blocks."
# What each optimizer remembers of a parameter, beside its own number of steps.
MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")


class ModelOptimizer:
    """Updates the parameters of one model; its state has the same names in memory of any layout and in checkpoints."""

    def __init__(
        self, model: nn.Module, parts: list[torch.optim.Optimizer | FusedAdamW], flat: FlatParameters | None = None
    ):
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._parts, self._flat = parts, flat

    def set_rate(self, rate: float) -> None:
        """The learning rate of the next step."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate

    @torch.no_grad()
    def gradient_norm(self) -> Tensor:
        """2-norm of all gradients as one vector."""
        if self._flat is not None:
            self._flat.check_gradients()
            return self._flat.gradient_norm()
        return whole(nn.utils.get_total_norm(self._gradients()))

    @torch.no_grad()
    def step(self, divisor: float = 1.0) -> None:
        """One update with the gradients divided by a number: it undoes a loss scale, and shortens what is too long."""
        if self._flat is not None:
            for part in self._parts:
                assert isinstance(part, FusedAdamW)
                part.step(divisor)
            return
        if divisor != 1.0:
            torch._foreach_div_(self._gradients(), divisor)
        for part in self._parts:
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        if self._flat is not None:
            self._flat.gradient.zero_()
            return
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def state_tensors(self, keep: bool = True) -> dict[str, Tensor]:
        """Everything the optimizer remembers, on the CPU: `<parameter>/<moment>` in the parameter's shape, and
        `<parameter>/step` where its steps are counted. Empty before the first step, and where `keep` is False: a rank
        that only takes part in gathering."""
        found = {
            f"{name}/{entry}": value
            for name, parameter in self._parameters.items()
            for entry, value in self._state_of(parameter).items()
        }
        return gather(found, keep)

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor that `state_tensors` may give."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name, parameter in self._parameters.items():
            shapes |= {f"{name}/{moment}": tuple(parameter.shape) for moment in MOMENTS}
            shapes[f"{name}/step"] = ()
        return shapes

    @torch.no_grad()
    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `state_tensors` gave.

        Raises:
            CheckpointError: it is neither empty nor all that this optimizer remembers; nothing is changed then.
        """
        self._check_state(tensors)
        for key, value in tensors.items():
            name, _, entry = key.rpartition("/")
            parameter = self._parameters[name]
            if self._flat is not None:
                self._load_flat(self._flat, parameter, entry, value)
                continue
            part = self._part_of(parameter)
            # Fused AdamW keeps its step counter beside the parameter; the others keep it on the CPU.
            on_cpu = not part.defaults.get("fused")
            if entry == "step":
                part.state[parameter][entry] = value.to("cpu" if on_cpu else parameter.device, copy=True)
            else:
                part.state[parameter][entry] = sharded_like(value, parameter)

    def _check_state(self, tensors: dict[str, Tensor]) -> None:
        needed = self._state_names() if tensors else set()
        if absent := needed - tensors.keys():
            raise CheckpointError(f"the optimizer's state lacks {min(absent)}: resume from another checkpoint")
        if strange := tensors.keys() - needed:
            raise CheckpointError(f"the optimizer's state has {min(strange)}, which this optimizer does not have")
        counts = {value.item() for key, value in tensors.items() if key.endswith("/step")}
        if len(counts) > 1:  # only AdamW counts, and it makes every step with all of its parameters
            raise CheckpointError(
                f"the optimizer's state counts {min(counts):g} and {max(counts):g} steps, not the same everywhere"
            )

    def _state_names(self) -> set[str]:
        """What `state_tensors` gives after a step."""
        names: set[str] = set()
        for name, parameter in self._parameters.items():
            part = self._parts[0] if self._flat is not None else self._part_of(parameter)
            if isinstance(part, AdamW | FusedAdamW):
                names |= {f"{name}/{entry}" for entry in ("exp_avg", "exp_avg_sq", "step")}
            elif part.defaults["momentum"]:
                names.add(f"{name}/momentum_buffer")
        return names

    def _load_flat(self, flat: FlatParameters, parameter: nn.Parameter, entry: str, value: Tensor) -> None:
        states = [self._parts[0].state[group] for group in flat.groups]
        for group, state in zip(flat.groups, states, strict=True):
            if entry == "step":
                state[entry] = value.to(group.device, copy=True)
            elif entry not in state:  # AdamW makes its state when it first steps
                state[entry] = torch.zeros_like(group)
        if entry != "step":
            flat.part(parameter, [state[entry] for state in states]).copy_(value)

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        if self._flat is None:
            state = self._part_of(parameter).state.get(parameter, {})
            return {entry: value for entry, value in state.items() if value is not None}
        states = [self._parts[0].state[group] for group in self._flat.groups]
        if not all(states):
            return {}
        moments = {m: self._flat.part(parameter, [state[m] for state in states]) for m in MOMENTS if m in states[0]}
        return moments | {"step": states[0]["step"].clone()}  # in a file, tensors must not share memory

    def _part_of(self, parameter: nn.Parameter) -> torch.optim.Optimizer | FusedAdamW:
        return next(part for part in self._parts if any(parameter is p for g in part.param_groups for p in g["params"]))

    def _gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self._parameters.values() if parameter.grad is not None]


def parameter_groups(named: dict[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Matrices (with decay) and vectors (without), each tensor once, in the model's order; no empty group."""
    matrices = [p for p in named.values() if p.dim() >= 2]
    vectors = [p for p in named.values() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def build_optimizer(model: nn.Module, config: TrainConfig, *, flat: bool | None = None) -> ModelOptimizer:
    """The optimizer of `config` for the parameters of the model that are trained (`requires_grad`).

    Args:
        flat: whether AdamW moves the parameters into one buffer; by default wherever that is possible. False for
            parameters that something else has laid out: a part of a model (adapters), shards of several processes.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    betas = (config.beta1, config.beta2)
    if config.optimizer == "adamw_plain":
        groups = parameter_groups(named, config.weight_decay)
        return ModelOptimizer(model, [AdamW(groups, config.lr, betas)])
    if config.optimizer == "sgd":
        groups = parameter_groups(named, config.weight_decay)
        return ModelOptimizer(model, [torch.optim.SGD(groups, config.lr, momentum=config.beta1)])
    if config.optimizer == "muon":
        return _muon(model, named, config)
    groups = parameter_groups(named, config.weight_decay)
    if not (can_be_flat(model) if flat is None else flat):
        return ModelOptimizer(model, [FusedAdamW(groups, config.lr, betas)])
    buffers = FlatParameters([group["params"] for group in groups])
    groups = [group | {"params": [piece]} for group, piece in zip(groups, buffers.groups, strict=True)]
    return ModelOptimizer(model, [FusedAdamW(groups, config.lr, betas)], buffers)


def _muon(model: nn.Module, named: dict[str, nn.Parameter], config: TrainConfig) -> ModelOptimizer:
    """Muon makes every direction of a matrix's update equally long, which makes sense for maps from vectors to vectors:
    not for tables of rows (embeddings), and not for vectors."""
    inside = {name: p for name, p in named.items() if name.startswith(BLOCKS) and p.dim() == 2}
    outside = {name: p for name, p in named.items() if name not in inside}
    parts: list[torch.optim.Optimizer | FusedAdamW] = []
    if inside:
        parts.append(
            torch.optim.Muon(
                inside.values(), config.lr, config.weight_decay, MUON_MOMENTUM, adjust_lr_fn="match_rms_adamw"
            )
        )
    if outside:
        groups = parameter_groups(outside, config.weight_decay)
        parts.append(FusedAdamW(groups, config.lr, (config.beta1, config.beta2)))
    return ModelOptimizer(model, parts)
