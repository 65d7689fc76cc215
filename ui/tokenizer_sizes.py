"""Vocabulary size against the length of the text: what a larger vocabulary buys, and what it costs."""

import math
from collections.abc import Sequence

from config.presets import load_preset
from ui import charts, form, plot
from ui import tokenizer_engine as engine
from ui.live import theme
from ui.tokenizer_engine import BYTES
from ui.tokenizer_form import Desk, show_facts
from ui.words import count, counted

SIZES = (256, 320, 512, 1_024, 2_048, 4_096, 8_192)
FEW = 1_024  # below, the sizes are evenly spaced
EVEN_POINTS = 8
FEW_TOKENS = 8
HEIGHT = 400
ROOM = 0.06  # share of the axis that the name of a size takes


def draw(desk: Desk) -> None:
    """The curve, and how to read it."""
    learned = engine.learn(desk.source)
    if learned.problem:
        form.show_problem(learned.problem)
        return
    sizes = sizes_to_show(learned.largest, desk.vocab_size)
    lengths = engine.lengths(desk.source, desk.text, sizes)
    chart = figure(sizes, lengths, len(desk.text), desk.vocab_size, desk.source.name, theme())
    plot.show(chart, key="sizes", alt=describe(sizes, lengths))
    width = load_preset("gpt2", "tiny").d_model
    lines = [
        f"The shorter the text, the more of it fits into the model's context. The price: each token needs a row in the "
        f"embedding, here {desk.vocab_size:,} × {width} (d_model of size tiny) = {count(desk.vocab_size * width)} "
        "parameters."
    ]
    if not desk.source.path:
        lines.append("Measured on the very text it was learned from: on any other text these merges would help less.")
    show_facts(lines)


def sizes_to_show(largest: int, chosen: int) -> tuple[int, ...]:
    """A handful of vocabulary sizes up to `largest`, the chosen one among them."""
    if largest >= FEW:
        sizes = {size for size in SIZES if size < largest} | {largest}
    else:
        sizes = {BYTES + (largest - BYTES) * point // EVEN_POINTS for point in range(EVEN_POINTS + 1)}
    return tuple(sorted(sizes | {chosen}))


def figure(
    sizes: Sequence[int], lengths: Sequence[int], characters: int, chosen: int, source: str, theme: str
) -> charts.Figure:
    """Tokens of the text by vocabulary size, the chosen size marked."""
    color, ink = charts.RUN_COLORS[theme][0], charts.INK[theme]
    hover = [characters / max(1, length) for length in lengths]
    line = {
        "type": "scatter", "mode": "lines+markers", "x": list(sizes), "y": list(lengths), "name": "tokens",
        "customdata": hover, "line": {"color": color, "width": 2},
        "marker": {
            "opacity": 1,
            "size": [12 if size == chosen else 7 for size in sizes],
            "color": [ink if size == chosen else color for size in sizes],
        },
        "hovertemplate": "vocabulary %{x:,}<br>%{y:,} tokens<br>%{customdata:.3g} characters per token<extra></extra>",
        "cliponaxis": False,
    }  # fmt: skip
    title = f"Length of your text, by vocabulary size <span style='font-weight:400'>(bpe from {source})</span>"
    log = sizes[-1] >= FEW
    ticks = spaced(sizes, log)
    xaxis = {
        "title": {"text": "vocabulary size (different tokens)"}, "type": "log" if log else "linear",
        "tickvals": ticks, "ticktext": [f"{size:,}" for size in ticks],
    }  # fmt: skip
    at = sizes.index(chosen)
    name = {
        "x": math.log10(chosen) if log else chosen, "y": lengths[at],
        "text": f"{chosen:,}: {counted(lengths[at], 'token')}",
        "ax": 0, "ay": -24, "showarrow": True, "arrowhead": 0, "arrowwidth": 1, "arrowcolor": ink, "font": {"size": 12},
    }  # fmt: skip
    layout = {
        "title": {"text": title, "font": {"size": 14}, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top"},
        "height": HEIGHT,
        "margin": {"l": 64, "r": 24, "t": 48, "b": 56},
        "hovermode": "closest",
        "showlegend": False,
        "xaxis": xaxis,
        "yaxis": {"title": {"text": "length of your text (tokens)"}, "rangemode": "tozero", "tickformat": ",d"}
        | ({"dtick": 1} if max(lengths) < FEW_TOKENS else {}),  # else plotly writes 0 0 0 1 1 1
        "annotations": [name],
    }
    return {"data": [line], "layout": layout}


def spaced(sizes: Sequence[int], log: bool) -> list[int]:
    """Those of the sizes, the largest first of all, whose names have room on the axis."""
    places = [math.log(size) if log else float(size) for size in sizes]
    gap = (places[-1] - places[0]) * ROOM
    kept = [len(sizes) - 1]
    for at in range(len(sizes) - 2, -1, -1):
        if places[kept[-1]] - places[at] >= gap:
            kept.append(at)
    return [sizes[at] for at in reversed(kept)]


def describe(sizes: Sequence[int], lengths: Sequence[int]) -> str:
    """The curve in a sentence, for those who cannot see it."""
    return (
        f"With a vocabulary of {sizes[0]:,} the text has {counted(lengths[0], 'token')}, "
        f"with {sizes[-1]:,} it has {lengths[-1]:,}."
    )
