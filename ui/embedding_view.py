"""Look inside, Embeddings: the vectors of tokens or positions as points in two or three dimensions."""

from typing import Any

import streamlit as st

from ui import inside_engine as engine
from ui import plot
from ui.charts import QUIET, RUN_COLORS
from ui.inside_engine import Points
from ui.inside_subject import Sight
from ui.live import theme
from ui.plot_text import plain

MATRICES = {"token": "tokens, going in", "output": "tokens, coming out", "position": "positions"}
METHODS = {"pca": "PCA", "tsne": "t-SNE"}
FEW = 160  # points that can bear their names
HEIGHT = 560
HOW = {
    "pca": "Each point is one vector, seen from the side where the vectors differ most (PCA); near points may still be "
    "apart in the dimensions that are not shown. Rest on a point for its nearest neighbours in all dimensions.",
    "tsne": "Each point is one vector, placed so that near neighbours stay near (t-SNE); distances between groups and "
    "their sizes mean nothing. Rest on a point for its nearest neighbours in all dimensions.",
}


def draw(sight: Sight) -> None:
    """Three choices, then the picture."""
    with st.container(horizontal=True, gap="medium", key="inside_embedding"):
        which = st.segmented_control(
            "Vectors of", list(MATRICES), key="inside_matrix", default="token", required=True,
            format_func=MATRICES.__getitem__, persist_state="session",
        )  # fmt: skip
        method = st.segmented_control(
            "Placed by", list(METHODS), key="inside_method", default="pca", required=True,
            format_func=METHODS.__getitem__, persist_state="session",
        )  # fmt: skip
        dimensions = st.segmented_control(
            "Dimensions", (2, 3), key="inside_dimensions", default=2, required=True, persist_state="session"
        )
    st.caption(HOW[method or "pca"])
    look = sight.look
    points = engine.picture(look.path, look.stamp, which or "token", method or "pca", dimensions or 2)
    title = f"{len(points.names):,} vectors of {MATRICES[which or 'token']}"
    if len(points.names) < points.rows:
        title += f", the first of {points.rows:,}"
    figure = as_figure(points, title, theme())
    plot.show(figure, key=f"inside_points_{dimensions}", alt=f"{title}, {sight.label}, by {METHODS[method or 'pca']}.")


def as_figure(points: Points, title: str, look: str) -> dict[str, Any]:
    """A scatter plot in as many dimensions as the points have; colours are kinds of text, or run along positions."""
    in_space = len(points.coordinates[0]) == 3
    by_position = points.kinds[0] == "position"
    kinds = [kind for kind in ("position", *engine.KINDS) if kind in points.kinds]
    traces = []
    axes = "xyz"[: len(points.coordinates[0])]
    for index, kind in enumerate(kinds):
        rows = [row for row, found in enumerate(points.kinds) if found == kind]
        color: Any = rows if by_position else RUN_COLORS[look][index]
        marker = {"size": 4 if in_space else 7, "color": color, "opacity": 0.85}
        if by_position:
            marker |= {"colorscale": "Viridis", "colorbar": {"title": {"text": "position"}, "thickness": 10}}
        named = len(points.names) <= FEW and not by_position
        traces.append({
            "type": "scatter3d" if in_space else "scatter", "name": kind,
            "mode": "markers+text" if named else "markers", "marker": marker,
            "text": [plain(points.names[row]) for row in rows], "textposition": "top center", "textfont": {"size": 11},
            "customdata": [plain(points.neighbours[row], 80) for row in rows],
            "hovertemplate": "<b>%{text}</b><br>near: %{customdata}<extra></extra>",
            **{axis: [points.coordinates[row][place] for row in rows] for place, axis in enumerate(axes)},
        })  # fmt: skip
    return {"data": traces, "layout": _layout(points, title, in_space, legend=len(kinds) > 1)}


def _layout(points: Points, title: str, in_space: bool, *, legend: bool) -> dict[str, Any]:
    shares = [f" ({share:.0%} of the variance)" for share in points.shares] or [""] * 3
    word = "component" if points.shares else "dimension"
    titles = [f"{word} {place + 1}{share}" for place, share in enumerate(shares)]
    axes = [{"title": {"text": text, "font": {"size": 12}}, "zeroline": False} for text in titles]
    quiet = {"showbackground": False, "gridcolor": QUIET, "color": QUIET, "zeroline": False, "gridwidth": 1}
    scene: dict[str, Any] = {f"{axis}axis": {**quiet, **title_} for axis, title_ in zip("xyz", axes, strict=False)}
    scene |= {"aspectmode": "cube", "camera": {"eye": {"x": 1.6, "y": 1.6, "z": 0.8}}}
    return {
        "title": {"text": title, "font": {"size": 13}, "x": 0, "y": 0.99},
        "height": HEIGHT,
        "margin": {"l": 0, "r": 0, "t": 64, "b": 0} if in_space else {"l": 48, "r": 8, "t": 64, "b": 48},
        "showlegend": legend,
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        "uirevision": title,
        **({"scene": scene} if in_space else {"xaxis": axes[0], "yaxis": axes[1]}),
    }
