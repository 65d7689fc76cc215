"""Figures of the chapters on the MLP, the block, the whole model and einops."""

import numpy as np
import plotly.graph_objects as go

from config.presets import load_preset
from config.sizes import parameters_by_component
from learn.figures import Slider
from learn.reference.activations import gelu, silu


def activations(reach: float = 4.0) -> go.Figure:
    """ReLU, GELU and SiLU around zero."""
    x = np.linspace(-reach, reach, 161)
    curves = {"ReLU": x.clip(min=0), "GELU": gelu(x), "SiLU": silu(x)}
    drawn = go.Figure([go.Scatter(name=name, x=x, y=y, mode="lines") for name, y in curves.items()])
    drawn.update_layout(title="Three bends", xaxis_title="what comes in", yaxis_title="what goes on")
    return drawn


def growth_of_the_stream(n_layers: int = 12) -> go.Figure:
    """Root mean square of the residual stream after each block of an untrained GPT-2, with and without scaling."""
    import torch

    from components.model import build_model

    drawn = go.Figure()
    for scaled, name in ((True, "projections scaled by 1/√(2 · n_layers)"), (False, "not scaled")):
        config = load_preset("gpt2", "tiny").replace(
            n_layers=n_layers, d_vocab=65, n_ctx=32, scale_residual_init=scaled, init_std=0.08
        )
        model = build_model(config, seed=0)
        tokens = torch.randint(65, (4, 32), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            x = model.positional_embedding.embed(model.token_embedding(tokens), torch.arange(32)[None])
            sizes = [x.square().mean().sqrt().item()]
            for block in model.blocks:
                x = block(x, model.positional_embedding)
                sizes.append(x.square().mean().sqrt().item())
        drawn.add_scatter(x=list(range(n_layers + 1)), y=sizes, mode="lines+markers", name=name)
    drawn.update_layout(
        title="The stream grows with every block that adds to it",
        xaxis_title="after block", yaxis_title="root mean square of the stream",
    )  # fmt: skip
    return drawn


def parameters_by_part(size: str = "tiny", d_vocab: int = 65) -> go.Figure:
    """The parameters of the three presets, part by part."""
    counts = {
        preset: parameters_by_component(load_preset(preset, size).replace(d_vocab=d_vocab))
        for preset in ("gpt2", "llama", "olmo")
    }
    parts = list(counts["gpt2"])
    drawn = go.Figure(
        [
            go.Bar(name=part.replace("_", " "), x=["GPT-2", "LLaMA", "OLMo"], y=[counts[p][part] for p in counts])
            for part in parts
        ]
    )
    drawn.update_layout(
        title=f"Most parameters are in the MLP (size {size})", barmode="stack",
        xaxis_title="preset", yaxis_title="parameters",
    )  # fmt: skip
    return drawn


def two_ways_to_cut(heads: int = 2, d_head: int = 3) -> go.Figure:
    """One vector cut into heads in two ways; colour is the place in the vector."""
    places = np.arange(heads * d_head)
    ways = {
        "(head d_head)": places.reshape(heads, d_head),
        "(d_head head)": places.reshape(d_head, heads).T,
    }
    rows = [f"{way}, head {head}" for way in ways for head in range(heads)]
    values = np.concatenate(list(ways.values()))
    drawn = go.Figure(
        go.Heatmap(
            z=values, x=[f"d_head {place}" for place in range(d_head)], y=rows, text=values, texttemplate="%{text}",
            colorbar={"title": "place in the vector"},
        )
    )  # fmt: skip
    drawn.update_layout(title="The same vector, cut in two ways", xaxis_title="within the head", yaxis_title="head")
    drawn.update_yaxes(autorange="reversed")
    return drawn


FIGURES = {
    "activations": activations,
    "growth_of_the_stream": growth_of_the_stream,
    "parameters_by_part": parameters_by_part,
    "two_ways_to_cut": two_ways_to_cut,
}
CONTROLS = {
    "activations": {"reach": Slider("Reach", 1.0, 8.0, 0.5, "How far from zero to look. Typical: 4")},
    "growth_of_the_stream": {"n_layers": Slider("Layers", 2, 24, 1, "The deeper, the more is added. Typical: 12")},
    "parameters_by_part": {
        "d_vocab": Slider(
            "Vocabulary", 65, 50_265, 200, "With a large one, embeddings take over. Typical: 65 or 50,257"
        )
    },
    "two_ways_to_cut": {
        "heads": Slider("Heads", 1, 4, 1, "Into how many to cut. Typical: 2"),
        "d_head": Slider("Width of a head", 1, 6, 1, "How many places each gets. Typical: 3"),
    },
}
