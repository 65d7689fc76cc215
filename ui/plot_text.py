"""Text from outside inside a plotly figure: plotly reads tags (<b>, <a href>) and entities in every label."""

from collections.abc import Sequence
from typing import Any

WIDEST = 14  # characters of a token on an axis
MOST_LABELS = 48  # on an axis; of more tokens every second or third is named


def plain(text: str, widest: int = WIDEST) -> str:
    """The text as it is, cut to a width, with nothing that plotly would interpret."""
    short = text if len(text) <= widest else f"{text[: widest - 1]}…"
    return short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "%\u200b{")


def token_ticks(names: Sequence[str]) -> dict[str, Any]:
    """An axis whose places are the tokens of a text; upright where they are longer than a letter or two."""
    every = -(-len(names) // MOST_LABELS)
    labels = [plain(name) for name in names]
    upright = every > 1 or max(map(len, labels), default=0) > 2
    places = {"tickvals": list(range(0, len(names), every)), "ticktext": labels[::every], "tickangle": 0}
    return places | {"showgrid": False, "ticks": "", "tickfont": {"size": 11}} | ({"tickangle": -90} if upright else {})
