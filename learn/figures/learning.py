"""Figures of the chapters on training, generation and measuring."""

import numpy as np
import plotly.graph_objects as go

from learn.figures import Slider
from learn.reference.adamw import AdamW
from learn.reference.arrays import softmax


def learning_rates(max_steps: int = 1000, warmup_steps: int = 100, lr: float = 1e-3) -> go.Figure:
    """The rate of each step, in each schedule."""
    from config.train_config import TrainConfig
    from training.schedule import learning_rate

    drawn = go.Figure()
    for schedule in ("cosine", "linear", "constant"):
        recipe = TrainConfig(lr=lr, warmup_steps=warmup_steps, max_steps=max_steps, schedule=schedule)
        steps = list(range(max_steps))
        drawn.add_scatter(x=steps, y=[learning_rate(step, recipe, max_steps) for step in steps], name=schedule)
    drawn.update_layout(title="Warm up, then come to rest", xaxis_title="step", yaxis_title="learning rate")
    return drawn


def narrow_valley(steep: float = 20.0, steps: int = 40) -> go.Figure:
    """The way of plain descent and of AdamW down a bowl that is `steep` times as steep in one direction."""
    slopes = np.array([1.0, steep])
    descent = [np.array([-2.0, 1.0])]
    for _ in range(steps):
        descent.append(descent[-1] - 1.8 / steep * slopes * descent[-1])
    weights, adam = {"theta": np.array([-2.0, 1.0])}, [np.array([-2.0, 1.0])]
    optimizer = AdamW(weight_decay=0.0)
    for _ in range(steps):
        optimizer.step(weights, {"theta": slopes * weights["theta"]}, 0.1)
        adam.append(weights["theta"].copy())

    axis = np.linspace(-2.2, 2.2, 60)
    height = (slopes[0] * axis[None] ** 2 + slopes[1] * axis[:, None] ** 2) / 2
    drawn = go.Figure(go.Contour(x=axis, y=axis, z=np.log1p(height), showscale=False, opacity=0.4))
    for name, way in (("plain descent", descent), ("Adam", adam)):
        x, y = np.array(way).T
        drawn.add_scatter(x=x, y=y, mode="lines+markers", name=name)
    drawn.update_layout(title="A narrow valley, 40 steps", xaxis_title="flat weight", yaxis_title="steep weight")
    return drawn


def what_samplers_leave(temperature: float = 0.7, top_p: float = 0.8, top_k: int = 4, min_p: float = 0.2) -> go.Figure:
    """A distribution of ten tokens, as it is and after each sampler alone."""
    import torch

    from generation.samplers import Temperature
    from generation.truncation import MinP, TopK, TopP

    logits = torch.tensor([[3.0, 2.4, 2.1, 1.6, 1.2, 0.9, 0.3, 0.0, -0.6, -1.0]])
    bars = [go.Bar(name="the model's own", x=list(range(10)), y=softmax(logits.numpy())[0])]
    for sampler in (Temperature(temperature), TopK(top_k), TopP(top_p), MinP(min_p)):
        bars.append(go.Bar(name=str(sampler), x=list(range(10)), y=sampler(logits).softmax(dim=-1)[0].numpy()))
    drawn = go.Figure(bars)
    drawn.update_layout(
        title="What each sampler leaves", xaxis_title="token", yaxis_title="probability", barmode="group"
    )
    return drawn


def interval_against_tokens(deviation: float = 1.0) -> go.Figure:
    """Half the width of a 95 % interval of the mean, for independent differences."""
    tokens = np.logspace(2, 6, 50)
    drawn = go.Figure(go.Scatter(x=tokens, y=1.96 * deviation / np.sqrt(tokens), mode="lines"))
    drawn.update_layout(
        title="Certainty is expensive", xaxis_title="tokens compared", yaxis_title="half width of the interval (nats)"
    )
    drawn.update_xaxes(type="log")
    drawn.update_yaxes(type="log")
    return drawn


FIGURES = {
    "learning_rates": learning_rates,
    "narrow_valley": narrow_valley,
    "what_samplers_leave": what_samplers_leave,
    "interval_against_tokens": interval_against_tokens,
}
CONTROLS = {
    "learning_rates": {
        "warmup_steps": Slider("Warm-up steps", 0, 500, 10, "How long the rate rises. Typical: 100 of 1,000")
    },
    "narrow_valley": {"steep": Slider("Steepness", 1.0, 50.0, 1.0, "How much steeper one direction is. Typical: 20")},
    "what_samplers_leave": {
        "temperature": Slider("Temperature", 0.1, 2.0, 0.1, "Below 1 sharpens, above 1 flattens. Typical: 0.8"),
        "top_k": Slider("Top-k", 1, 10, 1, "Keep so many tokens. Typical: 4 of these ten"),
        "top_p": Slider("Top-p", 0.0, 1.0, 0.05, "Keep what is needed to reach this share. Typical: 0.9"),
        "min_p": Slider(
            "Min-p", 0.0, 1.0, 0.05, "Keep what has this share of the best one's probability. Typical: 0.1"
        ),
    },
    "interval_against_tokens": {
        "deviation": Slider(
            "Spread of one difference (nats)", 0.1, 3.0, 0.1, "How much single tokens differ. Typical: 1"
        )
    },
}
