"""How a text is written, as plain values: what the sampler's controls say, and in which order it takes effect."""

from dataclasses import dataclass
from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "greedy": {"greedy": True},
    "balanced": {"greedy": False, "temperature": 0.8, "top_k": 0, "top_p": 0.9},
    "creative": {"greedy": False, "temperature": 1.1, "top_k": 0, "top_p": 0.98},
}
MOST_SAMPLES = 4


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """What `generation.samplers.build_samplers` takes, and seed, length, samples and stop strings."""

    greedy: bool = False
    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 0.9
    min_p: float = 0.0
    typical: float = 1.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    no_repeat_ngram_size: int = 0
    min_new_tokens: int = 0
    stop: tuple[str, ...] = ()
    seed: int = 1
    max_new_tokens: int = 300
    samples: int = 1


def stop_strings(lines: str) -> tuple[str, ...]:
    r"""One stop string a line; \n and \t in it are a line break and a tab, \\ is a backslash."""
    escapes = {"\\n": "\n", "\\t": "\t", "\\\\": "\\"}
    found = []
    for line in lines.splitlines():
        text, at = "", 0
        while at < len(line):
            pair = line[at : at + 2]
            text += escapes.get(pair, line[at])
            at += 2 if pair in escapes else 1
        found.append(text)
    return tuple(dict.fromkeys(filter(None, found)))


def describe(settings: SamplerSettings) -> str:
    """The stages in the order in which they work: temperature 0.8 → top-p 0.9. The same as `str` of their chain."""
    before = (
        (f"repetition penalty {settings.repetition_penalty:g}", settings.repetition_penalty != 1),
        (f"frequency penalty {settings.frequency_penalty:g}", settings.frequency_penalty != 0),
        (f"presence penalty {settings.presence_penalty:g}", settings.presence_penalty != 0),
        (f"no {settings.no_repeat_ngram_size}-gram twice", settings.no_repeat_ngram_size != 0),
    )
    narrowing = (
        (f"temperature {settings.temperature:g}", settings.temperature != 1),
        (f"top-k {settings.top_k}", settings.top_k != 0),
        (f"top-p {settings.top_p:g}", settings.top_p != 1),
        (f"min-p {settings.min_p:g}", settings.min_p != 0),
        (f"typical {settings.typical:g}", settings.typical != 1),
    )
    stages = [name for name, works in before if works]
    stages += ["greedy"] if settings.greedy else [name for name, works in narrowing if works]
    return " → ".join(stages) or "the model's own distribution"
