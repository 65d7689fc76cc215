"""One training from its first step to its last: everything that changes while a model learns, and what changes it.

`train` at the end is the loop, on one screen; the methods above it are its words, in the order it speaks them.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from config.errors import TrainingError
from config.run_config import RunConfig
from runs.folder import RunFolder
from runs.metrics import MetricsWriter
from text.batches import Batch
from training.checkpoint import load_latest, save_checkpoint
from training.device import choose_device, choose_dtype, repeat_exactly
from training.distributed import ALONE, Ranks, SilentWriter
from training.feed import BatchFeed
from training.loss import LossFunction, count_targets
from training.memory import keep_freed_memory
from training.optimizer import build_optimizer
from training.parallel import lay_out
from training.precision import SKIPS_ALLOWED, LossScale, allow_tensor_cores, autocast
from training.prepare import PreparedText
from training.progress import Progress
from training.routing import RoutingTally
from training.samples import write_sample
from training.schedule import learning_rate, steps_of
from training.validation import Validation


class Trainer:
    """A model, its optimizer and its data, at some step of a run."""

    def __init__(
        self,
        run: RunFolder,
        config: RunConfig,
        model: nn.Module,
        text: PreparedText,
        say: Callable[[str], None] = print,
        ranks: Ranks = ALONE,
    ):
        """Puts the model on its device, and takes up the newest checkpoint that verifies, if there is one.

        Raises:
            ConfigError: for a device or number format that this machine does not have.
        """
        self.run, self.config, self.settings = run, config, config.training
        self.text, self.ranks = text, ranks
        self.device = ranks.device(choose_device(self.settings.device))
        dtype = choose_dtype(self.settings.dtype, self.device)
        self.dtype_name = str(dtype).removeprefix("torch.")
        self.precision = autocast(self.device, dtype)
        self.scale = LossScale() if dtype == torch.float16 else None
        allow_tensor_cores(self.device)
        repeat_exactly(self.device)
        keep_freed_memory()
        self.model = model.train()
        micro_batch = self.settings.batch_size // self.settings.grad_accumulation
        rows = micro_batch // ranks.size
        self.routing = RoutingTally(config.model, ranks)
        self.loss_of = LossFunction((rows, config.model.n_ctx), self.settings.compile, self.routing)
        self.layout = lay_out(model, self.loss_of, self.device, ranks)
        self.optimizer = build_optimizer(model, self.settings)
        self.feed = BatchFeed(
            text.train, self.device, batch_size=self.settings.batch_size, seed=self.settings.seed,
            rows=ranks.rows_of_batch(self.settings.batch_size, self.settings.grad_accumulation),
        )  # fmt: skip
        self.max_steps = steps_of(config, len(text.train))
        self.validation = Validation(text, self.settings, self.precision, self.layout.score, ranks)
        prompt = self.settings.sample_prompt or text.prompt
        self.sample_settings = self.settings.replace(sample_prompt=prompt)
        self.progress = Progress()
        self.metrics: MetricsWriter | SilentWriter = MetricsWriter(run) if ranks.is_first else SilentWriter()
        self.samples = MetricsWriter(run.samples_path) if ranks.is_first else SilentWriter()
        torch.manual_seed(self.settings.seed)  # dropout; weights and batches have generators of their own
        if resumed := load_latest(run, self.model, self.optimizer, self.device, say, ranks):
            self.progress = resumed.progress
            self.scale = (resumed.loss_scale or self.scale) if self.scale else None
        # What an earlier attempt wrote after that checkpoint is about to happen again.
        self.metrics.truncate(resumed.metrics_bytes if resumed else 0)
        self.samples.truncate(resumed.samples_bytes if resumed else 0)
        self.layout.connect()

    def update(self) -> None:
        """One optimizer step on one batch, and its line in the metrics.

        Raises:
            TrainingError: if loss or gradient stopped being finite, before anything is changed by it.
        """
        started = time.perf_counter()
        self.ranks.seed_dropout(self.settings.seed, self.progress.step)
        rate = learning_rate(self.progress.step, self.settings, self.max_steps)
        batch = self.feed.batch(self.progress.step)
        loss = self.accumulate_gradients(batch)
        self.feed.fetch_ahead(self.progress.step + 1)
        # The one wait for the device in a step; the clock in `_record` is honest because of it.
        measured = (loss, self.optimizer.gradient_norm(), *self.routing.of_step())
        loss_nats, grad_norm, *routing = self.ranks.mean(torch.stack(measured)).tolist()
        grad_norm /= self.scale.scale if self.scale else 1.0
        if self._may_update(loss_nats, grad_norm, rate):
            limit = self.settings.grad_clip or math.inf
            self.optimizer.set_rate(rate)
            self.optimizer.step(max(1.0, grad_norm / limit) * (self.scale.scale if self.scale else 1.0))
            self.routing.move_biases(self.model)
        if self.scale:
            self.scale.note(overflowed=not math.isfinite(grad_norm))
        self.optimizer.zero_grad()
        self._record(loss_nats, grad_norm, rate, batch[0].numel() * self.ranks.size, started, routing)

    def accumulate_gradients(self, batch: Batch) -> Tensor:
        """Gradients of the mean loss over all targets of the batch that count, one micro-batch after the other.

        Returns this rank's part of it, times the number of ranks; the gradients are those of all ranks.
        """
        self.routing.clear()
        total = torch.zeros((), device=self.device)
        parts = self.settings.grad_accumulation
        share = self.feed.count_targets(self.progress.step) / self.ranks.size
        micro_batches = zip(*(tensor.chunk(parts) for tensor in batch), strict=True)
        for part, some in enumerate(micro_batches, start=1):
            with self.layout.accumulating(is_last=part == parts):
                with self.precision:
                    loss = self.loss(*some) * (count_targets(*some) / share)
                (loss * self.scale.scale if self.scale else loss).backward()
            total += loss.detach()
        return total

    def loss(self, *batch: Tensor) -> Tensor:
        """Mean loss of a micro-batch, in nats per token that counts."""
        return self.layout.loss(*batch)

    def _may_update(self, loss_nats: float, grad_norm: float, rate: float) -> bool:
        """Whether loss and gradient are numbers; with float16 gradients may overflow now and then."""
        if math.isfinite(loss_nats) and math.isfinite(grad_norm):
            return True
        what, value = ("gradient norm", grad_norm) if math.isfinite(loss_nats) else ("loss", loss_nats)
        if self.scale and what == "gradient norm" and self.scale.skipped_in_a_row + 1 < SKIPS_ALLOWED:
            return False
        often = f" {SKIPS_ALLOWED} times in a row" if self.scale and what == "gradient norm" else ""
        raise TrainingError(
            f"the {what} became {value}{often} at step {self.progress.step + 1} (learning rate {rate:.3g}): "
            f"start a new run with a smaller rate, for example --lr {self.settings.lr / 2:.3g}"
        )

    def _record(
        self, loss_nats: float, grad_norm: float, rate: float, tokens: int, started: float, routing: list[float]
    ) -> None:
        progress, seconds = self.progress, time.perf_counter() - started
        progress.note_step(tokens, seconds)
        line = {
            "step": progress.step,
            "tokens_seen": progress.tokens_seen,
            "elapsed_seconds": round(progress.elapsed_seconds, 4),
            "train_loss_nats": loss_nats,
            "learning_rate": rate,
            "grad_norm": grad_norm,
            "tokens_per_second": round(tokens / seconds, 1),
            "batch_hash": self.feed.fingerprint(progress.step - 1),  # shows what a race is run on
        }
        line |= self.routing.named(routing)
        self.metrics.write(line | ({"skipped_steps": self.scale.skipped_steps} if self.scale else {}))

    def evaluate(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Validation loss and a sample of text, at most once for each step; after the last, of the whole split."""
        progress, settings = self.progress, self.settings
        self.routing.clear()
        score = self.validation.score(self.model, should_stop)
        if score is None:  # cut short: not a number to show or to choose a checkpoint by
            return
        if not math.isfinite(score.loss_nats):  # the last update broke the weights: they must not be saved
            raise TrainingError(
                f"the validation loss became {score.loss_nats} at step {progress.step}: start a new run with a smaller "
                f"rate, for example --lr {settings.lr / 2:.3g}"
            )
        progress.note_score(score)
        line = {"step": progress.step, "val_loss_nats": score.loss_nats, "val_bits_per_byte": score.bits_per_byte}
        line |= self.routing.of_evaluation()
        line |= self.validation.score_parents_text(self.model, should_stop)
        if self.finished:
            line |= self.validation.score_split(self.model, progress.elapsed_seconds, should_stop)
        self.metrics.write(line)
        self.metrics.flush()
        if settings.sample_tokens and (model := self.layout.whole_model()) is not None:
            self.samples.write(
                {"step": progress.step} | write_sample(model, self.text.tokenizer, self.sample_settings, should_stop)
            )
            self.samples.flush()

    def save(self) -> None:
        """A checkpoint of this step; earlier ones that are no longer needed go."""
        self.progress.saved_step = self.progress.step
        save_checkpoint(self)

    def state(self) -> dict[str, Any]:
        """What resume needs beside weights and optimizer, as plain values."""
        return {
            "progress": asdict(self.progress),
            "metrics_bytes": self.metrics.offset(),
            "samples_bytes": self.samples.offset(),
            "loss_scale": asdict(self.scale) if self.scale else None,
        }

    @property
    def finished(self) -> bool:
        """Whether the last step is done."""
        return self.progress.step >= self.max_steps


def train(trainer: Trainer, attend: Callable[[], bool], should_stop: Callable[[], bool]) -> None:
    """Train until the last step, or until `attend` says to stop.

    `attend` is called before every step: there the caller reads messages, shows progress, waits while paused, and
    returns False to stop. `should_stop` is the cheap question that long evaluations ask in between.
    """
    while True:
        if trainer.progress.evaluation_due(trainer.settings, trainer.max_steps):
            trainer.evaluate(should_stop)
        if trainer.progress.checkpoint_due(trainer.settings, trainer.max_steps):
            trainer.save()
        if not attend() or trainer.finished:
            return
        trainer.update()
