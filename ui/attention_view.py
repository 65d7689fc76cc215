"""Look inside, Attention: all heads as thumbnails, one of them large, and what each does as numbers."""

from typing import Any

import streamlit as st

from ui import head_grid, plot
from ui import inside_engine as engine
from ui.charts import QUIET, RUN_COLORS
from ui.inside_engine import Head
from ui.inside_subject import Sight
from ui.live import theme
from ui.plot_text import plain, token_ticks

HEAD = "inside_head"  # session key: layer and head that is shown large
GRID = "inside_heads"
HEIGHT = 520
HOW = (
    "Each small picture is one head: a row for each token, coloured where it looks, the first token at the top left. "
    "A diagonal line means a fixed number of tokens back; a left edge means the first token, where heads look that "
    "have nothing to find. The grey half is the future, which no token sees. Click a picture to see it large."
)
COLUMNS = {
    "previous_token": "previous token",
    "first_token": "first token",
    "induction": "induction",
    "entropy_bits": "entropy (bits)",
}
SCORES_HELP = (
    "Share of attention on the previous and on the first token, and its spread in bits, over this text (0 bits: always "
    "one token). Induction is measured on random tokens that repeat, the same for every text: 1 is a head that finds "
    "the last time this token occurred and looks at what came after it. It needs two layers."
)


def draw(sight: Sight) -> None:
    """Thumbnails on the left, the chosen head on the right, scores below."""
    heads = engine.heads(sight.look)
    layer, head = _chosen(heads)
    st.caption(HOW)
    with st.container(key="inside_attention"):
        left, right = st.columns([4, 5], gap="medium")
    with left:
        size = min(engine.THUMBNAIL, len(sight.names))
        head_grid.show(heads, size, (layer, head), key=GRID, on_head=_note_head)
    with right:
        pattern = engine.pattern(sight.look, layer, head)
        alt = f"Attention pattern of layer {layer} head {head} for {len(sight.names)} tokens, {sight.label}."
        plot.show(zoomed(pattern, sight.names, layer, head, theme()), key="inside_zoom", alt=alt)
    box = st.expander("What each head does, in numbers", key="inside_scores", on_change="rerun")
    if box.open:
        with box:
            st.caption(SCORES_HELP)
            _draw_scores(heads, engine.induction(sight.look.path, sight.look.stamp))


def _chosen(heads: list[Head]) -> tuple[int, int]:
    """The head that was clicked, if this model has it; else its first."""
    places = [(head.layer, head.head) for head in heads]
    asked = st.session_state.get(HEAD)
    return asked if asked in places else places[0]


def _note_head() -> None:
    layer, head = map(int, st.session_state[GRID]["head"].split("/"))
    st.session_state[HEAD] = (layer, head)


def _draw_scores(heads: list[Head], induction: dict[tuple[int, int], float]) -> None:
    rows = []
    for head in heads:
        scores = head.scores | {"induction": induction.get((head.layer, head.head))}
        rows.append({"layer": head.layer, "head": head.head} | {COLUMNS[name]: scores[name] for name in COLUMNS})
    shares: dict[str, Any] = {
        title: st.column_config.ProgressColumn(title, min_value=0.0, max_value=1.0, format="%.2f")
        for name, title in COLUMNS.items()
        if name != "entropy_bits"
    }
    entropy = {COLUMNS["entropy_bits"]: st.column_config.NumberColumn(COLUMNS["entropy_bits"], format="%.2f")}
    st.dataframe(rows, column_config=shares | entropy, hide_index=True, key="inside_score_table", height=280)


def zoomed(pattern: list[list[float]], names: tuple[str, ...], layer: int, head: int, look: str) -> dict[str, Any]:
    """One pattern as a heat map with the tokens on both axes; what lies in the future is grey."""
    count = len(names)
    labels = [plain(name) for name in names]
    past = [[value if key <= query else None for key, value in enumerate(row)] for query, row in enumerate(pattern)]
    future = [[None if key <= query else 0 for key in range(count)] for query in range(count)]
    hover = [[f"{labels[query]} looks at {labels[key]}" for key in range(count)] for query in range(count)]
    red, green, blue = (int(RUN_COLORS[look][0][at : at + 2], 16) for at in (1, 3, 5))
    scale = [[at, f"rgba({red},{green},{blue},{opacity})"] for at, opacity in ((0, 0), (0.25, 0.5), (1, 1))]
    data = [
        {"type": "heatmap", "z": future, "colorscale": [[0, QUIET], [1, QUIET]], "opacity": 0.16, "showscale": False,
         "hoverinfo": "skip"},
        {"type": "heatmap", "z": past, "zmin": 0, "zmax": 1, "colorscale": scale, "text": hover,
         "hovertemplate": "%{text}: %{z:.1%}<extra></extra>",
         "colorbar": {"title": {"text": "weight", "side": "right"}, "thickness": 10, "len": 0.5, "outlinewidth": 0}},
    ]  # fmt: skip
    axis = token_ticks(names) | {"constrain": "domain"}
    layout = {
        "title": {"text": f"Layer {layer}, head {head}: who looks where", "font": {"size": 13}, "x": 0, "y": 0.99},
        "height": HEIGHT,
        "margin": {"l": 64, "r": 8, "t": 32, "b": 72},
        "xaxis": axis | {"title": {"text": "is looked at (key)", "font": {"size": 12}}, "range": [-0.5, count - 0.5]},
        "yaxis": axis | {"title": {"text": "looks (query)", "font": {"size": 12}}, "scaleanchor": "x", "tickangle": 0,
                         "range": [count - 0.5, -0.5]},
        "uirevision": f"{layer} {head} {count}",
    }  # fmt: skip
    return {"data": data, "layout": layout}
