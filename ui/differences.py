"""What sets the three architectures apart: a table, and the parts to point out in their drawings."""

import html
from collections import Counter

from config.catalog import entry
from config.presets import PRESET_NAMES, load_preset, preset_info

ROWS = ("Positions", "Norm", "MLP", "Biases", "Output matrix")
SLOT_OF_ROW = {"Positions": "position", "Norm": "norm", "MLP": "mlp"}


def facts(preset: str) -> dict[str, str]:
    """One preset, row by row, in words."""
    config = load_preset(preset)
    return {
        "Positions": entry("position", config.position).title,
        "Norm": entry("norm", config.norm).title,
        "MLP": entry("mlp", config.mlp).title,
        "Biases": "everywhere" if config.qkv_bias and config.mlp_bias else "none",
        "Output matrix": "the embedding again (tied)" if config.tie_embeddings else "its own",
    }


def unusual() -> dict[str, set[str]]:
    """For each preset the rows in which most of the three say something else."""
    told = {name: facts(name) for name in PRESET_NAMES}
    found: dict[str, set[str]] = {name: set() for name in PRESET_NAMES}
    for row in ROWS:
        counts = Counter(told[name][row] for name in PRESET_NAMES)
        for name in PRESET_NAMES:
            if counts[told[name][row]] <= len(PRESET_NAMES) / 2:
                found[name].add(row)
    return found


def marked_slots(preset: str) -> set[str]:
    """The parts of the preset's drawing to point out."""
    return {SLOT_OF_ROW[row] for row in unusual()[preset] if row in SLOT_OF_ROW}


def table() -> str:
    """The three side by side; what is unusual in the accent colour, what released models do in the last row."""
    odd = unusual()
    head = "".join(f"<th>{html.escape(preset_info(name).title)}</th>" for name in PRESET_NAMES)
    rows = ""
    for row in ROWS:
        cells = "".join(
            f"<td{' class=odd' if row in odd[name] else ''}>{html.escape(facts(name)[row])}</td>"
            for name in PRESET_NAMES
        )
        rows += f"<tr><th>{row}</th>{cells}</tr>"
    notes = "".join(f"<td>{html.escape(preset_info(name).note)}</td>" for name in PRESET_NAMES)
    rows += f"<tr class='notes'><th>Released models</th>{notes}</tr>"
    return f"<table class='differences'><tr><th></th>{head}</tr>{rows}</table>"
