"""How far a run has come, and what is due there: plain numbers, the part of a trainer's state that JSON can hold."""

from dataclasses import dataclass

from config.train_config import TrainConfig
from training.evaluate import Score


@dataclass
class Progress:
    """Saved in every checkpoint."""

    step: int = 0  # finished optimizer steps
    tokens_seen: int = 0
    elapsed_seconds: float = 0.0  # training alone: evaluation, sampling and saving excluded
    evaluated_step: int = -1
    saved_step: int = -1
    val_loss_nats: float | None = None  # at evaluated_step
    val_bits_per_byte: float | None = None  # the same loss
    best_val_loss_nats: float | None = None
    best_step: int = -1  # the step it belongs to

    def note_step(self, tokens: int, seconds: float) -> None:
        """One more optimizer step."""
        self.step += 1
        self.tokens_seen += tokens
        self.elapsed_seconds += seconds

    def note_score(self, score: Score) -> None:
        """The validation loss of this step, perhaps the best so far."""
        self.evaluated_step = self.step
        self.val_loss_nats, self.val_bits_per_byte = score.loss_nats, score.bits_per_byte
        if self.best_val_loss_nats is None or score.loss_nats < self.best_val_loss_nats:
            self.best_val_loss_nats, self.best_step = score.loss_nats, self.step

    def evaluation_due(self, settings: TrainConfig, max_steps: int) -> bool:
        """At step 0, at every interval, and after the last step; once for each."""
        due = self.step % settings.eval_interval == 0 or self.step >= max_steps
        return due and self.evaluated_step != self.step

    def checkpoint_due(self, settings: TrainConfig, max_steps: int) -> bool:
        """At every interval, at a new best, and after the last step; once for each."""
        due = self.step % settings.save_interval == 0 or self.best_step == self.step or self.step >= max_steps
        return due and self.step not in (0, self.saved_step)

    def summary(self, max_steps: int) -> str:
        """One line about the last evaluation."""
        speed = self.tokens_seen / self.elapsed_seconds if self.elapsed_seconds else 0.0
        bits = f", {self.val_bits_per_byte:.4f} bits per byte" if self.val_bits_per_byte is not None else ""
        return (
            f"step {self.evaluated_step:,} of {max_steps:,}  validation {self.val_loss_nats:.4f} nats"
            f"{bits}  best {self.best_val_loss_nats:.4f}  {speed:,.0f} tokens/s"
        )
