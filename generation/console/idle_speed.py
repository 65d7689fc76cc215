"""What --quantize and --compile leave as it is: they are for large matrices on the CPU, and for one text at a time."""

from typing import Any

from torch import nn

from components.kv_cache import KVCache
from config.errors import ConfigError
from generation.compiled import CompiledProjection
from generation.console.order import Order
from generation.decode_plan import DecodePlan
from generation.projections import RoundedProjection

NO_LARGE_MATRIX = "it is for large matrices on the CPU, and this model has none"


def idle_speed(model: nn.Module, order: Order) -> dict[str, str]:
    """Which of the two change nothing for this model, with the reason."""
    quantize = order.settings.quantize
    rounds = quantize != "none" and _has(model, RoundedProjection, quantize)
    found = {} if rounds or quantize == "none" else {f"quantize {quantize}": NO_LARGE_MATRIX}
    if order.settings.compile:
        try:
            if not _has(model, CompiledProjection, quantize if rounds else "float32"):
                found["compile"] = f"--quantize {quantize} has all large matrices" if rounds else NO_LARGE_MATRIX
        except ConfigError as error:
            found["compile"] = error.problems[0].message
    return found


def _has(model: nn.Module, kind: type, weights: str) -> bool:
    """Whether a step of one text multiplies any matrix in such a way.

    Raises:
        ConfigError: it cannot be compiled here.
    """
    parts: Any = model  # nn.Module's attributes have no type
    weight = parts.token_embedding.weight
    cache = KVCache(parts.config, 1, 1, weight.device, weight.dtype)
    plan = DecodePlan.of(model, cache, weights, compiled=kind is CompiledProjection)
    return plan is not None and plan.projections.has(kind)
