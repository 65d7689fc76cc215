"""What a run is judged by at an evaluation: its validation split, its parent's text, and at the end the whole split."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import nn

from config.train_config import TrainConfig
from training.distributed import Ranks
from training.evaluate import Evaluator, LossOf, Score
from training.prepare import PreparedText

# Scoring the whole validation split after the last step may take this long, or this share of the training.
SPLIT_SECONDS, SPLIT_SHARE = 20.0, 0.05

ShouldStop = Callable[[], bool]


class Validation:
    """The scores of one training. Every method gives what goes into the metrics, nothing where it was cut short."""

    def __init__(
        self,
        text: PreparedText,
        settings: TrainConfig,
        precision: AbstractContextManager[object],
        loss_of: LossOf,
        ranks: Ranks,
    ) -> None:
        shared: dict[str, Any] = {
            "batch_size": settings.batch_size, "micro_batch": settings.batch_size // settings.grad_accumulation,
            "seed": settings.seed, "precision": precision, "loss_of": loss_of, "ranks": ranks,
        }  # fmt: skip
        self.eval_iters = settings.eval_iters
        self.evaluator = Evaluator(text.val, text.tokenizer, **shared)
        self.of_parent = Evaluator(text.parents_val, text.tokenizer, **shared) if text.parents_val else None
        self.split_score: Score | None = None  # known after the last step
        self._why_not = "the last step was not reached"

    def score(self, model: nn.Module, should_stop: ShouldStop) -> Score | None:
        """On the same few batches of the validation split every time."""
        return self.evaluator.score_sample(model, self.eval_iters, should_stop)

    def score_parents_text(self, model: nn.Module, should_stop: ShouldStop) -> dict[str, float]:
        """The loss of the text that the parent was trained on: what is forgotten over the new one."""
        score = self.of_parent and self.of_parent.score_sample(model, self.eval_iters, should_stop)
        if not score:
            return {}
        return {"parent_val_loss_nats": score.loss_nats, "parent_val_bits_per_byte": score.bits_per_byte}

    def score_split(self, model: nn.Module, trained_seconds: float, should_stop: ShouldStop) -> dict[str, float]:
        """The exact loss of the whole validation split, unless that would take too long beside the training itself."""
        limit_seconds = max(SPLIT_SECONDS, SPLIT_SHARE * trained_seconds)
        self._why_not = f"it would have taken more than {limit_seconds:,.0f} s"

        def stops() -> bool:
            if stopped := should_stop():
                self._why_not = "a stop came first"
            return stopped

        self.split_score = self.evaluator.score_split(model, limit_seconds, stops)
        if self.split_score is None:
            return {}
        return {
            "val_split_loss_nats": self.split_score.loss_nats,
            "val_split_bits_per_byte": self.split_score.bits_per_byte,
            "val_split_tokens": self.split_score.tokens,
        }

    def summary(self) -> str:
        """One line about the whole validation split, after the last step."""
        if self.split_score is None:
            return f"the whole validation split was not scored: {self._why_not}"
        return f"whole validation split: {self.split_score}"
