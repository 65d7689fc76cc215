"""What pressing Start would do, in numbers: size, text, steps, memory and time. Pure arithmetic."""

import math
from dataclasses import dataclass

from config.model_config import ModelConfig
from config.run_config import RunConfig
from config.sizes import count_active_parameters, count_parameters, flops_per_token, training_memory
from ui.words import HOUR, MINUTE, count, duration, file_size

WARN_SHARE = 0.6  # of the free memory
FLOPS_PER_THREAD = 8e9  # per second, what a small model reaches on one thread of a laptop


@dataclass(frozen=True)
class Plan:
    """The numbers of one training that has not begun."""

    parameters: int
    active_parameters: int  # those that one token uses
    steps: int
    epochs: float
    train_tokens: int
    memory_bytes: int
    available_bytes: int
    seconds: float

    @property
    def memory_share(self) -> float:
        """Of the memory that is free now."""
        return self.memory_bytes / max(1, self.available_bytes)


def make_plan(
    config: RunConfig, model: ModelConfig, train_tokens: int, available_bytes: int, flops_per_second: float
) -> Plan:
    """The numbers for this configuration.

    Args:
        model: with the vocabulary of the tokenizer.
        flops_per_second: what this machine reaches.
    """
    training = config.training
    tokens_per_step = training.batch_size * model.n_ctx
    steps = training.max_steps
    if training.epochs is not None:
        steps = max(1, math.ceil(training.epochs * train_tokens / tokens_per_step))
    evaluations = 2 + steps // training.eval_interval
    work = steps + evaluations * training.eval_iters * 2 / 3  # train and validation batches, forward only
    return Plan(
        parameters=count_parameters(model),
        active_parameters=count_active_parameters(model),
        steps=steps,
        epochs=steps * tokens_per_step / max(1, train_tokens),
        train_tokens=train_tokens,
        memory_bytes=training_memory(
            model, training.batch_size // training.grad_accumulation, config.implementation
        ).total,
        available_bytes=available_bytes,
        seconds=work * tokens_per_step * flops_per_token(model) / flops_per_second,
    )


def headline(plan: Plan, text_bytes: int, tokens: int, exact: bool) -> str:
    """3.2 M parameters · 1.1 MB text = 412 k tokens · 5.2 epochs; of a mixture of experts also what a token uses."""
    about = "" if exact else "about "
    active = f", {count(plan.active_parameters)} for a token" if plan.active_parameters != plan.parameters else ""
    return (
        f"{count(plan.parameters)} parameters{active} · {file_size(text_bytes)} text = {about}{count(tokens)} tokens · "
        f"{_epochs(plan.epochs)}"
    )


def costs(plan: Plan, measured: bool) -> str:
    """About 2 min · 410 MB of 12 GB free memory; a guess says how to know."""
    time = duration(_to_the_minute(plan.seconds) if measured else _one_digit(plan.seconds))
    memory = f"{file_size(plan.memory_bytes)} of {file_size(plan.available_bytes)} free memory"
    time = f"about {time}" if measured else f"very roughly {time} (Measure first tells)"
    return f"{time} · {memory} · {plan.steps:,} steps"


def _epochs(epochs: float) -> str:
    shown = f"{epochs:.2g}" if epochs < 10 else f"{epochs:,.0f}"
    return f"{shown} epoch{'' if shown == '1' else 's'}"


def _to_the_minute(seconds: float) -> float:
    """Even a measured speed does not know seconds ten minutes ahead."""
    return max(seconds, 1.0) if seconds < 10 * MINUTE else MINUTE * round(seconds / MINUTE)


def _one_digit(seconds: float) -> float:
    """A guess does not pretend to know seconds: 571 s is 10 min."""
    unit = 1 if seconds < MINUTE else MINUTE if seconds < HOUR else HOUR
    amount = max(1.0, seconds / unit)
    return unit * round(amount, -math.floor(math.log10(amount)))
