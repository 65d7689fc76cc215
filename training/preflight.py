"""Before a run: what real steps of it say about time, memory and disk.

`measure` starts `training.preflight_steps` as a process of its own, so whatever happens there, running out of memory
included, happens to a scratch process. From its timings:

    eta = start + steps · step + evaluations · (evaluation + sample) + checkpoints · save + last look at the whole split

The memory is the highest resident size of the process (on a GPU: of its tensors), which is what the run will have too.
"""

import json
import math
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from config.errors import TrainingError
from config.run_config import RunConfig
from config.sizes import REFUSE_SHARE, training_memory
from runs import machine
from runs.files import write_json
from runs.folder import RunFolder
from runs.fork import take_over
from training.preflight_steps import EXIT_DONE, EXIT_MEMORY, MEASURE_SECONDS, Timings

ROOT = Path(__file__).resolve().parent.parent
WARN_SHARE = 0.6  # of the free memory or disk; above it the verdict is "tight"
METRICS_BYTES_PER_STEP = 220


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """The answer: how long, how much, and whether it fits."""

    timings: Timings | None  # None where it ran out of memory
    config: RunConfig
    free_memory_bytes: int
    free_disk_bytes: int
    suggested_accumulation: int | None = None  # the same batch in more pieces would fit

    @property
    def verdict(self) -> str:
        """fits, tight (more than 60 % of the free memory or disk), or does not fit."""
        if self.timings is None:
            return "does not fit"
        share = max(self.timings.peak_bytes / self.free_memory_bytes, self.disk_bytes / max(1, self.free_disk_bytes))
        return "does not fit" if share > 1 else "tight" if share > WARN_SHARE else "fits"

    @property
    def disk_bytes(self) -> int:
        """Checkpoints that are kept, the best and the one being written among them, and the metrics."""
        if self.timings is None:
            return 0
        saved = min(self.config.training.keep_checkpoints + 2, 1 + self._checkpoints)
        return saved * self.timings.checkpoint_bytes + METRICS_BYTES_PER_STEP * self.timings.max_steps

    @property
    def epochs(self) -> float:
        """Passes over the training text."""
        assert self.timings
        tokens = self.timings.max_steps * self.config.training.batch_size * self.config.model.n_ctx
        return tokens / self.timings.train_tokens

    def eta_seconds(self, step_seconds: float | None = None) -> float:
        """How long the run will take, from its start to its end; at the median step, or at the one given."""
        assert self.timings
        timings = self.timings
        step = statistics.median(timings.step_seconds) if step_seconds is None else step_seconds
        evaluation = timings.evaluation_seconds + timings.sample_seconds
        return (
            timings.start_seconds
            + timings.max_steps * step
            + self._evaluations * evaluation
            + self._checkpoints * timings.save_seconds
            + timings.split_seconds
        )

    @property
    def eta_interval(self) -> tuple[float, float]:
        """The same at the 10th and the 90th percentile of the step times."""
        assert self.timings
        tenths = statistics.quantiles(self.timings.step_seconds, n=10, method="inclusive")
        return self.eta_seconds(tenths[0]), self.eta_seconds(tenths[-1])

    @property
    def tokens_per_second(self) -> float:
        """While it trains, evaluations excluded."""
        assert self.timings
        training = self.config.training
        return training.batch_size * self.config.model.n_ctx / statistics.median(self.timings.step_seconds)

    @property
    def _evaluations(self) -> int:
        """At step 0, at every interval, at the end."""
        assert self.timings
        return 1 + math.ceil(self.timings.max_steps / self.config.training.eval_interval)

    @property
    def _checkpoints(self) -> int:
        """At every save interval, and as if every evaluation but the first were a new best."""
        assert self.timings
        steps, training = self.timings.max_steps, self.config.training
        one, other = training.eval_interval, training.save_interval
        return math.ceil(steps / one) + steps // other - steps // math.lcm(one, other)


def measure(
    config: RunConfig, checkpoints: Path, *, seconds: float = MEASURE_SECONDS, limit_bytes: int | None = None
) -> Preflight:
    """Try the run: takes the start of a training and about `seconds` more.

    Args:
        checkpoints: The folder of all runs; the tokens of the text are left there for the run to find.
        limit_bytes: Memory that the scratch process may take. By default 90 % of what is free.

    Raises:
        CheckpointError: the checkpoint that it begins from is gone or damaged.
        ConfigError: for what would be refused at the start of the run, a missing device for example.
        TrainingError: if the scratch process failed otherwise; its last words are in the message.
    """
    free = limit_bytes or int(REFUSE_SHARE * machine.available_memory_bytes())
    checkpoints.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=checkpoints, prefix=".preflight-") as folder:
        run = RunFolder(Path(folder))
        # The scratch process works in another folder than the person, where a relative path means another file.
        data = config.data.replace(text_file=str(Path(config.data.text_file).absolute()))
        write_json(run.config_path, replace(config, data=data).to_dict())
        if config.parent:
            take_over(run, config.parent)
        command = [sys.executable, "-m", "training.preflight_steps", str(run.path.absolute())]
        ended = subprocess.run(
            [*command, "--seconds", str(seconds), "--limit_bytes", str(free)],
            cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
    sizes: dict[str, Any] = {
        "config": config,
        "free_memory_bytes": free,
        "free_disk_bytes": machine.free_disk_bytes(checkpoints),
    }
    if ended.returncode == EXIT_DONE:
        return Preflight(timings=Timings(**json.loads(ended.stdout.splitlines()[-1])), **sizes)
    if ended.returncode in (EXIT_MEMORY, -9):  # -9: the system was faster than the watch
        return Preflight(timings=None, suggested_accumulation=suggest_accumulation(config, free), **sizes)
    last_words = ended.stderr.strip().splitlines()[-1:] or [f"exit status {ended.returncode}"]
    raise TrainingError(f"the steps could not be tried: {last_words[0][:500]}")


def suggest_accumulation(config: RunConfig, free_bytes: int) -> int | None:
    """The fewest micro-batches, more than now, whose training fits by arithmetic; None where none does.

    The effective batch stays the same, and so does the curve, up to rounding.
    """
    training = config.training
    model = config.with_vocabulary(config.data.expected_vocabulary)
    for parts in range(training.grad_accumulation + 1, training.batch_size + 1):
        if training.batch_size % parts == 0:
            needed = training_memory(model, training.batch_size // parts, config.implementation).total
            if needed <= WARN_SHARE * free_bytes:
                return parts
    return None


def describe(preflight: Preflight) -> list[str]:
    """The answer in sentences, for a terminal."""
    gigabytes = preflight.free_memory_bytes / 1e9
    timings = preflight.timings
    if timings is None:
        batch, parts = preflight.config.training.batch_size, preflight.suggested_accumulation
        way_out = (
            f"take --grad_accumulation {parts}: micro-batches of {batch // parts}, the same batch and the same curve"
            if parts
            else "take a smaller width, fewer layers or a shorter context"
        )
        return [f"does not fit: a step ran out of the {gigabytes:,.1f} GB of memory that are free; {way_out}"]
    low, high = preflight.eta_interval
    step = statistics.median(timings.step_seconds)
    return [
        f"{preflight.verdict}: {timings.peak_bytes / 1e9:,.2f} of {gigabytes:,.1f} GB of memory, "
        f"{preflight.disk_bytes / 1e9:,.2f} of {preflight.free_disk_bytes / 1e9:,.1f} GB of disk",
        f"{preflight.eta_seconds():,.0f} s in all ({low:,.0f} to {high:,.0f}): {timings.max_steps:,} steps of "
        f"{1_000 * step:,.1f} ms (median of {len(timings.step_seconds)}), {preflight.tokens_per_second:,.0f} tokens/s",
        f"{preflight.epochs:,.2f} passes over {timings.train_tokens:,} training tokens",
    ]
