"""The interactive loop of infer.py: a line is a text to continue, a line that begins with / is a command.

On a terminal there is a history (arrow keys), and a paste of several lines is one text. What comes through a pipe is
taken line by line, so that a script can drive the loop.
"""

import contextlib
import difflib
import select
import shlex
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from typing import Any

from config.errors import CheckpointError, ConfigError, Problem, TextError
from config.fields import describe
from config.flags import parser_of
from generation.compiled import kernel
from generation.console.idle_speed import idle_speed
from generation.console.order import LISTS, Order
from generation.console.output import Output
from generation.console.settings import WritingSettings
from generation.console.writer import Prompt, Writer
from generation.prompt import encode_prompt

PROMPT = "> "
# The rest of a paste is there at once; nobody types so fast.
PASTE_SECONDS = 0.05
# One Ctrl-C may arrive twice, from the terminal and from the program that started this one.
SAME_KEY_SECONDS = 0.3

Say = Callable[[str], None]


class Lines:
    """What the person enters, one text or command at a time."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdin.isatty()
        self._edits = self._is_terminal and sys.stdout.isatty()
        if self._edits:
            with contextlib.suppress(ImportError):  # not on every system; then without history
                import readline  # noqa: F401  # input() uses it from now on
        sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # bytes that are no text: refused later

    def read(self) -> str:
        """The next entry without its line break.

        Raises:
            EOFError: there is no more.
        """
        if not self._is_terminal:
            if not (line := sys.stdin.readline()):
                raise EOFError
            return line.rstrip("\n")
        if not self._edits:  # input() would print the prompt among the text
            print(PROMPT, end="", file=sys.stderr, flush=True)
        entered = [input(PROMPT if self._edits else "")]
        with contextlib.suppress(EOFError, OSError):  # OSError: a system that cannot wait for a terminal
            while select.select([sys.stdin], [], [], PASTE_SECONDS)[0]:
                entered.append(input())
        return "\n".join(entered)


class Loop:
    """Reads entries and writes texts until it is told to stop."""

    def __init__(self, writer: Writer, order: Order, output: Output, say: Say, is_json: bool) -> None:
        self.writer, self.output, self.say, self.is_json = writer, output, say, is_json
        self.order = self.first_order = order
        self.last: Prompt | None = None
        self._interrupted_at = -SAME_KEY_SECONDS
        self._is_armed = False
        self.commands: dict[str, tuple[Callable[[str], None], str]] = {
            "/set": (self._set, "NAME VALUE  change a setting, as in /set temperature 0.5; /set stop alone clears it"),
            "/show": (self._show, "all settings, those that were changed marked with *, and the stages in order"),
            "/seed": (self._seed, "N  the seed of the next text; alone: a new random one for each text"),
            "/reset": (self._reset, "the settings of the start, and forget the last text"),
            "/help": (self._help, "this list"),
            "/quit": (self._quit, "leave; so do Ctrl-D and Ctrl-C twice"),
        }
        self._is_running = True

    def run(self) -> None:
        """Until /quit, the end of the input, or two Ctrl-C."""
        lines = Lines()
        self.say("a line is continued, an empty one goes on with the last text; /help lists the commands")
        while self._is_running:
            try:
                entry = lines.read()
                self._is_armed = False
                self.take(entry)
            except EOFError:
                return
            except KeyboardInterrupt:
                if not self._stays():
                    return

    def take(self, entry: str) -> None:
        """Do what one entry says. Whatever is wrong with it becomes one sentence."""
        rows = entry.split("\n")
        try:
            if all(row.startswith("/") and not row.startswith("//") for row in rows):
                for row in rows:
                    self._command(row)
            else:
                self._write(entry[1:] if entry.startswith("//") else entry)
        except ConfigError as error:
            for problem in error.problems:
                self.say(problem.message)
        except (TextError, CheckpointError) as error:
            self.say(str(error))

    def _stays(self) -> bool:
        """After Ctrl-C: whether the loop goes on. The second one in a row leaves."""
        now = time.monotonic()
        is_same_key = now - self._interrupted_at < SAME_KEY_SECONDS
        self._interrupted_at = now
        if self._is_armed and not is_same_key:
            return False
        if not is_same_key:
            print(file=sys.stderr)
            self.say("Ctrl-C again leaves")
        self._is_armed = True
        return True

    def _write(self, text: str) -> None:
        prompt = self.last
        if text or prompt is None:
            prompt = Prompt(text, encode_prompt(self.writer.tokenizer, text))
        report = self.writer.write(prompt, self.order, self.output)
        self.say(str(report))
        if report.samples:
            self.last = Prompt("", [*prompt.tokens, *report.samples[0].tokens])
        if report.seeds and self.order.settings.seed is not None:
            self._change({"seed": report.seeds[-1] + 1})
        if report.interrupted:
            self._interrupted_at, self._is_armed = time.monotonic(), True
            self.say("stopped; Ctrl-C again leaves")

    def _command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if name not in self.commands:
            raise _refusal(f"there is no command {name[:40]}: /help lists them")
        self.commands[name][0](rest.strip())

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        name, value = name.removeprefix("--").replace("-", "_"), value.strip()
        known = describe(WritingSettings)
        if name in LISTS:
            try:
                self._change({name: _words(value)})
            except ValueError as error:
                raise _refusal(f"{name}: {error}") from error
        elif name not in known:
            close = difflib.get_close_matches(name[:40], [*known, *LISTS], n=1)
            raise _refusal(
                f"there is no setting {name[:40]!r}" + (f": did you mean {close[0]}?" if close else "; see /show")
            )
        elif not value:
            raise _refusal(f"{name} needs a value, as in /set {name} {_shown(known[name].default)}")
        else:
            try:
                self._change({name: parser_of(known[name])(value)})
            except ArgumentTypeError as error:
                raise _refusal(str(error)) from error
        if reason := self.order.idle(has_draft=self.writer.draft is not None, is_json=self.is_json).get(name):
            self.say(f"{name} has no effect now: {reason}")
        if name in ("quantize", "compile"):
            for idle, reason in idle_speed(self.writer.model, self.order).items():
                self.say(f"{idle} has no effect now: {reason}")

    def _change(self, values: Mapping[str, Any]) -> None:
        """Take new values if all of them can be used together, else leave everything as it was."""
        order = self.order.changed(self.writer.tokenizer, values)
        order.refuse_conflicts(self.writer.draft is not None)
        self.writer.samplers(order)
        if order.settings.compile:
            kernel()  # refused here, and not at every text
        self.order = order

    def _show(self, rest: str) -> None:
        _no_words("/show", rest)
        wants = self.order.settings
        for name, info in describe(WritingSettings).items():
            value = getattr(wants, name)
            self.say(f"{'*' if value != info.default else ' '} {name} {_shown(value)}")
        bias = " ".join(f"{token}={value:g}" for token, value in self.order.logit_bias)
        stop_tokens = " ".join(map(str, self.order.stop_tokens))
        shown = {"stop": " ".join(map(repr, self.order.stop)), "stop_token": stop_tokens, "logit_bias": bias}
        for name, text in shown.items():
            self.say(f"{'*' if text else ' '} {name} {text or 'none'}")
        self.say(f"stages: {self.writer.samplers(self.order)}")

    def _seed(self, rest: str) -> None:
        if rest:
            self._set(f"seed {rest}")
        else:
            self._change({"seed": None})

    def _reset(self, rest: str) -> None:
        _no_words("/reset", rest)
        self.order, self.last = self.first_order, None

    def _help(self, rest: str) -> None:
        _no_words("/help", rest)
        for name, (_, about) in self.commands.items():
            self.say(f"{name} {about}")

    def _quit(self, rest: str) -> None:
        _no_words("/quit", rest)
        self._is_running = False


def _shown(value: Any) -> str:
    """A value as it is written after /set; a seed that is None is a new one each time."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else "random" if value is None else str(value)


def _refusal(message: str) -> ConfigError:
    return ConfigError([Problem("", message)])


def _no_words(command: str, rest: str) -> None:
    if rest:
        raise _refusal(f"{command} takes no words after it, not {rest[:40]!r}")


def _words(value: str) -> list[str]:
    r"""Words as a shell parts them, "in quotes" where they hold spaces; \n and \t are line break and tab.

    Raises:
        ValueError: a quote is not closed.
    """
    words = shlex.shlex(value, posix=True)
    words.whitespace_split, words.commenters, words.escape = True, "", ""
    return [word.replace("\\n", "\n").replace("\\t", "\t") for word in words]
