"""The numbers and switches of a text, each with its limits and its help line, for flags and `/set` alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from config.errors import Problem
from config.fields import Rule, Settings, setting


def at_most_one(name: str) -> tuple[tuple[str, ...], Rule]:
    """The rule that a share is no more than everything."""

    def rule(values: Mapping[str, Any]) -> Problem | None:
        value = values[name]
        return Problem(name, f"{name} {value} is above 1: it is a probability") if value > 1 else None

    return (name,), rule


def above_zero(name: str) -> tuple[tuple[str, ...], Rule]:
    """The rule for what is divided by, or must leave something."""

    def rule(values: Mapping[str, Any]) -> Problem | None:
        return None if values[name] > 0 else Problem(name, f"{name} {values[name]} must be above 0; 1 is off")

    return (name,), rule


@dataclass(frozen=True, kw_only=True)
class WritingSettings(Settings):
    """How texts are written.

    Raises:
        ConfigError: with *all* problems at once, each naming its field and the value.
    """

    RULES: ClassVar = (
        at_most_one("top_p"), at_most_one("min_p"), at_most_one("typical_p"), above_zero("typical_p"),
        above_zero("repetition_penalty"),
    )  # fmt: skip

    max_new_tokens: int = setting(200, group="Length", title="New tokens", typical="50 to 1,000", minimum=1)
    """How many tokens to add."""

    min_new_tokens: int = setting(0, group="Length", title="At least", typical="0 to 100", minimum=0)
    """No stop token before so many tokens."""

    num_samples: int = setting(1, group="Length", title="Samples", typical="1 to 10", minimum=1)
    """How many continuations; they are written side by side, each with the next seed."""

    seed: int | None = setting(None, group="Sampling", title="Seed", typical="any", minimum=0)
    """Same seed, same text."""

    temperature: float = setting(
        0.8, group="Sampling", title="Temperature", typical="0.5 to 1.2", minimum=0, maximum=1_000
    )
    """Below 1 bolder, above 1 wilder; 0 is greedy."""

    top_k: int = setting(0, group="Sampling", title="Top-k", typical="20 to 100", minimum=0)
    """Draw among the K most likely tokens only; 0 is off."""

    top_p: float = setting(0.9, group="Sampling", title="Top-p", typical="0.8 to 0.95", minimum=0)
    """Draw among the fewest tokens that reach this probability together; 1 is off."""

    min_p: float = setting(0.0, group="Sampling", title="Min-p", typical="0.02 to 0.1", minimum=0)
    """Draw among tokens at least so many times as likely as the likeliest; 0 is off."""

    typical_p: float = setting(1.0, group="Sampling", title="Typical", typical="0.2 to 0.95", minimum=0)
    """Draw among the tokens of about the expected surprise that reach this probability together; 1 is off."""

    greedy: bool = setting(False, group="Sampling", title="Greedy", typical="off")
    """Always the most likely token."""

    repetition_penalty: float = setting(
        1.0, group="Penalties", title="Repetition", typical="1.05 to 1.3", maximum=1_000
    )
    """Divide the logits of all tokens in prompt and text by this (multiply those below 0); 1 is off."""

    frequency_penalty: float = setting(
        0.0, group="Penalties", title="Frequency", typical="0 to 1", minimum=-1_000, maximum=1_000
    )
    """Subtract this from a token's logit for each time it was written; 0 is off."""

    presence_penalty: float = setting(
        0.0, group="Penalties", title="Presence", typical="0 to 1", minimum=-1_000, maximum=1_000
    )
    """Subtract this once from the logit of every token that was written; 0 is off."""

    no_repeat_ngram_size: int = setting(0, group="Penalties", title="No n-gram twice", typical="3 to 10", minimum=0)
    """No so many tokens in a row twice; 0 is off."""

    num_beams: int = setting(1, group="Beam search", title="Beams", typical="2 to 8", minimum=1, maximum=256)
    """Search the likeliest text with so many beams instead of drawing; 1 is off."""

    length_penalty: float = setting(
        1.0, group="Beam search", title="Length penalty", typical="0 to 2", minimum=-100, maximum=100
    )
    """Rank ended beams by log-probability / length to this power; larger favors long texts."""

    early_stopping: str = setting(
        "off", group="Beam search", title="Early stopping", typical="off", choices=("on", "off", "never")
    )
    """End the search as soon as all beams ended (on), when no better end is in sight (off), or possible (never)."""

    n_draft: int = setting(4, group="Speed", title="Proposals", typical="2 to 8", minimum=1)
    """How many tokens the draft proposes at a time, with --draft."""

    quantize: str = setting(
        "none", group="Speed", title="Fewer bits", typical="none", choices=("none", "float16", "int8")
    )
    """Round large matrices to 16 or 8 bits: faster where they are what a step waits for, a little less exact."""

    compile: bool = setting(False, group="Speed", title="Compile", typical="off")
    """Build a kernel for large matrices with the machine's C compiler first: half a second, then faster."""

    sliding: str = setting(
        "reencode", group="Speed", title="Past the window", typical="reencode", choices=("reencode", "roll")
    )
    """When the window is full: read what stays anew, or keep its keys (RoPE, ALiBi and no positions only)."""

    alternatives: int = setting(0, group="Output", title="Alternatives", typical="5", minimum=0)
    """How many of the most likely tokens to name beside each token, with --json."""
