"""Figures of the chapters on fine-tuning and on mixtures of experts."""

import numpy as np
import plotly.graph_objects as go

from learn.figures import Slider


def lora_share(largest_rank: int = 64) -> go.Figure:
    """The share of a square matrix's weights that LoRA trains."""
    ranks = np.array([rank for rank in (1, 2, 4, 8, 16, 32, 64, 128) if rank <= largest_rank])
    drawn = go.Figure(
        [
            go.Scatter(x=ranks, y=100 * 2 * ranks / width, mode="lines+markers", name=f"{width} × {width}")
            for width in (128, 768, 4096)
        ]
    )
    drawn.update_layout(
        title="The wider the matrix, the smaller the share", xaxis_title="rank", yaxis_title="weights that learn (%)"
    )
    drawn.update_xaxes(type="log")
    drawn.update_yaxes(type="log")
    return drawn


def experts_and_active_parameters(most_experts: int = 16, experts_per_token: int = 2) -> go.Figure:
    """All parameters, and those that one token uses, of a tiny LLaMA with 1 to 16 experts."""
    from config.presets import load_preset
    from config.sizes import count_active_parameters, count_parameters

    dense = load_preset("llama", "tiny").replace(d_vocab=65)
    experts = list(range(1, most_experts + 1))
    models = [dense.replace(n_experts=count, experts_per_token=min(count, experts_per_token)) for count in experts]
    drawn = go.Figure(
        [
            go.Scatter(name="all parameters", x=experts, y=[count_parameters(model) for model in models]),
            go.Scatter(name="used by one token", x=experts, y=[count_active_parameters(model) for model in models]),
        ]
    )
    drawn.update_layout(
        title="Experts cost memory, not time", xaxis_title="experts in each block", yaxis_title="parameters"
    )
    return drawn


FIGURES = {"lora_share": lora_share, "experts_and_active_parameters": experts_and_active_parameters}
CONTROLS = {
    "lora_share": {"largest_rank": Slider("Largest rank", 2, 128, 2, "How thick the detour may be. Typical: 64")},
    "experts_and_active_parameters": {
        "experts_per_token": Slider("Experts for each token", 1, 8, 1, "How many compute. Typical: 2")
    },
}
