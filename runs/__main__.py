"""`python -m runs list|stop|pause|resume|save|delete RUN`: what the pages can do to a run, from a terminal.

`compare`, `race`, `scale` and `experts`, which are about several runs, have flags of their own: see
`python -m runs compare --help`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from config.errors import ConfigError, RunError
from config.flags import SentenceParser
from runs import compare_command, control, label_command, launch, race_command
from runs.folder import CHECKPOINTS, RunFolder, delete_run, find_run, list_runs
from runs.names import clean_name, clean_note
from runs.shared_files import size_on_disk
from runs.state import RunStatus, read_status

NOT_DONE, USAGE_ERROR = 1, 2
ROW = "{:<18} {:<24} {:<10} {:>15}  {}"
HEADER = ROW.format("RUN", "NAME", "STATE", "STEPS", "REMARK")
REMARK_COLUMN = HEADER.index("REMARK")


def main(arguments: Sequence[str] | None = None) -> int:
    """Results on stdout, the rest on stderr. Returns 0 (done), 2 (wrong usage or input) or 1 (anything else)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words and words[0] in COMMANDS:
            COMMANDS[words[0]](words[1:])
            sys.stdout.flush()
            return 0
        options = _make_parser().parse_args(words)
        if options.action == "list":
            _print_list(options.checkpoints)
            sys.stdout.flush()  # here, so that a closed pipe is noticed inside of the try
            return 0
        if options.run is None:
            raise RunError(f"`{options.action}` needs a run: its id, name, path, or the beginning of its id or name.")
        run = find_run(options.checkpoints, options.run)
        if options.action == "delete" and not (options.yes or _confirm_deletion(run)):
            print(f"Run {run.id} stays.", file=sys.stderr)
            return NOT_DONE
        name = run.read_label().name
        print(f"{run.id} ({name}): {ACTIONS[options.action](run)}")
    except (RunError, ConfigError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"{words[0]} did not work: {error.strerror or error}.", file=sys.stderr)
        return NOT_DONE
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = SentenceParser(prog="python -m runs", description="List and steer runs.")
    parser.add_argument("action", choices=("list", *ACTIONS, *COMMANDS))
    parser.add_argument("run", nargs="?", help="id, name or path of a run, or the beginning of its id or name")
    parser.add_argument(
        "--checkpoints", type=Path, default=CHECKPOINTS, help="folder of the runs (default: %(default)s)"
    )
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    return parser


def _print_list(checkpoints: Path) -> None:
    runs = list_runs(checkpoints)
    names = {run.id: run.read_label().name for run in runs}
    if not runs:
        print(f"There are no runs in {checkpoints}.", file=sys.stderr)
        return
    print(HEADER)
    for run in runs:
        status = read_status(run)
        steps = f"{status.step}/{status.max_steps or '?'}"
        line = ROW.format(run.id, names[run.id], status.state, steps, _describe(status, names))
        print(_fit(line.rstrip()))


def _fit(line: str) -> str:
    """The line wrapped below its remark where a person reads it, whole where a program does."""
    width = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or len(line) <= width:
        return line
    indent = " " * min(REMARK_COLUMN, width // 3)
    return "\n".join(textwrap.wrap(line, width, subsequent_indent=indent, replace_whitespace=False))


def _describe(status: RunStatus, names: dict[str, str]) -> str:
    """What is worth a remark: who is waited for, why it ended, how good it is."""
    if status.queued_behind and status.state == "queued":
        return f"queued behind {names.get(status.queued_behind, clean_name(status.queued_behind))}"
    if status.reason:
        return " ".join(clean_note(status.reason).split())
    if status.best_val_loss_nats is not None:
        return f"best validation loss {status.best_val_loss_nats:.4f} nats"
    return ""


def _ask(message: str, answer: str) -> Callable[[RunFolder], str]:
    def act(run: RunFolder) -> str:
        status = read_status(run)
        if not status.live:
            raise RunError(f"Run {run.id} is {status.state}: there is no worker to ask.")
        control.request(run, message)
        return answer

    return act


def _resume(run: RunFolder) -> str:
    if read_status(run).live:
        if "pause" not in control.requested(run):
            raise RunError(f"Run {run.id} is {read_status(run).state}, not paused: there is nothing to resume.")
        control.clear(run, "pause")
        return "goes on"
    launch.resume(run)
    return "started again"


def _confirm_deletion(run: RunFolder) -> bool:
    """Ask on the terminal.

    Raises:
        RunError: the run is alive, or nobody can be asked.
    """
    status = read_status(run)
    if status.live:
        raise RunError(f"Run {run.id} is {status.state}: stop it before you delete it.")
    if not sys.stdin.isatty():
        raise RunError(f"Deleting run {run.id} cannot be undone and nobody can be asked here: add --yes.")
    what = f"{run.read_label().name}, {status.state}, step {status.step:,}, {_megabytes(size_on_disk(run.path))}"
    print(f"Delete run {run.id} ({what}) for ever? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _delete(run: RunFolder) -> str:
    return f"deleted, {_megabytes(delete_run(run))} freed"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


ACTIONS: dict[str, Callable[[RunFolder], str]] = {
    "stop": _ask("stop", "asked to save and stop"),
    "pause": _ask("pause", "asked to pause"),
    "resume": _resume,
    "save": _ask("save", "asked to save"),
    "delete": _delete,
}
COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "label": label_command.label,
    "compare": compare_command.compare,
    "race": race_command.race,
    "scale": race_command.scale,
    "experts": race_command.dense_and_experts,
}

if __name__ == "__main__":
    sys.exit(main())
