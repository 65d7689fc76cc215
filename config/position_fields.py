"""Fields of ModelConfig: how rotary positions and linear biases are laid out, stretched, and left out of layers."""

from dataclasses import dataclass

from config.fields import WITH_LETTER, Settings, setting

ROPE = ("position", ("rope",))
SCALED = ("rope_scaling", ("linear", "dynamic", "llama3", "yarn"))
LLAMA3 = ("rope_scaling", ("llama3",))
YARN = ("rope_scaling", ("yarn",))


@dataclass(frozen=True, kw_only=True)
class PositionFields(Settings):
    """What there is to say about positions beside their scheme."""

    rope_theta: float = setting(
        10_000.0, group="Positions", title="RoPE base", symbol="θ", typical="10,000", minimum=1.0, maximum=1e9,
        only_when=ROPE,
    )  # fmt: skip
    """Base of the rotation frequencies: larger turns slower and reaches further."""

    rotary_dim: int | None = setting(
        None, group="Positions", title="Rotated dimensions", typical="all; a quarter in Pythia",
        unit="dimensions", minimum=2, maximum=8_192, only_when=(ROPE, ("attention", ("multi_head",))),
    )  # fmt: skip
    """How many dimensions of each head RoPE turns, from the first; the others know no positions; unset means all."""

    rope_style: str = setting(
        "half", group="Positions", title="RoPE pairs", typical="half", choices=("half", "interleaved"),
        only_when=ROPE, rare=True,
    )  # fmt: skip
    """Which two dimensions turn together: one of each half (LLaMA), or neighbors (the paper, GPT-J, Cohere)."""

    rope_scaling: str = setting(
        "none", group="Positions", title="RoPE scaling", typical="none",
        choices=("none", "linear", "dynamic", "llama3", "yarn"), only_when=ROPE,
    )  # fmt: skip
    """How the angles are slowed down to read further than the model was trained for: all alike (linear), by a larger
    base for long texts (dynamic), or slow pairs alone (llama3, yarn)."""

    rope_factor: float = setting(
        8.0, group="Positions", title="RoPE factor", typical="2 to 32", minimum=1.0, maximum=1e6,
        only_when=(ROPE, SCALED),
    )  # fmt: skip
    """How many times further the model shall read."""

    rope_original_ctx: int | None = setting(
        None, group="Positions", title="Original context", typical="n_ctx / factor", unit="tokens", minimum=1,
        maximum=1_048_576, only_when=(ROPE, ("rope_scaling", ("dynamic", "llama3", "yarn"))),
    )  # fmt: skip
    """The context that the model was trained for before it was stretched; unset means n_ctx / factor."""

    rope_low_freq_factor: float = setting(
        1.0, group="Positions", title="Slow from", typical="1", unit="turns", minimum=1e-3, maximum=1e6,
        only_when=(ROPE, LLAMA3), rare=True,
    )  # fmt: skip
    """Pairs that turn less often than this within the original context are slowed by the whole factor."""

    rope_high_freq_factor: float = setting(
        4.0, group="Positions", title="Fast from", typical="4", unit="turns", minimum=1e-3, maximum=1e6,
        only_when=(ROPE, LLAMA3), rare=True,
    )  # fmt: skip
    """Pairs that turn more often than this within the original context stay as they are."""

    rope_beta_fast: float = setting(
        32.0, group="Positions", title="Fast from", symbol="β", typical="32", unit="turns", minimum=1e-3, maximum=1e6,
        only_when=(ROPE, YARN), rare=True,
    )  # fmt: skip
    """Pairs that turn more often than this within the original context stay as they are."""

    rope_beta_slow: float = setting(
        1.0, group="Positions", title="Slow from", symbol="α", typical="1", unit="turns", minimum=1e-3, maximum=1e6,
        only_when=(ROPE, YARN), rare=True,
    )  # fmt: skip
    """Pairs that turn less often than this within the original context are slowed by the whole factor."""

    rope_attention_factor: float | None = setting(
        None, group="Positions", title="Attention factor", typical="0.1 · ln(factor) + 1", minimum=1e-3, maximum=100.0,
        only_when=(ROPE, YARN), rare=True,
    )  # fmt: skip
    """YaRN also makes turned queries and keys longer by this, so that attention over many tokens stays as sharp."""

    rope_truncate: bool = setting(
        True, group="Positions", title="Whole pairs", typical="on; off in gpt-oss", only_when=(ROPE, YARN), rare=True
    )
    """Whether YaRN's ramp from fast to slow begins and ends at whole pairs."""

    rope_local_theta: float | None = setting(
        None, group="Positions", title="RoPE base of window layers", symbol="θ", typical="as above; 10,000 in Gemma 3",
        minimum=1.0, maximum=1e9, only_when=(ROPE, ("attention_pattern", (WITH_LETTER + "w",))),
    )  # fmt: skip
    """A base for the layers with a window alone; scaling then acts on the other layers only."""

    alibi_slopes: str = setting(
        "paper", group="Positions", title="ALiBi slopes", typical="paper", choices=("paper", "geometric"),
        only_when=("position", ("alibi",)),
    )  # fmt: skip
    """The paper's slopes, or one geometric row 2^(−8h/n); they differ where the heads are no power of two."""

    position_pattern: str = setting(
        "p", group="Positions", title="Layers with positions", typical="p; pppn: none in every 4th (SmolLM3)",
        only_when=("position", ("rope", "alibi")),
    )  # fmt: skip
    """One letter for each layer, repeated over the layers: p knows positions, n does not."""
