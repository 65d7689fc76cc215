"""What the experts of a run did, as its newest evaluation noted it: read from a line of metrics.jsonl, or refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runs.following import to_number

# Of a file that is not ours; the largest published model has 61 layers of 256 experts.
MOST_LAYERS, MOST_EXPERTS = 1_024, 4_096


@dataclass(frozen=True)
class Routing:
    """The use of every expert at one evaluation, for each layer that has experts."""

    step: float
    shares: tuple[tuple[float, ...], ...]
    """Of each layer, what each expert had of the visits; they sum to 1."""

    entropies_nats: tuple[float, ...]
    """Of each layer, how undecided its router was about a token."""

    @property
    def busiest(self) -> float:
        """The largest share that an expert has, as a multiple of an even share."""
        return max(max(layer) * len(layer) for layer in self.shares)

    @property
    def idlest(self) -> float:
        """The smallest share that an expert has, as a multiple of an even share."""
        return min(min(layer) * len(layer) for layer in self.shares)


def parse_routing(line: Mapping[str, Any]) -> Routing | None:
    """The routing in a line of an evaluation; None where there is none, or it makes no sense."""
    layers = line.get("expert_shares")
    if not isinstance(layers, list) or len(layers) > MOST_LAYERS:
        return None
    shares = [row for layer in layers if (row := _numbers(layer, MOST_EXPERTS))]
    entropies = _numbers(line.get("router_entropy_nats"), MOST_LAYERS)
    if len({len(row) for row in shares}) != 1 or not len(layers) == len(shares) == len(entropies):
        return None
    return Routing(to_number(line.get("step")), tuple(shares), entropies)


def _numbers(value: Any, most: int) -> tuple[float, ...]:
    """A list of finite numbers; empty for anything else."""
    if not isinstance(value, list) or len(value) > most:
        return ()
    numbers = tuple(to_number(number) for number in value)
    return numbers if all(map(math.isfinite, numbers)) else ()
