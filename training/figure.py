"""loss.html: the loss curves of a run as one file to keep or send."""

import math
from typing import Any

from runs.baseline_lines import add_lines
from runs.baselines import read_baselines
from runs.files import write_atomically
from runs.folder import RunFolder
from runs.metrics import MetricsReader

ACCENT, FAINT, QUIET = "#c2410c", "#9ca3af", "#6b7280"
VALIDATED = ("val_loss_nats", "parent_val_loss_nats")
HEIGHT, TOP, BOTTOM = 600, 72, 64  # pixels


def write_figure(run: RunFolder) -> None:
    """Draw train and validation loss of the run into its loss.html, with the baselines as thin lines.

    plotly's script (4 MB) lies once beside the runs, as plotly.min.js, and not in every figure.
    """
    import plotly.graph_objects as go  # half a second that only the end of a run pays
    from plotly.offline import get_plotlyjs

    reader = MetricsReader(run.metrics_path)
    reader.refresh(force=True)
    (steps, losses), evaluations = reader.series("train_loss_nats"), reader.evaluations
    figure = go.Figure(
        [
            go.Scatter(x=steps, y=losses, name="train", line={"color": FAINT, "width": 1}),
            go.Scatter(
                x=[line["step"] for line in evaluations],
                y=[line["val_loss_nats"] for line in evaluations],
                name="validation",
                mode="lines+markers",
                line={"color": ACCENT, "width": 2},
            ),
        ]
    )
    if forgotten := [line for line in evaluations if "parent_val_loss_nats" in line]:
        figure.add_scatter(
            x=[line["step"] for line in forgotten], y=[line["parent_val_loss_nats"] for line in forgotten],
            name="on the parent's text", mode="lines+markers", line={"color": ACCENT, "width": 1, "dash": "dash"},
        )  # fmt: skip
    label = run.read_label().name.replace("<", "&lt;")
    legend = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}  # at the right stand the baselines
    layout: dict[str, Any] = {"margin": {"l": 72, "r": 24, "t": TOP, "b": BOTTOM}, "legend": legend}
    drawn = [*losses, *(line[name] for line in evaluations for name in VALIDATED if name in line)]
    finite = [loss for loss in drawn if math.isfinite(loss)]
    add_lines(layout, read_baselines(run), finite, height=HEIGHT - TOP - BOTTOM, color=QUIET)
    figure.update_layout(
        layout,
        title=f"Loss of {label}",
        xaxis_title="step",
        yaxis_title="loss (nats per token)",
        template="plotly_white",
        hovermode="x unified",
        height=HEIGHT,
    )
    script = run.path.parent / "plotly.min.js"
    if not script.exists():
        write_atomically(script, get_plotlyjs())
    write_atomically(run.figure_path, figure.to_html(include_plotlyjs="../plotly.min.js"))
