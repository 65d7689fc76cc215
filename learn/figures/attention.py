"""Figures of the chapters on positions and attention."""

import numpy as np
import plotly.graph_objects as go

from learn.figures import Slider
from learn.reference import alibi, rope
from learn.reference.arrays import softmax


def rope_circle(query: int = 5, key: int = 3, theta: float = 10_000.0, pair: int = 0, d_head: int = 8) -> go.Figure:
    """One pair of a query and of a key as arrows on a circle, turned by their positions."""
    angles = rope.angles(max(query, key) + 1, d_head, theta)[:, pair]
    circle = np.linspace(0, 2 * np.pi, 100)
    drawn = go.Figure(go.Scatter(x=np.cos(circle), y=np.sin(circle), mode="lines", showlegend=False, opacity=0.4))
    for name, position in (("query", query), ("key", key)):
        angle = angles[position]
        drawn.add_scatter(
            x=[0, np.cos(angle)], y=[0, np.sin(angle)], mode="lines+markers",
            name=f"{name} at position {position}, turned by {angle:.2f}",
        )  # fmt: skip
    apart = np.cos(angles[query] - angles[key])
    drawn.update_layout(
        title=f"RoPE: {abs(query - key)} places apart, dot product {apart:.3f}",
        xaxis_title="first dimension of the pair", yaxis_title="second dimension",
    )  # fmt: skip
    drawn.update_xaxes(range=[-1.15, 1.15], constrain="domain")
    drawn.update_yaxes(range=[-1.15, 1.15], scaleanchor="x")
    return drawn


def alibi_slopes(n_heads: int = 8, distance: int = 32) -> go.Figure:
    """What each head takes from a score at each distance."""
    away = np.arange(distance + 1)
    drawn = go.Figure(
        [
            go.Scatter(x=away, y=-slope * away, mode="lines", name=f"head {head + 1}: slope {slope:.4g}")
            for head, slope in enumerate(alibi.slopes(n_heads))
        ]
    )
    drawn.update_layout(
        title="ALiBi: steep heads look near, flat heads look far",
        xaxis_title="distance (tokens)", yaxis_title="added to the score",
    )  # fmt: skip
    return drawn


def attention_pattern(words: str = "the king keeps the ring of the king", sharpness: float = 3.0) -> go.Figure:
    """Who listens to whom, with vectors that are random but equal for equal words."""
    tokens = words.split()
    draw = np.random.default_rng(1)
    vectors = {word: draw.normal(size=16) for word in dict.fromkeys(tokens)}
    x = np.array([vectors[word] for word in tokens]).reshape(len(tokens), 16)
    scores = sharpness * x @ x.T / 16
    future = np.triu(np.ones_like(scores, dtype=bool), k=1)
    pattern = np.where(future, np.nan, softmax(np.where(future, -np.inf, scores)))
    labels = [f"{place} {word}" for place, word in enumerate(tokens)]
    drawn = go.Figure(go.Heatmap(z=pattern, x=labels, y=labels, zmin=0, zmax=1, colorbar={"title": "share"}))
    drawn.update_layout(
        title="An attention pattern: every row sums to 1",
        xaxis_title="key: who is heard",
        yaxis_title="query: who asks",
    )
    drawn.update_yaxes(autorange="reversed")
    return drawn


FIGURES = {"rope_circle": rope_circle, "alibi_slopes": alibi_slopes, "attention_pattern": attention_pattern}
CONTROLS = {
    "rope_circle": {
        "query": Slider("Query at position", 0, 32, 1, "Turned by so many steps. Typical: 5"),
        "key": Slider("Key at position", 0, 32, 1, "Move both by the same number: the dot product stays. Typical: 3"),
        "pair": Slider("Pair of dimensions", 0, 3, 1, "Later pairs turn more slowly. Typical: 0"),
    },
    "alibi_slopes": {
        "n_heads": Slider("Heads", 1, 16, 1, "Not a power of two: slopes from two rows. Typical: 8"),
        "distance": Slider("Distance", 8, 128, 8, "How far to look back. Typical: 32"),
    },
    "attention_pattern": {
        "sharpness": Slider("Sharpness", 0.0, 20.0, 0.5, "0 listens to all alike; large to its own kind. Typical: 3")
    },
}
