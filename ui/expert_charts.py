"""What the experts of a run do: who has how much of the work in each layer, and whether that becomes more even."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from config.model_config import ModelConfig
from runs.routing import Routing
from ui import charts, plot
from ui.charts import Figure, View
from ui.curves import X_COLUMNS, Ranged, RunReader
from ui.words import number

ROW_HEIGHT, LEAST_HEIGHT, MOST_HEIGHT = 26, charts.SMALL_HEIGHT, 480
MOST_NUMBERS = 16  # experts whose shares are written into their fields; more would not fit
TOP, BOTTOM = 34, 40
# From nothing to twice an even share; the middle is where a field should be.
COLORS = {
    "light": [[0, "#ffffff"], [0.5, "#9fd3cd"], [1, "#0b5e57"]],
    "dark": [[0, "#101514"], [0.5, "#1f6f68"], [1, "#7ff0e2"]],
}


def draw(reader: RunReader, view: View, model: ModelConfig | None) -> None:
    """A row of charts below the loss; nothing for a model without experts."""
    routing = reader.metrics.routing
    if routing is None:
        return
    layers = layer_names(routing, model)
    wide, narrow = st.columns([2, 1])
    with wide:
        figure = share_figure(routing, layers, view)
        plot.show(figure, key="expert_shares", alt=describe(routing))
    with narrow:
        balance = reader.ranged("expert_balance", X_COLUMNS[view.x])
        dropped = reader.ranged("dropped_share", X_COLUMNS[view.x])
        plot.show(
            balance_figure(balance, dropped, view), key="expert_balance",
            alt="How even the experts are used over the run: 1 is even.",
        )  # fmt: skip


def layer_names(routing: Routing, model: ModelConfig | None) -> list[str]:
    """The numbers of the layers that have experts, counted from 1."""
    found = [number for number, has_experts in enumerate(model.expert_layers if model else (), start=1) if has_experts]
    known = found if len(found) == len(routing.shares) else range(1, len(routing.shares) + 1)
    return [str(layer) for layer in known]


def share_figure(routing: Routing, layers: Sequence[str], view: View, title: str = "Visits of each expert") -> Figure:
    """A field for each expert of each layer: its share of the visits, against an even one."""
    experts = len(routing.shares[0])
    percent = [[100 * share for share in layer] for layer in routing.shares]
    fields = {
        "type": "heatmap", "z": percent, "x": [str(expert) for expert in range(1, experts + 1)], "y": list(layers),
        "zmin": 0, "zmax": 200 / experts, "colorscale": COLORS[view.theme], "xgap": 2, "ygap": 2,
        "hovertemplate": "layer %{y}, expert %{x}: %{z:.1f} % of the visits<extra></extra>",
        "colorbar": {"title": {"text": "%", "side": "right"}, "thickness": 10, "outlinewidth": 0, "nticks": 4},
    }  # fmt: skip
    if experts <= MOST_NUMBERS:
        fields |= {"texttemplate": "%{z:.0f}", "textfont": {"size": 11}}
    height = min(MOST_HEIGHT, max(LEAST_HEIGHT, TOP + BOTTOM + ROW_HEIGHT * len(layers)))
    words = f"{title} <span style='font-weight:400'>in % of a layer, even {number(100 / experts, 3)}</span>"
    figure = charts.new_figure(words, height, view, [fields])
    layout = figure["layout"]
    layout["margin"] = {"l": 44, "r": 8, "t": TOP, "b": BOTTOM}
    layout["xaxis"] = _axis("expert") | {"nticks": 16}
    layout["yaxis"] = _axis("layer") | {"autorange": "reversed"}
    return figure


def _axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title, "font": {"size": 12}, "standoff": 6}, "type": "category", "showgrid": False}


def balance_figure(balance: Ranged, dropped: Ranged, view: View) -> Figure:
    """The penalty as a multiple of that of even use; and the share of visits that found their expert full."""
    lines = charts.ranged_lines(balance, "balance")
    title = "Expert balance <span style='font-weight:400'>1 is even</span>"
    if any(value is not None for value in dropped.mean[1]):
        color = charts.WARNING[view.theme]
        lines.append(charts.curve_line(dropped.mean, color, 1.5, "dropped"))
        title += f" <span style='font-weight:400;color:{color}'>share dropped</span>"
    return charts.small_figure(title, view, lines)


def describe(routing: Routing) -> str:
    """The fields in a sentence, for those who cannot see them."""
    return (
        f"Visits of {len(routing.shares[0])} experts in {len(routing.shares)} layers: the busiest has "
        f"{number(routing.busiest, 3)} times an even share, the idlest {number(routing.idlest, 3)} times."
    )
