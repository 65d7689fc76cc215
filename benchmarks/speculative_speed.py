"""What a draft gains: the same text with and without it, in turn.

    python -m benchmarks.speculative_speed                           (trains a pair first: ten minutes, once)
    python -m benchmarks.speculative_speed CHECKPOINT DRAFT          (two runs of the same tokenizer)
    python -m benchmarks.speculative_speed CHECKPOINT DRAFT --n_draft 2 4 --new_tokens 100 --rounds 5

For greedy and for drawn text, and for each number of proposals: the share that the model accepted, tokens for each pass
of the model, and the median of the rounds' ratios of seconds, above 1 where the draft is faster. Both sides in float32,
in one process, with the same number of threads.

A draft gains where it is much smaller than the model and yet says the same most of the time. The pair that is trained
here (on training.txt, characters as tokens) is such a case; the runs stay in --checkpoints and are found there again.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import torch
from torch import nn

from config.model_config import ModelConfig
from generation.generate import generate
from generation.prompt import encode_prompt
from generation.samplers import Chain, build_samplers
from generation.speculative import Speculation
from runs.checkpoints import choose
from runs.folder import CHECKPOINTS, RunFolder, list_runs
from runs.state import read_status
from text.tokenizer_types import load_tokenizer
from training.checkpoint import load_model

# Names of the two runs, and their flags of train.py.
PAIR = {
    "speculative-model": "--n_layers 6 --d_model 384 --n_heads 6 --d_mlp 1536 --max_steps 600",
    "speculative-draft": "--n_layers 2 --d_model 64 --n_heads 2 --d_mlp 256 --max_steps 2000",
}
BOTH = "--architecture LLAMA --tokenizer_type character --n_ctx 64 --batch_size 16 --baselines off --eval_interval 200"


def main() -> int:
    """One line for each way of drawing and each number of proposals."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speculative_speed", description="Speed of a draft.")
    parser.add_argument("checkpoint", nargs="?", help="the model: a run, or one of its step folders")
    parser.add_argument("draft", nargs="?", help="a smaller one")
    parser.add_argument(
        "--checkpoints", type=Path, default=CHECKPOINTS, help="where the pair is trained, if none is given"
    )
    parser.add_argument("--prompt", default="The ", help="how each text begins")
    parser.add_argument("--n_draft", type=int, nargs="+", default=[1, 2, 3, 4, 6], help="proposals at a time")
    parser.add_argument("--new_tokens", type=int, default=100, help="how long each text is")
    parser.add_argument("--rounds", type=int, default=7, help="how often each side writes, each time with another seed")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    if arguments.checkpoint and not arguments.draft:
        parser.error("a model needs its draft; with neither, a pair is trained")
    given = [arguments.checkpoint, arguments.draft] if arguments.draft else train_pair(arguments.checkpoints)
    torch.set_num_threads(arguments.threads)
    folders = [choose(Path(path), print) for path in given]
    model, draft = map(load_model, folders)
    for name, part in (("model", model), ("draft", draft)):
        config = cast(ModelConfig, part.config)
        print(f"{name} {config.n_layers}x{config.d_model}, {sum(p.numel() for p in part.parameters()):,} parameters")
    prompt = encode_prompt(load_tokenizer(RunFolder(folders[0].parent).tokenizer_path), arguments.prompt)
    for samplers in (build_samplers(greedy=True), build_samplers()):
        for n_draft in arguments.n_draft:
            compare(model, draft, prompt, samplers, n_draft, arguments)
    return 0


def train_pair(checkpoints: Path) -> list[Path]:
    """The model and its draft; each is trained unless a run of its name has been trained to its end."""
    pair = []
    for name, flags in PAIR.items():
        if (run := find_finished(checkpoints, name)) is None:
            command = ["train.py", "--checkpoints", str(checkpoints), "--name", name, *BOTH.split(), *flags.split()]
            subprocess.run([sys.executable, *command], check=True)
            run = find_finished(checkpoints, name)
        assert run is not None
        pair.append(run.path)
    return pair


def find_finished(checkpoints: Path, name: str) -> RunFolder | None:
    """The newest run of this name, or numbered after it, that was not stopped on its way."""
    runs = (run for run in list_runs(checkpoints) if run.read_label().name.startswith(name))
    return next((run for run in runs if read_status(run).state == "finished"), None)


def compare(
    model: nn.Module, draft: nn.Module, prompt: list[int], samplers: Chain, n_draft: int, arguments: argparse.Namespace
) -> None:
    """One line."""
    ratios, rates, yields = [], [], []
    for seed in range(arguments.rounds + 1):
        settings = {"max_new_tokens": arguments.new_tokens, "samplers": samplers, "seed": seed}
        started = time.perf_counter()
        alone = [step.token for step in generate(model, prompt, **settings)]
        between = time.perf_counter()
        speculation = Speculation(model, draft, prompt, n_draft=n_draft, **settings)
        together = [step.token for step in speculation]
        ended = time.perf_counter()
        assert len(alone) == len(together)
        if seed:  # the first round warms up
            ratios.append((between - started) / (ended - between))
            rates.append(speculation.acceptance_rate)
            yields.append(speculation.tokens_per_pass)
    print(
        f"{samplers}; {n_draft} proposals: {statistics.median(rates):.0%} accepted, "
        f"{statistics.median(yields):.2f} tokens a pass, {statistics.median(ratios):.2f} x "
        f"({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
