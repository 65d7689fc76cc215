"""Command-line flags from the same field descriptions as the page's form, and a parser that refuses in one sentence."""

import argparse
import re
from typing import Any, NoReturn

from config.fields import FieldInfo, Settings, describe


class SentenceParser(argparse.ArgumentParser):
    """An argument parser that says what is wrong, and not first how everything else is written."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(allow_abbrev=False, **arguments)

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one sentence on stderr."""
        self.exit(2, f"{self.prog}: {self._sentence(message)} (see {self.prog} --help)\n")

    def _sentence(self, message: str) -> str:
        if found := re.fullmatch(r"unrecognized arguments: (.*)", message, re.DOTALL):
            return self._unknown(found[1])
        if found := re.fullmatch(r"argument ([^\s:]+): (.*)", message, re.DOTALL):  # --max_steps/--max-steps
            flag, problem = found[1].split("/")[0], found[2]
            if problem.startswith("expected"):
                return f"{flag} needs a value"
            if choice := re.fullmatch(r"invalid choice: (.*?) \(choose from (.*)\)", problem, re.DOTALL):
                return f"{flag} {choice[1][:60]} is not one of {choice[2].replace(chr(39), '')}"
            return problem if flag.lstrip("-") in problem else f"{flag}: {problem}"
        return message

    def _unknown(self, words: str) -> str:
        import difflib  # only on the way to an error

        first = words.split()[0].split("=")[0] if words.split() else ""
        if not first.startswith("-"):
            return f"{words[:60]!r} belongs to no flag"
        known = [flag for flag in self._option_string_actions if "-" not in flag.lstrip("-")]
        close = difflib.get_close_matches(first.replace("-", "_").replace("__", "--", 1), known, n=1)
        return f"there is no flag {first[:60]}" + (f": did you mean {close[0]}?" if close else "")


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
        arguments: dict[str, Any] = {"help": help_line, "type": parser_of(info), "metavar": info.name.upper()}
        if info.choices:
            arguments["metavar"] = "|".join(info.offered)
        if info.type is bool:  # `--compile` and `--compile off` both work
            arguments |= {"nargs": "?", "const": True, "metavar": "on|off"}
        add_flag(group, info.name, **arguments)


def given_settings(arguments: argparse.Namespace, config_class: type[Settings]) -> dict[str, Any]:
    """The settings of a config class that were given on the command line."""
    return {name: value for name, value in vars(arguments).items() if name in describe(config_class)}


def parser_of(info: FieldInfo) -> Any:
    """What turns the words of a command line into a value of this setting, or raises ArgumentTypeError."""

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
