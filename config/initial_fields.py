"""Fields of ModelConfig: what a model begins with, and what is silenced while it learns."""

from dataclasses import dataclass

from config.fields import Settings, setting


@dataclass(frozen=True, kw_only=True)
class InitialFields(Settings):
    """Dropout and initial values."""

    dropout: float = setting(
        0.0, group="Dropout and initial values", title="Dropout", symbol="p", typical="0, or 0.1 on little text",
        minimum=0.0, maximum=0.95,
    )  # fmt: skip
    """Share of activations zeroed at random while training; helps when a text is read many times over."""

    init_std: float = setting(
        0.02, group="Dropout and initial values", title="Initial spread", symbol="σ", typical="0.02", minimum=1e-6,
        maximum=10.0,
    )  # fmt: skip
    """Standard deviation of the initial weights."""

    scale_residual_init: bool = setting(
        True, group="Dropout and initial values", title="Scale residual projections", typical="on"
    )
    """Start the two projections that write into the residual stream smaller, by 1/√(2·n_layers) (GPT-2)."""
