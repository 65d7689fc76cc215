"""Figures of the chapter on looking inside."""

import numpy as np
import plotly.graph_objects as go

from learn.figures import Slider


def ideal_induction_head(period: int = 6, sharpness: float = 0.9) -> go.Figure:
    """Random tokens that repeat once: from the second half, look at what followed the last time."""
    length = 2 * period
    pattern = np.full((length, length), np.nan)
    for query in range(length):
        pattern[query, : query + 1] = (1 - sharpness) / (query + 1)
        target = query - period + 1 if query >= period else 0  # in the first half there is nothing to find
        pattern[query, target] += sharpness
    names = [f"{place} {chr(97 + place % period)}" for place in range(length)]
    drawn = go.Figure(go.Heatmap(z=pattern, x=names, y=names, zmin=0, zmax=1, colorbar={"title": "share"}))
    drawn.update_layout(
        title="An ideal induction head on tokens that repeat",
        xaxis_title="key: who is heard", yaxis_title="query: who asks",
    )  # fmt: skip
    drawn.update_yaxes(autorange="reversed")
    return drawn


FIGURES = {"ideal_induction_head": ideal_induction_head}
CONTROLS = {
    "ideal_induction_head": {
        "period": Slider("Repeats after", 2, 12, 1, "How many tokens until they come again. Typical: 6"),
        "sharpness": Slider("Sharpness", 0.0, 1.0, 0.05, "How much of the attention goes there. Typical: 0.9"),
    }
}
