"""A comparison as one page that opens anywhere: numbers, curves and differences, with plotly's script in it."""

import html
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from runs.comparison import find_differences
from runs.summaries import Summary, change_sentence
from ui import charts, comparison_charts, run_differences
from ui.charts import Figure, View
from ui.comparison_charts import Overlay
from ui.curves import read_run
from ui.overlay import MOST_DRAWN
from ui.picked import Picked
from ui.words import count, number

STYLE = """
body { font: 15px/1.6 system-ui, sans-serif; color: #26241f; max-width: 1080px; margin: 40px auto; padding: 0 24px; }
h1 { font-size: 26px; } h2 { font-size: 19px; margin-top: 40px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 20px 6px 0; vertical-align: top; } tr + tr { border-top: 1px solid #dedbd3; }
.odd { color: #0f766e; font-weight: 600; } i.swatch { display: block; width: 20px; border-top: 3px solid; }
.quiet { color: #6a665d; } td:nth-child(2) { white-space: nowrap; }
"""
SCRIPT = """
for (const box of document.querySelectorAll('.plot')) {
  const figure = JSON.parse(box.nextElementSibling.textContent);
  Plotly.newPlot(box, figure.data, { ...figure.layout, font: { family: 'system-ui', color: '#26241f' } },
                 { displaylogo: false, responsive: true });
}
"""


def report(picked: Picked) -> str:
    """One page with everything in it, plotly's script too; nothing is fetched."""
    from plotly.offline import get_plotlyjs

    runs = picked.chosen[:MOST_DRAWN]
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    parts = [
        f"<h1>{len(runs)} runs compared</h1>",
        f"<p class='quiet'>{made}. The reference is {html.escape(picked.reference.label.name)}.</p>",
        numbers_table(runs, picked.reference),
        *(_plot(figure) for figure in figures(runs)),
    ]
    configured = [summary for summary in (picked.reference, *picked.others) if summary.config][:MOST_DRAWN]
    rows = find_differences([summary.config for summary in configured if summary.config])
    if rows:
        parts += ["<h2>What differs</h2>", run_differences.table(configured, rows, "light")]
    head = f'<meta charset="utf-8"><title>Runs compared</title><style>{STYLE}</style>'
    scripts = f"<script>{get_plotlyjs()}</script><script>{SCRIPT}</script>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}{scripts}</body></html>'


def figures(runs: Sequence[Summary]) -> list[Figure]:
    """Validation loss over steps and over FLOPs, in bits per byte."""
    readers = [read_run(summary.run, force=True) for summary in runs]
    found = []
    for x in ("step", "flops"):
        figure = comparison_charts.overlay_figure(runs, readers, Overlay(View(x=x), unit="bits"))
        figure["layout"] |= {"showlegend": True, "template": None}
        found.append(figure)
    return found


def _plot(figure: Mapping[str, Any]) -> str:
    # In a script element JSON may hold anything but its end.
    data = json.dumps(figure).replace("<", "\\u003c")
    return f'<div class="plot"></div><script type="application/json">{data}</script>'


def numbers_table(runs: Sequence[Summary], reference: Summary) -> str:
    """The table of the page, as HTML."""
    titles = ("", "Run", "What changed", "Parameters", "Tokens", "Best loss (nats)", "Bits/byte")
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = ""
    for summary in runs:
        color = charts.run_color(summary.label)
        cells = (
            summary.label.name, change_sentence(reference, summary),
            "–" if summary.parameters is None else count(summary.parameters), count(summary.tokens_seen),
            number(summary.best_loss_nats), number(summary.best_bits_per_byte),
        )  # fmt: skip
        row = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        body += f'<tr><td><i class="swatch" style="border-color:{color}"></i></td>{row}</tr>'
    return f"<table><tr>{head}</tr>{body}</table>"
