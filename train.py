"""Start a training, or resume one: python train.py --architecture LLAMA --model_size tiny.

The page runs this same program (`train.py --run DIR`), so a run is the same wherever it was started. Progress goes to
stderr; the last line on stdout is the run folder. Exit status: 0 done, 2 wrong usage or input, 1 anything else.
Under torchrun several processes train one run together (docs/scaling.md): the first does what stands here, the others
follow it.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from config.data_config import DataConfig
from config.demos import DEMOS
from config.errors import CheckpointError, ConfigError, Problem, RunError, TextError
from config.flags import SentenceParser, add_flag, add_settings
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from config.presets import SIZES
from config.run_config import IMPLEMENTATIONS, RunConfig
from config.train_config import TrainConfig
from runs import control, machine
from runs.folder import CHECKPOINTS, RunFolder, create_run, delete_run, find_run
from runs.metrics import SamplesReader
from runs.names import clean_name
from runs.state import read_status
from training.distributed import ALONE, STRATEGIES, Ranks, end_process, ranks_from
from training.feasible import check_resumable, refuse_what_cannot_work
from training.from_flags import ask_for_text, configure, find_parent, follow_prepared_text
from training.shares import check_shareable
from training.worker import run_worker

EXIT_DONE, EXIT_INTERRUPTED, EXIT_WRONG_INPUT = 0, 1, 2
EXIT_FAILED = 1  # a proof with a red check


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    machine.share_cores()
    arguments = build_parser().parse_args(argv)
    try:
        ranks = ranks_from(parallel=getattr(arguments, "parallel", None))
        if hasattr(arguments, "preflight") and not ranks.alone:  # before the others wait for a first that never joins
            raise RunError(
                f"--preflight tries a few steps in one process, not in {ranks.size}: start it without torchrun"
            )
        if not ranks.is_first:
            return follow_first(ranks)
        if hasattr(arguments, "preflight"):
            return foretell(arguments)
        if hasattr(arguments, "prove"):
            return prove_model(arguments)
        run = open_or_create(arguments, ranks)
        print(f"run folder {run.path}", file=sys.stderr)
        status = train_together(run, ranks)
        if status == EXIT_WRONG_INPUT and not hasattr(arguments, "run") and not read_status(run).step:
            delete_run(run)  # it never began, and what is wrong with it has been said
            return status
        if status == 0 and hasattr(arguments, "demo"):
            show_sample(run)
    except (ConfigError, TextError, RunError, CheckpointError) as error:
        for line in [problem.message for problem in getattr(error, "problems", ())] or [str(error)]:
            print(f"train.py: {line}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    except KeyboardInterrupt:  # before the worker listens: nothing has been trained yet
        return EXIT_INTERRUPTED
    print(run.path)
    return status


def build_parser() -> argparse.ArgumentParser:
    """All flags; every field of the configs is one of them."""
    parser = SentenceParser(prog="train.py", description="Train a transformer on a text.")
    start = parser.add_argument_group("What to train")
    add_flag(start, "architecture", metavar="GPT|LLAMA|OLMO", help="Preset to start from. Default GPT.")
    add_flag(
        start,
        "model_size",
        metavar="|".join(SIZES),
        help="Sizes to start from, or a published size of the preset. Default small.",
    )
    add_flag(start, "implementation", choices=IMPLEMENTATIONS, help="How the same model is computed. Default fused.")
    for flag, choice in (("use_einops", "einops"), ("no_einops", "torch")):
        help_line = f"Short for --implementation {choice}."
        add_flag(start, flag, action="store_const", const=choice, help=help_line)
    add_flag(start, "from", metavar="CHECKPOINT", help="Begin with these weights: a run, or a step folder in one.")
    carry = "What to take over from it. Default all where possible, so that an unchanged run goes on exactly."
    add_flag(start, "carry", choices=("all", "weights"), help=carry)
    pairs = "Learn responses to prompts: short for --text_file F --text_kind pairs."
    add_flag(start, "pairs", metavar="F.csv|F.jsonl", help=pairs)
    add_flag(start, "demo", choices=DEMOS, help="Train and show with nothing to decide: 2 or 15 minutes.")
    add_flag(start, "config", metavar="F.toml", help="Read settings from a file; flags win over it.")
    add_flag(start, "preflight", action="store_true", help="Only try a few steps, and say what the run would take.")
    add_flag(start, "prove", action="store_true", help="Only check the model: agreement, mask, cache, gradients, size.")
    place = parser.add_argument_group("Where")
    add_flag(place, "checkpoints", metavar="DIR", help="Folder of all runs. Default checkpoints.")
    add_flag(place, "run", metavar="DIR", help="Resume this run (folder, id or name), or take over a prepared folder.")
    add_flag(place, "name", help="What to call the run. Default a friendly name.")
    add_flag(place, "parallel", choices=STRATEGIES, help="What each process of torchrun holds. Default ddp: all.")
    add_settings(parser, ModelConfig, without=("d_vocab",))
    add_settings(parser, DataConfig)
    add_settings(parser, TrainConfig)
    add_settings(parser, LoraConfig)
    return parser


def follow_first(ranks: Ranks) -> int:
    """What a process of torchrun does that is not the first; its exit status."""
    from training.follower import follow

    return follow(ranks)


def train_together(run: RunFolder, ranks: Ranks) -> int:
    """Train in this process, with the others of torchrun where there are any; the exit status."""
    if ranks.alone:
        return run_worker(run)
    ranks = ranks.join()
    ranks.tell_run(str(run.path.resolve()))
    status = run_worker(run, ranks)
    if status == EXIT_DONE:
        ranks.leave()
    return status


def open_or_create(arguments: argparse.Namespace, ranks: Ranks = ALONE) -> RunFolder:
    """The run that `--run` names, or a new one from all other flags.

    Raises:
        RunError: there is no such run, or flags say something else than its config.json.
        CheckpointError, ConfigError, TextError: it cannot be trained here.
    """
    given = vars(arguments)
    if "run" in given:
        if others := sorted(set(given) - {"run", "checkpoints", "parallel"}):
            raise RunError(f"--run takes everything from the run's config.json: leave out --{', --'.join(others)}")
        run = find_run(Path(given.get("checkpoints", CHECKPOINTS)), given["run"])
        if control.is_launch_alive(run) is None:  # else a page waits for its worker, which says itself what is wrong
            check_resumable(run, ranks)
        check_shareable(run.read_config(), ranks)
        return run
    config = check_configuration(arguments, ranks)
    origin = {"command": ["train.py", *sys.argv[1:]], "seed": config.training.seed}
    run = create_run(Path(given.get("checkpoints", CHECKPOINTS)), config, origin, given.get("name"))
    asked, name = clean_name(given.get("name", "")), run.read_label().name
    if asked not in ("", name):
        print(f"train.py: there is a run {asked} already: this one is called {name}", file=sys.stderr)
    return run


def foretell(arguments: argparse.Namespace) -> int:
    """Try a few steps of the run that the flags describe and say what it would take; the exit status.

    Raises:
        RunError: a run that exists is named.
        CheckpointError, ConfigError, TextError, TrainingError: as `training.preflight.measure`.
    """
    from training.preflight import describe as sentences
    from training.preflight import measure

    if hasattr(arguments, "run"):
        raise RunError("--preflight tries a run that does not exist yet: leave out --run")
    config = check_configuration(arguments)
    print("trying a few steps", file=sys.stderr)
    found = measure(config, Path(vars(arguments).get("checkpoints", CHECKPOINTS)))
    print("\n".join(sentences(found)))
    return EXIT_WRONG_INPUT if found.verdict == "does not fit" else EXIT_DONE


def prove_model(arguments: argparse.Namespace) -> int:
    """Check the model that the flags describe before anything is trained; the exit status.

    Raises:
        RunError: a run that exists is named.
        ConfigError: there is no such model.
    """
    if hasattr(arguments, "run"):
        raise RunError("--prove is about a model that is not trained yet: leave out --run")
    config = configure(arguments)

    from interpret.prove import prove
    from interpret.report import proof_lines

    proof = prove(config.model.replace(d_vocab=config.data.expected_vocabulary))
    print("\n".join(proof_lines(proof)))
    return EXIT_DONE if proof.passed else EXIT_FAILED


def check_configuration(arguments: argparse.Namespace, ranks: Ranks = ALONE) -> RunConfig:
    """What the flags describe, if it can be trained here.

    Raises:
        ConfigError, TextError: it cannot.
    """
    given = vars(arguments)
    config = follow_prepared_text(configure(arguments), given)
    check_shareable(config, ranks)
    if "from" in given:
        config = begin_from_checkpoint(config, given)
    elif config.lora.is_on:
        raise ConfigError([Problem("lora_rank", "lora_rank adapts a trained model: name its checkpoint with --from")])
    refuse_what_cannot_work(config, ranks)
    return config


def begin_from_checkpoint(config: RunConfig, given: dict[str, Any]) -> RunConfig:
    """The configuration with its parent, and a report on what it takes over, on stderr.

    Raises:
        CheckpointError, ConfigError, TextError: it cannot begin so.
    """
    from training.fork import fork

    checkpoint = find_parent(given)
    ask_for_text(config, RunFolder(checkpoint.parent))
    config, report = fork(config, checkpoint, given.get("carry"))
    print("\n".join(report.sentences()), file=sys.stderr)
    return config


def show_sample(run: RunFolder) -> None:
    """What the trained model writes, on stdout."""
    reader = SamplesReader(run.samples_path)
    reader.refresh(force=True)
    if reader.samples:  # none where --sample_tokens 0 was given
        print(reader.samples[-1]["text"])


if __name__ == "__main__":
    end_process(main())
