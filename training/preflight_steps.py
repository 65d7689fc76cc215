"""The scratch process of a pre-flight: prepare the text, train a few steps, evaluate, write and save once, and time it.

Started by `training.preflight`, which reads the one line of JSON that it prints. The text is prepared where the run
will find it again; everything else happens in a hidden folder that is thrown away.
"""

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from runs import machine
from runs.folder import RunFolder

if TYPE_CHECKING:
    from training.trainer import Trainer

MEASURE_SECONDS, LEAST_STEPS, MOST_STEPS, WARM_UP_STEPS = 5.0, 3, 400, 2
SAMPLED_BATCHES, SAMPLED_TOKENS = 4, 32  # of an evaluation, of a sample: their times are scaled up
EXIT_DONE, EXIT_FAILED, EXIT_MEMORY = 0, 1, 3
WATCH_SECONDS = 0.02
OUT_OF_MEMORY = ("can't allocate memory", "out of memory")  # in torch's errors for the CPU and for a GPU


@dataclass(frozen=True, kw_only=True)
class Timings:
    """What the scratch process measured. Times in seconds, sizes in bytes."""

    start_seconds: float  # from the start of the process to its first step
    step_seconds: list[float]
    evaluation_seconds: float  # one look at the validation text
    sample_seconds: float
    save_seconds: float
    split_seconds: float  # the whole validation split, once
    peak_bytes: int
    checkpoint_bytes: int
    max_steps: int  # still to be done
    train_tokens: int


def try_steps(run: RunFolder, seconds: float, started: float) -> Timings:
    """Train a few steps, then evaluate, write a sample and save once.

    Args:
        seconds: For the steps; a few are made however long they take.
        started: `time.time()` of the start of this process.
    """
    from training.fork import build_run_model
    from training.prepare import prepare_text
    from training.trainer import Trainer

    config = run.read_config()
    text = prepare_text(run, config)
    model = build_run_model(run, config)
    trainer = Trainer(run, config, model, text, say=lambda line: None)
    steps_to_do = trainer.max_steps - trainer.progress.step
    start_seconds = time.time() - started
    step_seconds = _time_steps(trainer, seconds)
    batch_seconds, token_seconds = _time_batch(trainer), _time_token(trainer)
    save_seconds = clock(trainer.save)
    return Timings(
        start_seconds=start_seconds,
        step_seconds=step_seconds,
        evaluation_seconds=batch_seconds * config.training.eval_iters,
        sample_seconds=token_seconds * config.training.sample_tokens,
        save_seconds=save_seconds,
        split_seconds=_split_seconds(trainer, batch_seconds, statistics.median(step_seconds)),
        peak_bytes=_peak_bytes(trainer),
        checkpoint_bytes=sum(file.stat().st_size for file in run.step_path(trainer.progress.step).iterdir()),
        max_steps=steps_to_do,
        train_tokens=len(text.train),
    )


def _time_steps(trainer: "Trainer", seconds: float) -> list[float]:
    for _ in range(WARM_UP_STEPS):
        trainer.update()
    times: list[float] = []
    while len(times) < LEAST_STEPS or (sum(times) < seconds and len(times) < MOST_STEPS):
        times.append(clock(trainer.update))
    return times


def _time_batch(trainer: "Trainer") -> float:
    """Seconds for each batch of an evaluation."""
    batches = min(SAMPLED_BATCHES, trainer.settings.eval_iters)

    def score() -> None:
        trainer.validation.evaluator.score_sample(trainer.model, batches)

    score()  # the first is slow
    return clock(score) / batches


def _time_token(trainer: "Trainer") -> float:
    """Seconds for each token of a sample."""
    from training.samples import write_sample

    tokens = min(SAMPLED_TOKENS, trainer.settings.sample_tokens)
    shorter = trainer.settings.replace(sample_tokens=tokens)
    return clock(lambda: write_sample(trainer.model, trainer.text.tokenizer, shorter)) / max(1, tokens)


def clock(work: Callable[[], Any]) -> float:
    """Seconds that this takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _split_seconds(trainer: "Trainer", batch_seconds: float, step_seconds: float) -> float:
    """What scoring the whole validation split will take; 0 where the run will not do it."""
    from training.validation import SPLIT_SECONDS, SPLIT_SHARE

    tokens_per_batch = trainer.validation.evaluator.batch_size * trainer.text.val.n_ctx
    seconds = batch_seconds * len(trainer.text.val) / tokens_per_batch
    return seconds if seconds <= max(SPLIT_SECONDS, SPLIT_SHARE * trainer.max_steps * step_seconds) else 0.0


def _peak_bytes(trainer: "Trainer") -> int:
    if trainer.device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(trainer.device)
    return machine.peak_memory_bytes()


def watch_memory(limit_bytes: int) -> None:
    """End this process when it holds more than that, before the system has to choose whom to kill."""
    process = psutil.Process()

    def watch() -> None:
        while process.memory_info().rss < limit_bytes:
            time.sleep(WATCH_SECONDS)
        os._exit(EXIT_MEMORY)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """The scratch process; one line of JSON on stdout."""
    parser = argparse.ArgumentParser(description="Try a few steps of a run; `train.py --preflight` is for people.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=MEASURE_SECONDS)
    parser.add_argument("--limit_bytes", type=int, required=True)
    arguments = parser.parse_args()
    machine.share_cores()
    watch_memory(arguments.limit_bytes)
    try:
        timings = try_steps(RunFolder(arguments.run), arguments.seconds, psutil.Process().create_time())
    except (MemoryError, RuntimeError) as error:  # torch's own error for memory is a RuntimeError
        if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
            return EXIT_MEMORY
        raise
    except ValueError as error:  # all errors of this project are
        print(error, file=sys.stderr)
        return EXIT_FAILED
    print(json.dumps(asdict(timings)))
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
