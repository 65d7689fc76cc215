"""`python -m runs race …`, `scale …` and `experts …`: several configurations on the same batches, queued at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from config.errors import RunError
from config.flags import SentenceParser
from config.presets import SIZES
from config.run_config import RunConfig
from config.short_form import from_words, split_words
from runs import experts
from runs.folder import CHECKPOINTS, RunFolder, find_run
from runs.race import Entry, at_sizes, line_up, start, with_steps


def make_race_parser() -> argparse.ArgumentParser:
    """The flags of `race`."""
    parser = SentenceParser(
        prog="python -m runs race",
        description="Train two to four configurations on identical batches, one after the other.",
        epilog="An entry is a run, whose configuration is taken, or one in quotes: 'llama tiny position=alibi'. "
        "Text, seed, batches and steps are those of the first.",
    )
    parser.add_argument("entries", nargs="+", metavar="ENTRY", help="a run, or a configuration in quotes")
    return _add_common(parser)


def make_scale_parser() -> argparse.ArgumentParser:
    """The flags of `scale`."""
    parser = SentenceParser(
        prog="python -m runs scale",
        description="Train one configuration at several sizes on identical batches, smallest first.",
    )
    parser.add_argument("entry", metavar="ENTRY", help="a run, or a configuration in quotes: 'llama position=alibi'")
    parser.add_argument("--sizes", nargs="+", default=["tiny", "small"], metavar="|".join(SIZES))
    return _add_common(parser)


def make_experts_parser() -> argparse.ArgumentParser:
    """The flags of `experts`."""
    parser = SentenceParser(
        prog="python -m runs experts",
        description="Train a model dense and as a mixture of experts of equal active size, on identical batches.",
        epilog="ENTRY may be either of the two; the other one is made from it.",
    )
    parser.add_argument("entry", metavar="ENTRY", help="a run, or a configuration in quotes: 'llama tiny'")
    parser.add_argument("--n_experts", type=int, default=experts.N_EXPERTS, help="default: %(default)s")
    parser.add_argument(
        "--experts_per_token", type=int, default=experts.PER_TOKEN,
        help="how many a token visits; each has that part of d_mlp (default: %(default)s)",
    )  # fmt: skip
    return _add_common(parser)


def _add_common(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--max_steps", type=int, help="steps of each (default: those of the first)")
    parser.add_argument("--name", default="", help="what to call it (default: a friendly name)")
    parser.add_argument(
        "--checkpoints", type=Path, default=CHECKPOINTS, help="folder of the runs (default: %(default)s)"
    )
    return parser


def race(arguments: Sequence[str]) -> None:
    """Queue a race and print its runs.

    Raises:
        RunError: too few or too many entries, or an entry that is neither a run nor a configuration.
        ConfigError: a configuration that cannot be trained so.
        OSError: a worker cannot be started.
    """
    options = make_race_parser().parse_args(arguments)
    configs = [with_steps(_read_entry(options.checkpoints, text), options.max_steps) for text in options.entries]
    entries = line_up(configs)
    _tell(entries, start(options.checkpoints, entries, kind="race", name=options.name))


def scale(arguments: Sequence[str]) -> None:
    """Queue one configuration at several sizes and print the runs.

    Raises:
        RunError, ConfigError, OSError: as `race`.
    """
    options = make_scale_parser().parse_args(arguments)
    entries = at_sizes(with_steps(_read_entry(options.checkpoints, options.entry), options.max_steps), options.sizes)
    endings = [entry.config.size or "" for entry in entries]
    _tell(entries, start(options.checkpoints, entries, kind="scaling", endings=endings, name=options.name))


def dense_and_experts(arguments: Sequence[str]) -> None:
    """Queue a dense model and a mixture of experts and print the runs.

    Raises:
        RunError, ConfigError, OSError: as `race`.
    """
    options = make_experts_parser().parse_args(arguments)
    config = with_steps(_read_entry(options.checkpoints, options.entry), options.max_steps)
    entries = experts.pair(config, options.n_experts, options.experts_per_token)
    _tell(entries, start(options.checkpoints, entries, kind="race", endings=experts.ENDINGS, name=options.name))


def _read_entry(checkpoints: Path, text: str) -> RunConfig:
    """The configuration of a run, or the one that the words say.

    Raises:
        RunError, ConfigError: it is neither, or cannot be used.
    """
    if "=" not in text:
        try:
            run = find_run(checkpoints, text)
        except RunError:
            pass  # then an architecture is meant
        else:
            return run.read_config()
    spoken = from_words(split_words(text.split()))
    if spoken.problems and text.split() == [text]:
        raise RunError(f"{text[:80]!r} is neither a run in {checkpoints} nor an architecture.")
    return spoken.config()


def _tell(entries: Sequence[Entry], runs: Sequence[RunFolder]) -> None:
    for entry, run in zip(entries, runs, strict=True):
        print(f"{run.id} ({run.read_label().name}){': ' if entry.notes else ''}{'; '.join(entry.notes)}")
    print(f"python -m runs compare {' '.join(run.read_label().name for run in runs)}")
