"""What a configuration must satisfy: one small function per rule, and all problems reported at once.

A rule sees a complete set of plain values that already passed the checks on single fields, so it may compute.
It returns a Problem with the numbers and a way out, or None.
"""

from collections.abc import Mapping
from typing import Any

from config.errors import Problem

Values = Mapping[str, Any]


def heads_divide_width(values: Values) -> Problem | None:
    """Without d_head, the heads share d_model evenly."""
    d_model, n_heads = values["d_model"], values["n_heads"]
    if values["d_head"] is not None or d_model % n_heads == 0:
        return None
    divisors = [n for n in range(1, min(d_model, 1024) + 1) if d_model % n == 0]
    nearest = min(divisors, key=lambda n: abs(n - n_heads))
    return Problem(
        "n_heads",
        f"d_model {d_model:,} is not divisible by n_heads {n_heads:,}: "
        f"take n_heads {nearest:,}, d_model {n_heads * max(1, round(d_model / n_heads)):,}, or set d_head",
    )


def kv_heads_divide_heads(values: Values) -> Problem | None:
    """Each key/value head serves the same number of query heads."""
    n_heads, n_kv_heads = values["n_heads"], values["n_kv_heads"]
    if n_kv_heads is None or n_heads % n_kv_heads == 0:
        return None
    fitting = [n for n in range(1, n_heads + 1) if n_heads % n == 0]
    return Problem(
        "n_kv_heads",
        f"n_heads {n_heads:,} is not a multiple of n_kv_heads {n_kv_heads:,}: "
        f"take one of {', '.join(map(str, fitting[:8]))}{' …' if len(fitting) > 8 else ''}",
    )


def rope_turns_pairs(values: Values) -> Problem | None:
    """RoPE rotates pairs of dimensions, so the head width must be even."""
    if values["position"] != "rope":
        return None
    if values["d_head"] is None and values["d_model"] % values["n_heads"]:
        return None  # heads_divide_width says it
    head_dim = values["d_head"] if values["d_head"] is not None else values["d_model"] // values["n_heads"]
    if head_dim % 2 == 0:
        return None
    return Problem(
        "d_head" if values["d_head"] is not None else "n_heads",
        f"RoPE rotates pairs of dimensions, but the head width is {head_dim} (odd): "
        f"set d_head to {head_dim + 1}, or choose other positions",
    )


def sinusoids_come_in_pairs(values: Values) -> Problem | None:
    """Sinusoidal positions are sine and cosine side by side."""
    if values["position"] != "sinusoidal" or values["d_model"] % 2 == 0:
        return None
    return Problem("d_model", f"sinusoidal positions need an even d_model, not {values['d_model']:,}")


# Each rule with the fields it reads: it is not asked while one of them has a problem of its own.
RULES = (
    (("d_model", "n_heads", "d_head"), heads_divide_width),
    (("n_heads", "n_kv_heads"), kv_heads_divide_heads),
    (("position", "d_model", "n_heads", "d_head"), rope_turns_pairs),
    (("position", "d_model"), sinusoids_come_in_pairs),
)
