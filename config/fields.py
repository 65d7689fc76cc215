"""Settings that describe themselves: each field of a config carries what a form, a command line and a check need.

A field is declared with `setting(default, …)`, and the docstring under it says what it does. From these two the page
builds its form, `train.py` its flags, and `find_problems` its messages, so nothing about a field is written twice.
"""

import ast
import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from typing import Any, ClassVar, Self

from config.errors import ConfigError, Problem

# A rule sees a complete set of plain, individually sound values and returns a problem, or None.
Rule = Callable[[Mapping[str, Any]], Problem | None]

# (other field, the values it must have one of); SET stands for anything but unset, off and 0.
Condition = tuple[str, tuple[str, ...]]
SET = "set"
WITH_LETTER = "a pattern with "  # and a letter: stands for every pattern over the layers that has it


@dataclass(frozen=True)
class FieldInfo:
    """Everything known about one setting."""

    name: str
    type: Any  # int, float, bool or str
    optional: bool  # whether None is a value
    default: Any
    group: str
    title: str
    symbol: str  # as papers write it, "" where they don't
    help: str  # the docstring under the field
    typical: str
    unit: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    unoffered: tuple[str, ...]  # those of the choices that only a program makes: valid, and in no list to choose from
    only_when: tuple[Condition, ...]  # without effect unless all of them hold
    basic: bool  # shown before "more" is opened
    rare: bool  # serves one family of models: shown where a preset or a person has set it, or on request

    @property
    def offered(self) -> tuple[str, ...]:
        """The choices that a person is given."""
        return tuple(choice for choice in self.choices if choice not in self.unoffered)


def setting(
    default: Any,
    *,
    group: str,
    title: str,
    symbol: str = "",
    typical: str = "",
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    unoffered: tuple[str, ...] = (),
    only_when: Condition | tuple[Condition, ...] = (),
    basic: bool = False,
    rare: bool = False,
) -> Any:
    """A dataclass field with its description; the docstring under the field is its help line."""
    conditions = (only_when,) if only_when and isinstance(only_when[0], str) else only_when
    return field(
        default=default,
        metadata={
            "group": group,
            "title": title,
            "symbol": symbol,
            "typical": typical,
            "unit": unit,
            "minimum": minimum,
            "maximum": maximum,
            "choices": choices,
            "unoffered": unoffered,
            "only_when": conditions,
            "basic": basic,
            "rare": rare,
        },
    )


def describe(config_class: type["Settings"]) -> dict[str, FieldInfo]:
    """All settings of a config class by name, in the order they are written: its own, then those of its bases."""
    return _describe(config_class)  # type: ignore[arg-type]  # mypy does not see that classes are hashable


@cache
def _describe(config_class: Any) -> dict[str, FieldInfo]:
    hints = typing.get_type_hints(config_class)
    help_lines = _docstrings_under_fields(config_class)
    described = {}
    written = [name for base in config_class.__mro__ for name in vars(base).get("__annotations__", {})]
    for item in sorted(fields(config_class), key=lambda item: written.index(item.name)):
        kinds = set(typing.get_args(hints[item.name]) or [hints[item.name]])
        (kind,) = kinds - {types.NoneType}
        assert item.default is not MISSING, f"{item.name} needs a default"
        described[item.name] = FieldInfo(
            name=item.name,
            type=kind,
            optional=types.NoneType in kinds,
            default=item.default,
            help=help_lines[item.name],
            **item.metadata,
        )
    return described


def is_active(info: FieldInfo, values: Mapping[str, Any]) -> bool:
    """Whether the setting has an effect beside these other values (a RoPE base has none without RoPE)."""
    return unmet_condition(info, values) is None


def unmet_condition(info: FieldInfo, values: Mapping[str, Any]) -> Condition | None:
    """The first condition that keeps the setting from having an effect; None where it has one."""
    for name, wanted in info.only_when:
        value = values.get(name)
        has_letter = isinstance(value, str) and any(WITH_LETTER + letter in wanted for letter in value)
        if value not in wanted and not (SET in wanted and value) and not has_letter:
            return name, wanted
    return None


def without_effect(config_class: type, values: Mapping[str, Any], given: Collection[str]) -> list[Problem]:
    """The settings among those `given` that the others make idle: `rope_theta` without RoPE."""
    return [
        Problem(name, f"{name} has no effect unless {unmet[0]} is {' or '.join(unmet[1])}: leave it out")
        for name, info in describe(config_class).items()
        if name in given and (unmet := unmet_condition(info, values))
    ]


class Settings:
    """Base of the config dataclasses: checked when built, and from and to plain values.

    Raises:
        ConfigError: with *all* problems at once, each naming its field, the numbers and what to do.
    """

    RULES: ClassVar[tuple[tuple[tuple[str, ...], Rule], ...]] = ()

    def __post_init__(self) -> None:
        if problems := find_problems(type(self), self.to_dict()):
            raise ConfigError(problems)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain values, as read from JSON or a form; unknown names are refused."""
        if problems := find_problems(cls, values):
            raise ConfigError(problems)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {name: getattr(self, name) for name in describe(type(self))}

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked again."""
        return replace(self, **changes)  # type: ignore[type-var]


def find_problems(config_class: type[Settings], values: Mapping[str, Any]) -> list[Problem]:
    """Every problem of these values: field by field first, then the rules between fields.

    `values` may be partial (defaults fill the rest) and may come from anywhere: a form, JSON, a command line.
    """
    known = describe(config_class)
    found = [Problem(str(name), unknown_field(str(name), known)) for name in values if name not in known]
    found += [
        Problem(name, message)
        for name, value in values.items()
        if name in known and (message := problem_of(known[name], value))
    ]
    broken = {problem.field for problem in found}
    complete = {name: values.get(name, info.default) for name, info in known.items()}
    checks = (rule(complete) for needed, rule in config_class.RULES if broken.isdisjoint(needed))
    return found + [problem for problem in checks if problem]


def problem_of(info: FieldInfo, value: Any) -> str | None:
    """Why a single value cannot be used, whatever the others are; None where it can."""
    if value is None and info.optional:
        return None
    # `True` is an int to isinstance, and 3 is a fine float: exact types, but for that one widening.
    if type(value) is not info.type and not (info.type is float and type(value) is int):
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
        return f"{info.name} must be {words[info.type]}, not {_short(value)}"
    if info.type is float and not math.isfinite(value):
        return f"{info.name} must be a finite number, not {value}"
    if info.choices and value not in info.choices:
        return f"{info.name} {_short(value)} is not one of {', '.join(info.offered)}"
    if info.minimum is not None and value < info.minimum:
        return f"{info.name} {_short(value)} is below {info.minimum:,}, the least possible"
    if info.maximum is not None and value > info.maximum:
        return f"{info.name} {_short(value)} is above {info.maximum:,}, the most allowed"
    return None


def unknown_field(name: str, known: Collection[str]) -> str:
    """A sentence about a name that no setting has, with the one that was probably meant."""
    import difflib  # only on the way to an error

    close = difflib.get_close_matches(name[:60], known, n=1)
    return f"{name[:60]}: unknown field" + (f"; did you mean {close[0]}?" if close else "")


def _short(value: Any) -> str:
    if type(value) is int and value.bit_length() > 200:  # str() of a huge integer is slow, or refused by Python
        return f"an integer of {value.bit_length()} bits"
    if type(value) in (int, float):
        return f"{value:,}"
    text = repr(value[:40]) if isinstance(value, str) else type(value).__name__
    return text


def _docstrings_under_fields(config_class: type) -> dict[str, str]:
    """The string literal under each annotated assignment: Python throws it away, the source still has it."""
    found: dict[str, str] = {}
    for base in config_class.__mro__:
        if issubclass(base, Settings) and base is not Settings:
            found = _docstrings_in(base) | found
    return found


def _docstrings_in(config_class: type) -> dict[str, str]:
    (body,) = ast.parse(inspect.getsource(config_class)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for above, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(above, ast.AnnAssign)
            and isinstance(above.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[above.target.id] = inspect.cleandoc(str(below.value.value)).replace("\n", " ")
    return found
