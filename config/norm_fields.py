"""Fields of ModelConfig: norms, and how a block adds to the residual stream."""

from dataclasses import dataclass

from config.fields import SET, Settings, setting


@dataclass(frozen=True, kw_only=True)
class NormFields(Settings):
    """Where the norms stand, what they hold, and what the residual stream gets."""

    norm_placement: str = setting(
        "pre", group="Norms and residual stream", title="Norm placement", typical="pre",
        choices=("pre", "post", "output", "sandwich"),
    )  # fmt: skip
    """Before each part (pre: GPT-2 and later), after the sum (post: 2017), on what a part adds (output: OLMo 2), or
    before and on what it adds (sandwich: Gemma 2)."""

    parallel_residual: str = setting(
        "none", group="Norms and residual stream", title="Parallel parts", typical="none",
        choices=("none", "two_norms", "one_norm"),
    )  # fmt: skip
    """Attention and MLP read the same stream side by side, each through its norm (Pythia) or both through one (GPT-J,
    Phi), instead of one after the other."""

    norm_eps: float = setting(
        1e-5, group="Norms and residual stream", title="Norm epsilon", symbol="ε", typical="1e-5", minimum=1e-12,
        maximum=1.0,
    )  # fmt: skip
    """Added to the variance under the square root, so that nothing is divided by zero."""

    norm_gain: bool = setting(True, group="Norms and residual stream", title="Norm gain", symbol="γ", typical="on")
    """Whether a norm multiplies by a learned factor for each dimension; without it and its bias it learns nothing."""

    norm_bias: bool = setting(
        True, group="Norms and residual stream", title="Norm bias", symbol="β", typical="on",
        only_when=("norm", ("layernorm",)),
    )  # fmt: skip
    """Whether LayerNorm adds a learned offset; RMSNorm has none."""

    norm_unit_offset: bool = setting(
        False, group="Norms and residual stream", title="Gain is 1 + w", typical="off; on in Gemma",
        only_when=("norm_gain", (SET,)), rare=True,
    )  # fmt: skip
    """Learn how far the gain is from 1, so that weight decay pulls it towards 1 and not towards 0."""

    residual_scale: float = setting(
        1.0, group="Norms and residual stream", title="Residual scale", typical="1; 0.22 in Granite", minimum=1e-6,
        maximum=100.0, rare=True,
    )  # fmt: skip
    """What each part adds to the stream is multiplied by this."""
