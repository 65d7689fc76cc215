"""Continue a text with a trained model: python infer.py --checkpoint checkpoints/20261130141502 --prompt "Once".

The text, the prompt and what follows it, streams to stdout; everything else goes to stderr. With --interactive it goes
on with what is entered, with --json it writes lines for programs (generation/console/output.py has their schema). Exit
status: 0 done (also when stopped by Ctrl-C while it writes, or by a reader that has enough), 2 wrong usage or input, 1
anything else.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import CheckpointError, ConfigError, Problem, RunError, TextError
from config.fields import describe
from config.flags import SentenceParser, add_flag, add_settings, given_settings, parser_of
from generation.console.order import LISTS, Order
from generation.console.settings import WritingSettings
from runs import machine
from runs.checkpoints import find_checkpoint
from runs.folder import RunFolder

if TYPE_CHECKING:
    from torch import nn

    from generation.console.output import Output
    from generation.console.writer import Prompt, Report, Writer
    from text.tokenizer import Tokenizer

EXIT_DONE, EXIT_INTERRUPTED, EXIT_WRONG_INPUT = 0, 1, 2


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    machine.share_cores()
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
    add_flag(parser, "interactive", action="store_true", help="Continue what is entered, line by line; /help there.")
    add_flag(parser, "json", action="store_true", help="JSON lines instead of text, with tokens and probabilities.")
    add_flag(parser, "draft", metavar="PATH", help="A checkpoint of a smaller model of the same tokenizer: faster.")
    devices = ("auto", "cpu", "cuda", "mps")
    add_flag(parser, "device", choices=devices, help="Where to compute. Default auto.")
    add_flag(parser, "tokenizer_type", metavar="TYPE", help="Not needed: refused if it is not the checkpoint's own.")
    add_flag(parser, "text_file", metavar="PATH", help="Not needed: the tokenizer comes with the checkpoint.")
    for name, help_line in LISTS.items():
        metavar = "TOKEN=VALUE" if name == "logit_bias" else name.removeprefix("stop_").upper()
        add_flag(parser, name, action="append", metavar=metavar, help=f"{help_line} May be given several times.")
    add_settings(parser, WritingSettings)
    parser.add_argument(  # a second name, shorter than the one of Hugging Face
        "--no_repeat_ngram", "--no-repeat-ngram", dest="no_repeat_ngram_size", default=argparse.SUPPRESS,
        type=parser_of(describe(WritingSettings)["no_repeat_ngram_size"]), help=argparse.SUPPRESS,
    )  # fmt: skip
    return parser


def continue_text(given: dict[str, Any]) -> int:
    """From the flags to the text. What can be refused without torch, which takes seconds to import, is refused first.

    Raises:
        ConfigError, TextError, RunError, CheckpointError: what was asked for cannot be done, in a sentence.
    """
    prompt_text, is_json = given.get("prompt", ""), "json" in given
    numbers = given_settings(argparse.Namespace(**given), WritingSettings)
    Order(WritingSettings(**numbers), tuple(given.get("stop", ()))).refuse_conflicts("draft" in given)
    folder = find_checkpoint(given["checkpoint"], say=tell)
    draft_folder = find_checkpoint(given["draft"], say=tell) if "draft" in given else None

    from generation.prompt import encode_prompt

    tokenizer = load_tokenizer_of(folder, given)
    if draft_folder is not None:
        check_draft(draft_folder, tokenizer)
    tokens = encode_prompt(tokenizer, prompt_text)
    lists = {name: given[name] for name in LISTS if name in given}
    order = Order.for_tokenizer(tokenizer).changed(tokenizer, numbers | lists)
    for name, reason in order.idle(has_draft="draft" in given, is_json=is_json).items():
        tell(f"--{name} has no effect: {reason}")

    from generation.console.output import JsonOutput, PlainOutput
    from generation.console.writer import Prompt, Writer
    from training.checkpoint import load_model
    from training.device import choose_device, few_threads

    device = choose_device(given.get("device", "auto"))
    model = load_model(folder, device=device)
    draft = None if draft_folder is None else load_model(draft_folder, device=device)
    writer = Writer(model, tokenizer, draft)
    order = without_idle_speed(model, order)
    output: Output = JsonOutput(tokenizer) if is_json else PlainOutput()
    with few_threads(model):
        if "interactive" in given:
            converse(writer, order, output, given)
        else:
            n_ctx = RunFolder(folder.parent).read_model_config().n_ctx
            if len(tokens) > n_ctx:
                tell(f"the prompt has {len(tokens):,} tokens; the model sees the last {n_ctx:,} of them")
            prompt = Prompt(prompt_text, tokens)
            report = writer.write(prompt, order, output)
            tell_statistics(writer, prompt, order, report, folder)
    return EXIT_DONE


def without_idle_speed(model: nn.Module, order: Order) -> Order:
    """The order without --compile where it can do nothing here; that is said, and of --quantize as well."""
    from generation.console.idle_speed import idle_speed

    idle = idle_speed(model, order)
    for name, reason in idle.items():
        tell(f"--{name} has no effect: {reason}")
    return replace(order, settings=order.settings.replace(compile=False)) if "compile" in idle else order


def converse(writer: Writer, order: Order, output: Output, given: dict[str, Any]) -> None:
    """The interactive loop, after the text of --prompt if there is one."""
    from generation.console.loop import Loop

    loop = Loop(writer, order, output, lambda line: print(line, file=sys.stderr, flush=True), "json" in given)
    if given.get("prompt"):
        loop.take(f"/{given['prompt']}" if given["prompt"].startswith("/") else given["prompt"])
    loop.run()


def tell_statistics(writer: Writer, prompt: Prompt, order: Order, report: Report, folder: Path) -> None:
    """How fast it was, by which stages in which order, with which seed."""
    if report.interrupted:
        tell("stopped")
    line = str(report)
    if report.passes and not report.interrupted:
        plain = writer.plain_tokens_per_second(prompt, order, report.seeds[0])
        line += f"; {report.tokens_per_second / plain:.2f} times the speed without the draft"
    tell(f"{line}; {folder}")


def load_tokenizer_of(folder: Path, given: dict[str, Any]) -> Tokenizer:
    """The tokenizer of a checkpoint, and a word on flags that other programs need to find it.

    Raises:
        ConfigError: --tokenizer_type names another one.
    """
    from text.tokenizer_types import load_tokenizer

    run = RunFolder(folder.parent)
    run.read_model_config()  # says in a sentence what a folder that is no run lacks
    tokenizer = load_tokenizer(run.tokenizer_path)
    if (wanted := given.get("tokenizer_type", tokenizer.type)) != tokenizer.type:
        message = f"tokenizer_type {wanted[:40]} is not that of this run, {tokenizer.type}: leave --tokenizer_type out"
        raise ConfigError([Problem("tokenizer_type", message)])
    if "text_file" in given:
        tell("--text_file has no effect: the tokenizer comes with the checkpoint")
    return tokenizer


def check_draft(folder: Path, tokenizer: Tokenizer) -> None:
    """Refuse a draft that cuts text in another way.

    Raises:
        ConfigError: its tokenizer is not the model's.
    """
    if load_tokenizer_of(folder, {}).content_hash() != tokenizer.content_hash():
        message = f"draft {folder} has another tokenizer than the model: a draft must propose the same tokens"
        raise ConfigError([Problem("draft", message)])


if __name__ == "__main__":
    sys.exit(main())
