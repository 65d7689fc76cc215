"""Continue a text with a trained model: python infer.py --checkpoint checkpoints/20261130141502 --prompt "Once".

The text, the prompt and what follows it, streams to stdout; everything else goes to stderr. Exit status: 0 done (also
when stopped by Ctrl-C while it writes, or by a reader that has enough), 2 wrong usage or input, 1 anything else.
"""

from __future__ import annotations

import argparse
import io
import os
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import CheckpointError, ConfigError, Problem, RunError, TextError
from config.flags import SentenceParser, add_flag
from runs.checkpoints import choose
from runs.folder import CHECKPOINTS, RunFolder, find_run

if TYPE_CHECKING:
    from torch import nn

    from generation.samplers import Chain
    from text.tokenizer import Tokenizer

EXIT_DONE, EXIT_INTERRUPTED, EXIT_WRONG_INPUT = 0, 1, 2
DEFAULTS: dict[str, Any] = {
    "prompt": "",
    "max_new_tokens": 200,
    "num_samples": 1,
    "temperature": 0.8,
    "top_k": 0,
    "top_p": 0.9,
    "greedy": False,
    "device": "auto",
}
BETWEEN_SAMPLES = "---"


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = vars(build_parser().parse_args(argv))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what a terminal cannot show becomes a question mark
    try:
        return continue_text(given)
    except (ConfigError, TextError, RunError, CheckpointError) as error:
        for line in [problem.message for problem in getattr(error, "problems", ())] or [str(error)]:
            tell(line)
        return EXIT_WRONG_INPUT
    except KeyboardInterrupt:
        tell("interrupted before the first token")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more when it exits, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE


def tell(line: str) -> None:
    """One line for the person, beside the text."""
    print(f"infer.py: {line}", file=sys.stderr, flush=True)


def build_parser() -> argparse.ArgumentParser:
    """All flags; those not given are absent from the result."""
    parser = SentenceParser(prog="infer.py", description="Continue a text with a trained model.")
    what = "A run (folder, id or name: its best checkpoint), a step folder, or the weights file in one."
    parser.add_argument("--checkpoint", required=True, metavar="PATH", help=what)
    add_flag(parser, "prompt", metavar="TEXT", help="The text to continue. Default empty: a text from nothing.")
    add_flag(parser, "max_new_tokens", type=int, metavar="N", help="How many tokens to add. Default 200.")
    add_flag(parser, "num_samples", type=int, metavar="N", help="How many continuations. Default 1.")
    add_flag(parser, "seed", type=int, metavar="N", help="Same seed, same text; the next sample takes the next seed.")
    add_flag(parser, "temperature", type=float, metavar="T", help="Below 1 bolder, above 1 wilder. Default 0.8.")
    add_flag(parser, "top_k", type=int, metavar="K", help="Draw among the K most likely tokens only. Default 0: off.")
    mass = "Draw among the fewest tokens that reach this probability together. Default 0.9; 1 is off."
    add_flag(parser, "top_p", type=float, metavar="P", help=mass)
    add_flag(parser, "greedy", action="store_true", help="Always the most likely token; so does --temperature 0.")
    devices = ("auto", "cpu", "cuda", "mps")
    add_flag(parser, "device", choices=devices, help="Where to compute. Default auto.")
    return parser


def continue_text(given: dict[str, Any]) -> int:
    """From the flags to the text. What can be refused without torch, which takes seconds to import, is refused first.

    Raises:
        ConfigError, TextError, RunError, CheckpointError: what was asked for cannot be done, in a sentence.
    """
    settings: dict[str, Any] = {"seed": secrets.randbelow(2**32)} | DEFAULTS | given
    check_counts(settings)
    folder = find_checkpoint(settings["checkpoint"])

    from generation.prompt import encode_prompt
    from text.tokenizer import load_tokenizer

    run = RunFolder(folder.parent)
    config = run.read_model_config()
    tokenizer = load_tokenizer(run.tokenizer_path)
    tokens = encode_prompt(tokenizer, settings["prompt"])
    if len(tokens) > config.n_ctx:
        tell(f"the prompt has {len(tokens):,} tokens; the model sees the last {config.n_ctx:,} of them")

    from generation.samplers import build_samplers
    from training.checkpoint import load_model
    from training.device import choose_device, few_threads

    samplers = build_samplers(*(settings[name] for name in ("temperature", "top_k", "top_p", "greedy")))
    if settings["greedy"] and (idle := [f"--{name}" for name in ("temperature", "top_k", "top_p") if name in given]):
        tell(f"--greedy always takes the most likely token: {', '.join(idle)} has no effect")
    model = load_model(folder, device=choose_device(settings["device"]))
    started = time.perf_counter()
    with few_threads(model):
        count = write_samples(model, tokenizer, tokens, samplers, settings)
    seconds = time.perf_counter() - started
    speed = f"{count} token{'' if count == 1 else 's'} in {seconds:.2f} s, {count / seconds:,.0f} tokens/s"
    tell(f"{speed}; {samplers}; seed {settings['seed']}; {folder}")
    return EXIT_DONE


def check_counts(settings: dict[str, Any]) -> None:
    """Refuse numbers that mean nothing, all at once."""
    least = {"max_new_tokens": 1, "num_samples": 1, "seed": 0}
    problems = [
        Problem(name, f"--{name} {settings[name]} is too small: it must be at least {minimum}")
        for name, minimum in least.items()
        if settings[name] < minimum
    ]
    if problems:
        raise ConfigError(problems)


def find_checkpoint(text: str) -> Path:
    """The checkpoint folder meant by a path, or by the id or name of a run under checkpoints/.

    Raises:
        CheckpointError, RunError: there is none, or none that can be used.
    """
    path = Path(text)
    if "\0" not in text and not path.exists():
        if len(path.parts) == 1:
            return choose(find_run(CHECKPOINTS, text), tell)
        if (path.parent / "config.json").is_file():
            raise CheckpointError(f"There is no {path.name} in run {path.parent}: name the run folder itself.")
    return choose(path, tell)


def write_samples(
    model: nn.Module, tokenizer: Tokenizer, tokens: list[int], samplers: Chain, settings: dict[str, Any]
) -> int:
    """Stream all continuations to stdout; returns how many tokens were written. Ctrl-C ends it there."""
    from generation.generate import generate
    from generation.prompt import TextStream

    count = 0
    try:
        for number in range(settings["num_samples"]):
            print(f"{BETWEEN_SAMPLES}\n" if number else "", settings["prompt"], sep="", end="", flush=True)
            stream = TextStream(tokenizer)
            for step in generate(
                model,
                tokens,
                max_new_tokens=settings["max_new_tokens"],
                samplers=samplers,
                seed=settings["seed"] + number,
                vocab_size=tokenizer.vocab_size,
            ):
                print(stream.push(step.token), end="", flush=True)
                count += 1
            print(stream.finish(), flush=True)
    except KeyboardInterrupt:
        print(flush=True)
        tell("stopped")
    return count


if __name__ == "__main__":
    sys.exit(main())
