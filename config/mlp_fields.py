"""Fields of ModelConfig: what an MLP has beside its width and its kind."""

from dataclasses import dataclass

from config.fields import Settings, setting


@dataclass(frozen=True, kw_only=True)
class MLPFields(Settings):
    """The form of the activation, and biases."""

    gelu_form: str = setting(
        "tanh", group="MLP", title="GELU form", typical="tanh", choices=("tanh", "exact"),
        only_when=("mlp", ("gelu", "geglu")),
    )  # fmt: skip
    """GPT-2's tanh approximation, or the exact Gaussian; they differ by at most 0.0005."""

    mlp_bias: bool = setting(True, group="MLP", title="MLP bias", typical="off since LLaMA")
    """Whether the projections of the MLP add learned offsets."""

    swiglu_clamp: float | None = setting(
        None, group="MLP", title="SwiGLU clamp", typical="unset; 7 in gpt-oss", minimum=1e-3, maximum=1e6,
        only_when=("mlp", ("swiglu",)), rare=True,
    )  # fmt: skip
    """Keep gate and up within this size, as gpt-oss does in its form: gate · sigmoid(1.702 · gate) · (up + 1)."""
