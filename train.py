"""Start a training, or resume one: python train.py --architecture LLAMA --model_size tiny.

The page runs this same program (`train.py --run DIR`), so a run is the same wherever it was started. Progress goes to
stderr; the last line on stdout is the run folder. Exit status: 0 done, 2 wrong usage or input, 1 anything else.
Under torchrun several processes train one run together (docs/scaling.md): the first does what stands here, the others
follow it.
"""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from config.data_config import DataConfig
from config.demos import DEMOS, load_demo
from config.errors import CheckpointError, ConfigError, Problem, RunError, TextError
from config.fields import Settings, describe, find_problems, without_effect
from config.flags import SentenceParser, add_flag, add_settings, given_settings
from config.inheritance import inherit_data
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from config.presets import SIZES, load_preset, resolve_preset
from config.run_config import IMPLEMENTATIONS, RunConfig
from config.settings_file import read_config_file
from config.sizes import memory_problem, training_memory
from config.train_config import TrainConfig
from runs import control, machine
from runs.checkpoints import find_checkpoint
from runs.folder import CHECKPOINTS, RunFolder, create_run, delete_run, find_run
from runs.metrics import SamplesReader
from runs.names import clean_name
from runs.state import read_status
from training.distributed import ALONE, STRATEGIES, Ranks, ranks_from
from training.shares import check_shareable, memory_here
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
    """The run that `--run` names, or a new one from all other flags."""
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
    """Try a few steps of the run that the flags describe and say what it would take; the exit status."""
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
    """Check the model that the flags describe before anything is trained; the exit status."""
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

    config, report = fork(config, find_parent(given), given.get("carry"))
    print("\n".join(report.sentences()), file=sys.stderr)
    return config


def find_parent(given: dict[str, Any]) -> Path:
    """The checkpoint that `--from` names.

    Raises:
        CheckpointError, RunError: there is none, or none that can be used.
    """
    say = partial(print, file=sys.stderr)
    return find_checkpoint(given["from"], Path(given.get("checkpoints", CHECKPOINTS)), say)


def configure(arguments: argparse.Namespace) -> RunConfig:
    """Preset, then the config file, then the flags: the later wins.

    Raises:
        ConfigError: all problems of all parts at once.
    """
    given = vars(arguments)
    file = read_config_file(given["config"]) if "config" in given else {}
    if "demo" in given:
        if fixed := sorted({"architecture", "model_size"} & (given.keys() | file.keys())):
            raise ConfigError([Problem("demo", f"--demo brings its own architecture and size: leave out {fixed[0]}")])
        base = load_demo(given["demo"])
    elif "carry" in given and "from" not in given:
        raise ConfigError([Problem("carry", "--carry says what to take over from a checkpoint: name one with --from")])
    elif "from" in given:
        if fixed := sorted({"architecture", "model_size"} & (given.keys() | file.keys())):
            raise ConfigError([Problem(fixed[0], f"--from brings its own architecture: leave out {fixed[0]}")])
        base = RunFolder(find_parent(given).parent).read_config()
    else:
        preset = resolve_preset(given.get("architecture") or file.get("architecture") or "gpt2")
        size = given.get("model_size") or file.get("model_size") or "small"
        base = RunConfig(model=load_preset(preset, size), preset=preset, size=size)
    chosen = [given[name] for name in ("implementation", "use_einops", "no_einops") if name in given]
    if len(set(chosen)) > 1:
        raise ConfigError([Problem("implementation", f"choose one implementation, not {' and '.join(chosen)}")])

    problems: list[Problem] = []
    parts: dict[str, dict[str, Any]] = {}
    for name, before in (("model", base.model), ("data", base.data), ("training", base.training), ("lora", base.lora)):
        kind: type[Settings] = type(before)
        of_file = {key: value for key, value in file.items() if key in describe(kind)}
        settings = of_file | given_settings(arguments, kind)
        if name == "data" and "pairs" in given:
            settings |= {"text_file": given["pairs"], "text_kind": "pairs"}
        parts[name] = before.to_dict() | settings
        if name == "data" and "from" in given:
            parts[name] = inherit_data(base.data, settings)
        problems += find_problems(kind, parts[name])
        problems += without_effect(kind, parts[name], given)
    if problems:
        raise ConfigError(problems)
    return RunConfig(
        model=ModelConfig(**parts["model"]),
        implementation=(chosen or [file.get("implementation", base.implementation)])[0],
        data=DataConfig(**parts["data"]),
        training=TrainConfig(**parts["training"]),
        lora=LoraConfig(**parts["lora"]),
        preset=base.preset,
        size=base.size,
    )


def follow_prepared_text(config: RunConfig, given: dict[str, Any]) -> RunConfig:
    """A text that `text.prepare` has cut into tokens brings its tokenizer and its split with it.

    Raises:
        TextError: a setting of `given` says something else.
    """
    from text.prepared import find_prepared, follow_prepared

    prepared = find_prepared(config.data.text_file)
    return config if prepared is None else replace(config, data=follow_prepared(prepared, config.data, given))


def refuse_what_cannot_work(config: RunConfig, ranks: Ranks = ALONE) -> None:
    """Answer at once, before a run folder exists: a text of no use, a model that does not fit, no such device.

    Raises:
        TextError, ConfigError: with the numbers.
    """
    from training.lora import count_adapters
    from training.prepare import check_trainable

    if config.parent is None:
        check_trainable(config.data, config.model.n_ctx)
    elif config.parent.carried == "weights":  # else the text is known already
        check_trainable(config.data, config.model.n_ctx, RunFolder(Path(config.parent.path).parent))
    check_device(config)
    model = config.with_vocabulary(config.data.expected_vocabulary)
    if config.training.device != "cpu" and machine.has_gpu():
        return  # its own memory counts, which only torch can tell
    rows = config.training.batch_size // config.training.grad_accumulation // ranks.size
    trained = count_adapters(model, config.lora) if config.lora.is_on else None
    needed = memory_here(training_memory(model, rows, config.implementation, trained), ranks)
    if problem := memory_problem(needed, machine.available_memory_bytes()):
        raise ConfigError([problem])


def check_device(config: RunConfig) -> None:
    """Only torch knows whether a device is there; it is asked where a special one was chosen, and imported anyway then.

    Raises:
        ConfigError: it is not there.
    """
    if config.training.device not in ("auto", "cpu"):
        from training.device import choose_device

        choose_device(config.training.device)


def check_resumable(run: RunFolder, ranks: Ranks = ALONE) -> None:
    """Answer at once, before the run's state says that it failed.

    Raises:
        RunError, TextError, ConfigError: its files or its text cannot be used, or this machine lacks its device.
    """
    config = run.read_config()
    if read_status(run).state != "finished":
        check_device(config)
        if not run.data_path.exists():  # its worker ended before it had read the text
            refuse_what_cannot_work(config, ranks)


def show_sample(run: RunFolder) -> None:
    """What the trained model writes, on stdout."""
    reader = SamplesReader(run.samples_path)
    reader.refresh(force=True)
    if reader.samples:  # none where --sample_tokens 0 was given
        print(reader.samples[-1]["text"])


if __name__ == "__main__":
    sys.exit(main())
