"""Figures of the chapter on normalization."""

import numpy as np
import plotly.graph_objects as go

from learn.figures import Slider
from learn.reference import layernorm, rmsnorm


def norms_of_one_token(scale: float = 4.0, shift: float = 3.0) -> go.Figure:
    """One token's vector, stretched and shifted, before and after both norms."""
    x = np.array([-1.0, 0.5, 2.0, -0.3, 1.1, -0.8, 0.2, 1.5]) * scale + shift
    ones = {"weight": np.ones(8)}
    rows = {
        "before": x,
        "LayerNorm: mean 0, variance 1": layernorm.forward(x, ones, 1e-5)[0],
        "RMSNorm: root mean square 1": rmsnorm.forward(x, ones, 1e-5)[0],
    }
    drawn = go.Figure([go.Bar(name=name, x=list(range(8)), y=values) for name, values in rows.items()])
    drawn.update_layout(
        title="One token before and after a norm", xaxis_title="dimension", yaxis_title="value", barmode="group"
    )
    return drawn


FIGURES = {"norms_of_one_token": norms_of_one_token}
CONTROLS = {
    "norms_of_one_token": {
        "scale": Slider("Stretched by", 0.5, 10.0, 0.5, "LayerNorm and RMSNorm both undo it. Typical: 4"),
        "shift": Slider("Shifted by", -5.0, 5.0, 0.5, "Only LayerNorm undoes it. Typical: 3"),
    }
}
