"""What a person can ask of a text, from flags and `/set` alike: settings, tokens, stop strings, what excludes what.

Nothing here needs torch, so that a wrong value is refused before torch is imported, which takes longer than the text.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from config.errors import ConfigError, Problem, TextError
from config.fields import describe
from generation.console.settings import WritingSettings

if TYPE_CHECKING:
    from text.tokenizer import Tokenizer

ONLY_DRAWING = ("temperature", "top_k", "top_p", "min_p", "typical_p")
MOST_BIAS = 1_000_000  # adding more to a logit could overflow
LISTS = {
    "stop": "End a text before this string, also where it begins or ends inside tokens.",
    "stop_token": "End a text with this token, an id or a text that is one, or with none. Default the end of a text.",
    "logit_bias": 'Add VALUE to the logit of TOKEN, an id or a text that is one token ("5" in quotes); -inf bars it.',
}
"""What can be given several times."""


@dataclass(frozen=True)
class Order:
    """Everything that was asked for, and which of it in so many words."""

    settings: WritingSettings = field(default_factory=WritingSettings)
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int, ...] = ()
    logit_bias: tuple[tuple[int, float], ...] = ()
    given: frozenset[str] = field(default=frozenset(), compare=False)

    @staticmethod
    def for_tokenizer(tokenizer: "Tokenizer") -> "Order":
        """What is done unless a person says otherwise: a text ends where the model says that it does."""
        return Order(stop_tokens=tokenizer.ends)

    def changed(self, tokenizer: "Tokenizer", values: Mapping[str, Any]) -> "Order":
        """The order with these values, lists as they were typed.

        Raises:
            ConfigError: something is not possible; the order stays as it was.
        """
        numbers = {name: value for name, value in values.items() if name in describe(WritingSettings)}
        lists: dict[str, Any] = {}
        if "stop" in values:
            lists["stop"] = tuple(values["stop"])
            if "" in lists["stop"]:
                raise ConfigError([Problem("stop", "stop '' would end every text at once: give a character")])
        if "stop_token" in values:
            texts = () if values["stop_token"] == ["none"] else values["stop_token"]
            lists["stop_tokens"] = tuple(parse_token(tokenizer, "stop_token", text) for text in texts)
        if "logit_bias" in values:
            lists["logit_bias"] = tuple(parse_bias(tokenizer, text) for text in values["logit_bias"])
        settings = self.settings.replace(**numbers) if numbers else self.settings
        return replace(self, settings=settings, given=self.given | values.keys(), **lists)

    def refuse_conflicts(self, has_draft: bool) -> None:
        """Refuse what cannot be done together.

        Raises:
            ConfigError: with all conflicts.
        """
        wants = self.settings
        beams, draft = (f"num_beams {wants.num_beams}", wants.num_beams > 1), ("draft", has_draft)
        others = {
            "stop": bool(self.stop),
            "alternatives": wants.alternatives > 0,
            f"quantize {wants.quantize}": wants.quantize != "none",
            "compile": wants.compile,
            "sliding roll": wants.sliding == "roll",
        }
        pairs = [(beams, name) for name in others] + [(draft, name) for name in others if name != "stop"]
        problems = [
            Problem(name, f"{engine} and {name} do not work together: leave one out")
            for (engine, is_on), name in pairs
            if is_on and others[name]
        ]
        if beams[1] and has_draft:
            problems.append(Problem("draft", f"{beams[0]} and draft do not work together: leave one out"))
        if beams[1] and wants.num_samples > wants.num_beams:
            message = f"num_samples {wants.num_samples} is above num_beams {wants.num_beams}: a beam is one text"
            problems.append(Problem("num_samples", message))
        if problems:
            raise ConfigError(problems)

    def idle(self, *, has_draft: bool, is_json: bool) -> dict[str, str]:
        """What was given and changes nothing, with the reason."""
        wants = self.settings
        reasons: list[tuple[bool, Collection[str], str]] = [
            (wants.num_beams > 1, (*ONLY_DRAWING, "seed", "greedy"), "beam search draws nothing"),
            (wants.greedy, ONLY_DRAWING, "--greedy always takes the most likely token"),
            (wants.temperature == 0, ONLY_DRAWING[1:], "--temperature 0 always takes the most likely token"),
            (wants.num_beams == 1, ("length_penalty", "early_stopping"), "they rank beams, see --num_beams"),
            (not has_draft, ("n_draft",), "there is no --draft"),
            (not is_json, ("alternatives",), "they come with --json"),
            (not self.stop_tokens, ("min_new_tokens",), "no token ends the text, see --stop_token"),
        ]
        found: dict[str, str] = {}
        for applies, names, reason in reasons:
            for name in names if applies else ():
                if name in self.given:
                    found.setdefault(name, reason)
        return found


def parse_token(tokenizer: "Tokenizer", name: str, text: str) -> int:
    """The token meant by an id, or by a text that is one token (in double quotes, if it looks like an id).

    Raises:
        ConfigError: there is no such token, or the text is several.
    """
    if text.isascii() and text.isdigit():
        if int(text[:18]) >= tokenizer.vocab_size or len(text) > 18:
            message = f"{name}: token {text[:40]} does not exist, the vocabulary has 0 to {tokenizer.vocab_size - 1:,}"
            raise ConfigError([Problem(name, message)])
        return int(text)
    if len(text) > 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    try:
        tokens = tokenizer.encode(text, special="token")
    except TextError as error:
        raise ConfigError([Problem(name, f"{name}: {error}")]) from error
    if len(tokens) != 1:
        message = f"{name}: {text[:40]!r} is {len(tokens)} tokens, not one ({', '.join(map(str, tokens[:10]))})"
        raise ConfigError([Problem(name, message)])
    return tokens[0]


def parse_bias(tokenizer: "Tokenizer", text: str) -> tuple[int, float]:
    """Token and bias from `TOKEN=VALUE`.

    Raises:
        ConfigError: it is not written so, or a part means nothing.
    """
    token, _, value = text.rpartition("=")
    try:
        bias = float(value)
    except ValueError:
        bias = float("nan")
    if not token or not (bias == float("-inf") or abs(bias) <= MOST_BIAS):  # NaN is neither
        message = f"logit_bias {text[:40]!r} must be TOKEN=VALUE, with a number up to {MOST_BIAS:,} or -inf: 17=-2.5"
        raise ConfigError([Problem("logit_bias", message)])
    return parse_token(tokenizer, "logit_bias", token), bias
