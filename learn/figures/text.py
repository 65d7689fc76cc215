"""Figures of the chapters on tokenization and embeddings."""

import numpy as np
import plotly.graph_objects as go

from learn.figures import Slider
from text.byte_pair import learn_merges
from text.word_counts import count_words

RHYME = (
    "the king keeps a promise and the queen keeps a ring, the ring that the king had given her in the evening; "
    "and in the evening the king would sing of the spring and the sea, and the queen would listen to the king. "
) * 3


def vocabulary_against_length(text: str = RHYME, merges: int = 120) -> go.Figure:
    """How many tokens a text has after each merge."""
    length = len(text.encode())
    lengths = [length]
    for _, step in zip(range(merges), learn_merges(count_words([text])), strict=False):
        length -= step.frequency
        lengths.append(length)
    drawn = go.Figure(go.Scatter(x=[256 + merge for merge in range(len(lengths))], y=lengths, mode="lines"))
    drawn.update_layout(
        title="A larger vocabulary makes a text shorter", xaxis_title="vocabulary (tokens)", yaxis_title="text (tokens)"
    )
    return drawn


def random_vectors_are_at_right_angles(d_model: int = 128, vectors: int = 60) -> go.Figure:
    """Angles between random vectors, in few and in many dimensions."""
    draw = np.random.default_rng(0)
    bars = []
    for width in (2, 16, d_model):
        rows = draw.normal(size=(vectors, width))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        cosines = (rows @ rows.T)[np.triu_indices(vectors, k=1)]
        angles = np.degrees(np.arccos(cosines.clip(-1, 1)))
        bars.append(go.Histogram(name=f"{width} dimensions", x=angles, xbins={"start": 0, "end": 180, "size": 5}))
    drawn = go.Figure(bars)
    drawn.update_layout(
        title="Random vectors are nearly at right angles when there are many dimensions",
        xaxis_title="angle between two vectors (degrees)", yaxis_title="pairs", barmode="overlay",
    )  # fmt: skip
    drawn.update_traces(opacity=0.7)
    return drawn


FIGURES = {
    "vocabulary_against_length": vocabulary_against_length,
    "random_vectors_are_at_right_angles": random_vectors_are_at_right_angles,
}
CONTROLS = {
    "vocabulary_against_length": {"merges": Slider("Merges", 10, 200, 10, "How far to go on merging. Typical: 120")},
    "random_vectors_are_at_right_angles": {
        "d_model": Slider("Width (d_model)", 2, 768, 2, "The more dimensions, the closer to 90 degrees. Typical: 128")
    },
}
