"""Look inside, Activations: how large the vectors are from layer to layer, and what single neurons answer to."""

from typing import Any

import streamlit as st

from ui import inside_engine as engine
from ui import plot, tokens
from ui.charts import INK, RUN_COLORS
from ui.inside_engine import Norms
from ui.inside_subject import Sight
from ui.live import theme
from ui.plot_text import plain, token_ticks
from ui.words import number

HEIGHT = 320
HOW_NORMS = (
    "Left: the length of the residual stream after each layer, and of what attention and MLP add to it, on average "
    "over the text; a part that adds little beside the stream changes little. Right: the stream's length at each "
    "token; one very large token is usually the first, a place where heads look when there is nothing to find."
)
HOW_NEURONS = (
    "The hidden values of one MLP, those that vary most over this text: each line is one neuron, green where it is "
    "above 0, orange where it is below, stronger where it is larger. Most neurons answer to many unrelated things."
)


def draw(sight: Sight) -> None:
    """Norms as two charts, then neurons over the text."""
    st.caption(HOW_NORMS)
    found, look = engine.norms(sight.look), theme()
    with st.container(key="inside_norms"):
        left, right = st.columns([2, 3], gap="medium")
    with left:
        alt = f"Mean length of the residual stream and of what each layer adds, {sight.label}."
        plot.show(by_layer(found, look), key="inside_norms_by_layer", alt=alt)
    with right:
        alt = f"Length of the residual stream after each layer at each token, {sight.label}."
        plot.show(by_token(found.stream, sight.names), key="inside_norms_by_token", alt=alt)
    st.markdown("##### Neurons")
    st.caption(HOW_NEURONS)
    _draw_neurons(sight)


def by_layer(norms: Norms, look: str) -> dict[str, Any]:
    """Means over the positions: the stream over n_layers + 1 stages, the additions over the layers."""
    colors = RUN_COLORS[look]
    means = {name: [sum(row) / len(row) for row in getattr(norms, name)] for name in ("stream", "attention", "mlp")}
    titles = {"stream": "stream", "attention": "attention adds", "mlp": "MLP adds"}
    styles = {"stream": (INK[look], "solid"), "attention": (colors[0], "dot"), "mlp": (colors[1], "dash")}
    stages = ["embedding", *(f"layer {layer}" for layer in range(len(norms.attention)))]
    lines = [
        {"type": "scatter", "mode": "lines+markers", "name": titles[name], "y": values,
         "x": stages[len(stages) - len(values) :], "line": {"color": styles[name][0], "dash": styles[name][1]},
         "hovertemplate": "%{y:.3g}"}
        for name, values in means.items()
    ]  # fmt: skip
    layout = _layout("Length of the vectors, mean over the text") | {"showlegend": True, "hovermode": "x unified"}
    layout["legend"] = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}
    layout["margin"] |= {"t": 64}
    layout["yaxis"] = {"rangemode": "tozero", "title": {"text": "norm", "font": {"size": 12}}}
    return {"data": lines, "layout": layout}


def by_token(stream: list[list[float]], names: tuple[str, ...]) -> dict[str, Any]:
    """The stream's length, a column for each token."""
    labels = [plain(name) for name in names]
    stages = ["embedding", *(f"layer {layer}" for layer in range(len(stream) - 1))]
    data = {"type": "heatmap", "z": stream, "y": stages, "colorscale": "Viridis", "customdata": [labels] * len(stream),
            "hovertemplate": "%{customdata}, %{y}: %{z:.3g}<extra></extra>", "colorbar": {"thickness": 10}}  # fmt: skip
    layout = _layout("Length of the stream at each token")
    layout["xaxis"] = token_ticks(names) | {"title": {"text": "token", "font": {"size": 12}}}
    layout["margin"] |= {"b": 72}
    layout["yaxis"] = {"showgrid": False, "automargin": True}
    return {"data": [data], "layout": layout}


def _layout(title: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "font": {"size": 13}, "x": 0, "y": 0.99},
        "height": HEIGHT,
        "margin": {"l": 56, "r": 8, "t": 32, "b": 48},
        "xaxis": {},
        "yaxis": {},
    }


def _draw_neurons(sight: Sight) -> None:
    """Which MLP and, if wanted, which neuron; then the text once for each."""
    look = sight.look
    places = engine.neuron_places(look.path, look.stamp)
    if not places:
        st.info("The MLPs of this model have no named neurons.")
        return
    left, right = st.columns([2, 2], gap="medium")
    place = left.selectbox(
        "MLP", places, key="inside_place", persist_state="session", format_func=_place_in_words,
        help="Which layer, and which expert where there are several. Typical: a middle layer.",
    )  # fmt: skip
    asked = right.number_input(
        "Neuron", min_value=0, value=None, key="inside_neuron", persist_state="session",
        placeholder="those that vary most",
        help="One neuron by its number. Typical: empty, for those that vary most over this text.",
    )  # fmt: skip
    count, rows = engine.neurons(look, place or places[0], asked)
    if asked is not None and asked >= count:
        st.caption(f"This MLP has {count:,} neurons, 0 to {count - 1:,}: the last is shown.")
    drawn = [_as_tokens(sight.names, index, values) for index, values in rows]
    names = [str(index) for index, _ in rows]
    tokens.show(drawn, key="inside_neurons", names=names, framed=True, label="Neurons over the text")


def _as_tokens(names: tuple[str, ...], index: int, values: list[float]) -> list[dict[str, Any]]:
    largest = max(map(abs, values)) or 1.0
    return [
        {"text": name, "strength": value / largest, "tooltip": f"{name}\nneuron {index}: {number(value, 3)}"}
        for name, value in zip(names, values, strict=True)
    ]


def _place_in_words(place: str) -> str:
    """blocks.2.mlp.experts.1.hook_post as layer 2, expert 1."""
    words = place.split(".")
    return f"layer {words[1]}" + (f", expert {words[words.index('experts') + 1]}" if "experts" in words else "") + (
        ", shared expert" if "shared_expert" in words else ""
    )  # fmt: skip
