"""loss.html: the loss curves of a run as one file to keep or send."""

from runs.baselines import SHOWN, baseline_title, read_baselines
from runs.files import write_atomically
from runs.folder import RunFolder
from runs.metrics import MetricsReader

ACCENT, FAINT = "#c2410c", "#9ca3af"


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
    for name, nats in read_baselines(run).items():
        if name in SHOWN:
            figure.add_hline(
                y=nats, line={"color": FAINT, "width": 1, "dash": "dot"}, annotation_text=baseline_title(name)
            )
    label = run.read_label().name.replace("<", "&lt;")
    figure.update_layout(
        title=f"Loss of {label}",
        xaxis_title="step",
        yaxis_title="loss (nats per token)",
        template="plotly_white",
        hovermode="x unified",
    )
    script = run.path.parent / "plotly.min.js"
    if not script.exists():
        write_atomically(script, get_plotlyjs())
    write_atomically(run.figure_path, figure.to_html(include_plotlyjs="../plotly.min.js"))
