"""LoRA: a frozen linear map learns through a narrow path beside it, of which alone there are gradients and moments.

    y = W x + b + (α / r) · B A x           W: [d_out d_in] frozen,  A: [r d_in],  B: [d_out r]

            ┌──── W ────┐
    x ──────┤           (+)── y             A draws r numbers out of x, B writes them into y
            └─ A ── B ──┘

Paper: Hu et al. 2021, arXiv:2106.09685, section 4.1. A begins as Gaussian noise, B as zero: at step 0 the model is the
frozen one, bit for bit. Of a matrix with d_out · d_in numbers only r · (d_in + d_out) are trained, and the optimizer
remembers two moments of those. After training B A can be added into W, and the model costs what it cost before.

What departs from the paper: it adapts queries and values alone, here any linear map can be chosen by its name; the
noise in A has the standard deviation 1 / √d_in, for which the paper gives none. Routers of experts are left out: they
compute with their weights in a way of their own (components/router.py).

An adapted map keeps the names `weight` and `bias`, so a model has the tensors it had, and `lora_A`, `lora_B` beside.
"""

from fnmatch import fnmatchcase

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from components.model import Transformer
from config.errors import ConfigError, Problem
from config.lora_config import LoraConfig
from config.model_config import ModelConfig

PATTERNS = {"attention": ("*.attention.*",), "mlp": ("*.mlp.*",), "all-linear": ("*",)}
NEVER = ("*.router.*", "*.shared_gate")
A, B = "lora_A", "lora_B"


class LoraLinear(nn.Linear):
    """A linear map with an adapter; it takes the parameters of the map that it replaces, and freezes them."""

    def __init__(self, linear: nn.Linear, config: LoraConfig, generator: torch.Generator) -> None:
        assert config.lora_rank is not None
        d_in, d_out, rank = linear.in_features, linear.out_features, config.lora_rank
        super().__init__(d_in, d_out, bias=linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.requires_grad_(False)
        noise = torch.empty(rank, d_in).normal_(0.0, d_in**-0.5, generator=generator)
        self.lora_A = nn.Parameter(noise.to(linear.weight.device))
        self.lora_B = nn.Parameter(torch.zeros(d_out, rank, device=linear.weight.device))
        self.scale, self.dropout = config.scale, config.lora_dropout

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """The formula above, with dropout before A; B adds onto y in its own product, without a pass over y."""
        rows = x.flatten(0, -2)
        y = F.linear(rows, self.weight, self.bias)
        narrow = self.scale * F.linear(F.dropout(rows, self.dropout, self.training), self.lora_A)  # [row r]
        return torch.addmm(y, narrow, self.lora_B.T).unflatten(0, x.shape[:-1])

    @property
    def update(self) -> Float[Tensor, "d_out d_in"]:
        """What the adapter adds to the matrix."""
        return self.scale * (self.lora_B @ self.lora_A)


def add_adapters(model: nn.Module, config: LoraConfig, seed: int) -> None:
    """Freeze a model and put an adapter beside every linear map that the config names.

    Raises:
        ConfigError: it names none.
    """
    model.requires_grad_(False)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    for name in chosen_names(model, config.lora_targets):
        _replace(model, name, LoraLinear(_linears(model)[name], config, generator))


@torch.no_grad()
def merge(model: nn.Module) -> dict[str, LoraLinear]:
    """Add every adapter to its matrix: an ordinary model, which computes the same up to rounding.

    Returns the adapted maps, with the frozen matrices as they were, for `unmerge`; let go of them to free their memory.
    """
    adapted = {name: linear for name, linear in _linears(model).items() if isinstance(linear, LoraLinear)}
    for name, linear in adapted.items():
        plain = nn.Linear(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
        plain.weight = nn.Parameter(linear.weight + linear.update, requires_grad=False)
        plain.bias = linear.bias
        _replace(model, name, plain)
    return adapted


def unmerge(model: nn.Module, adapted: dict[str, LoraLinear]) -> None:
    """Undo `merge`, exactly: it has made new matrices and left the frozen ones alone."""
    for name, linear in adapted.items():
        _replace(model, name, linear)


def chosen_names(model: nn.Module, targets: str) -> list[str]:
    """Names of the linear maps that a preset or a list of patterns means, in the model's order.

    Raises:
        ConfigError: there is none, with those that could be named.
    """
    names = [name for name in _linears(model) if not _matches(name, NEVER)]
    patterns = PATTERNS.get(targets) or tuple(pattern.strip() for pattern in targets.split(","))
    if chosen := [name for name in names if _matches(name, patterns)]:
        return chosen
    kinds = ", ".join(sorted({f"*.{name.rpartition('.')[2]}" for name in names}))
    raise ConfigError(
        [Problem("lora_targets", f"lora_targets {targets[:60]!r} names no linear map: there are {kinds}")]
    )


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """The adapters alone, by name; empty for a model that has none."""
    return {name: tensor for name, tensor in model.state_dict().items() if name.rpartition(".")[2] in (A, B)}


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """What a checkpoint holds: the adapters of a model that has some, else every tensor."""
    return adapter_state(model) or model.state_dict()


def count_adapters(config: ModelConfig, lora: LoraConfig) -> int:
    """How many numbers the adapters of a model have, without making it.

    Raises:
        ConfigError: they would be beside no linear map.
    """
    with torch.device("meta"):
        model = Transformer(config)
    names, linears = chosen_names(model, lora.lora_targets), _linears(model)
    return sum((lora.lora_rank or 0) * (linears[name].in_features + linears[name].out_features) for name in names)


def describe_trained(model: nn.Module) -> str:
    """How many numbers of a model are trained, in a sentence."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    total, trained = sum(size for size, _ in sizes), sum(size for size, is_trained in sizes if is_trained)
    return f"training {trained:,} of {total:,} parameters, {trained / total:.2%}: those of the adapters"


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _linears(model: nn.Module) -> dict[str, nn.Linear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    holder, _, last = name.rpartition(".")
    setattr(model.get_submodule(holder), last, module)
