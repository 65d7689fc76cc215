"""Command-line flags from the same field descriptions as the page's form."""

import argparse
from typing import Any

from config.fields import FieldInfo, Settings, describe


def add_flag(parser: argparse._ActionsContainer, name: str, **arguments: Any) -> None:
    """A flag in both spellings, `--max_steps` and `--max-steps`, absent from the result when not given."""
    spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
    parser.add_argument(*spellings, dest=name, default=argparse.SUPPRESS, **arguments)


def add_settings(
    parser: argparse.ArgumentParser, config_class: type[Settings], *, without: tuple[str, ...] = ()
) -> None:
    """One flag for each setting of a config class, grouped as in the form."""
    groups: dict[str, argparse._ArgumentGroup] = {}
    for info in describe(config_class).values():
        if info.name in without:
            continue
        group = groups.setdefault(info.group, parser.add_argument_group(info.group))
        help_line = f"{info.help} Default {_shown(info.default)}; typical {info.typical}.".replace("%", "%%")
        arguments: dict[str, Any] = {"help": help_line, "type": _parser_of(info), "metavar": info.name.upper()}
        if info.choices:
            arguments["metavar"] = "|".join(info.choices)
        if info.type is bool:  # `--compile` and `--compile off` both work
            arguments |= {"nargs": "?", "const": True, "metavar": "on|off"}
        add_flag(group, info.name, **arguments)


def given_settings(arguments: argparse.Namespace, config_class: type[Settings]) -> dict[str, Any]:
    """The settings of a config class that were given on the command line."""
    return {name: value for name, value in vars(arguments).items() if name in describe(config_class)}


def _parser_of(info: FieldInfo) -> Any:
    def parse(text: str) -> Any:
        if info.optional and text.lower() in ("none", ""):
            return None
        try:
            return _switch(text) if info.type is bool else info.type(text)
        except ValueError:
            words = {int: "a whole number", float: "a number", bool: "on or off"}
            raise argparse.ArgumentTypeError(f"{info.name} must be {words[info.type]}, not {text[:40]!r}") from None

    return parse


def _switch(text: str) -> bool:
    if text.lower() in ("on", "true", "yes", "1"):
        return True
    if text.lower() in ("off", "false", "no", "0"):
        return False
    raise ValueError(text)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "unset" if value in (None, "") else str(value)
