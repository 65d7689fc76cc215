"""What a configuration must satisfy: one small function per rule, and all problems reported at once.

A rule sees a complete set of plain values that already passed the checks on single fields, so it may compute.
It returns a Problem with the numbers and a way out, or None.
"""

from collections.abc import Mapping
from typing import Any

from config.errors import Problem
from config.patterns import pattern_problem

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
    """RoPE rotates pairs of dimensions, so their number must be even, and no more than a head has."""
    if values["position"] != "rope" or values["attention"] == "mla":  # which turns a part of its own
        return None
    if values["d_head"] is None and values["d_model"] % values["n_heads"]:
        return None  # heads_divide_width says it
    head_dim = values["d_head"] if values["d_head"] is not None else values["d_model"] // values["n_heads"]
    rotary_dim = values["rotary_dim"]
    if rotary_dim is not None:
        if rotary_dim % 2 == 0 and rotary_dim <= head_dim:
            return None
        advice = f"take an even number up to {head_dim - head_dim % 2}" if head_dim > 1 else "set d_head to 2 or more"
        return Problem(
            "rotary_dim",
            f"RoPE rotates pairs of the {head_dim} dimensions of a head, so rotary_dim {rotary_dim} is not possible: "
            + advice,
        )
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


def parallel_parts_read_a_normed_stream(values: Values) -> Problem | None:
    """Side by side, both parts read the stream through a norm; there is no place for one behind a sum or a part."""
    if values["parallel_residual"] == "none" or values["norm_placement"] == "pre":
        return None
    return Problem(
        "parallel_residual",
        f"parallel_residual {values['parallel_residual']} needs norm_placement pre, not {values['norm_placement']}: "
        "set one of the two back",
    )


def windows_have_a_size(values: Values) -> Problem | None:
    """A layer that looks through a window has to know how wide it is."""
    if problem := pattern_problem("attention_pattern", values["attention_pattern"], {"f": "full", "w": "window"}):
        return problem
    letters = values["attention_pattern"][: values["n_layers"]]
    if "w" not in letters or values["window"] is not None:
        return None
    return Problem(
        "window",
        f"attention_pattern {letters[:20]} has window layers: set window, e.g. to {max(1, values['n_ctx'] // 4)}",
    )


def position_pattern_is_known(values: Values) -> Problem | None:
    """The pattern says p or n for every layer."""
    return pattern_problem("position_pattern", values["position_pattern"], {"p": "positions", "n": "none"})


def fast_pairs_turn_more_often_than_slow_ones(values: Values) -> Problem | None:
    """Between the slow and the fast pairs lies the ramp of llama3 and yarn scaling."""
    ends = {
        "llama3": ("rope_low_freq_factor", "rope_high_freq_factor"),
        "yarn": ("rope_beta_slow", "rope_beta_fast"),
    }
    if values["position"] != "rope" or values["rope_scaling"] not in ends:
        return None
    if values["rope_scaling"] == "yarn" and values["rope_theta"] <= 1:
        return Problem("rope_theta", "rope_scaling yarn needs pairs of different speed: set rope_theta above 1")
    slow, fast = ends[values["rope_scaling"]]
    if values[slow] < values[fast]:
        return None
    return Problem(fast, f"{fast} {values[fast]:g} must be above {slow} {values[slow]:g}")


# Each rule with the fields it reads: it is not asked while one of them has a problem of its own.
RULES = (
    (("d_model", "n_heads", "d_head"), heads_divide_width),
    (("n_heads", "n_kv_heads"), kv_heads_divide_heads),
    (("position", "attention", "d_model", "n_heads", "d_head", "rotary_dim"), rope_turns_pairs),
    (("position", "d_model"), sinusoids_come_in_pairs),
    (("parallel_residual", "norm_placement"), parallel_parts_read_a_normed_stream),
    (("attention_pattern", "n_layers", "window", "n_ctx"), windows_have_a_size),
    (("position_pattern",), position_pattern_is_known),
    (
        (
            "position",
            "rope_scaling",
            "rope_low_freq_factor",
            "rope_high_freq_factor",
            "rope_beta_slow",
            "rope_beta_fast",
        ),
        fast_pairs_turn_more_often_than_slow_ones,
    ),
)
