"""How a model is trained: steps, batches, optimizer, schedule and what is written down on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from config.errors import Problem
from config.fields import Settings, setting

Values = Mapping[str, Any]


def accumulation_divides_batch(values: Values) -> Problem | None:
    """Each optimizer step adds up whole micro-batches."""
    batch_size, parts = values["batch_size"], values["grad_accumulation"]
    if batch_size % parts == 0:
        return None
    return Problem(
        "grad_accumulation",
        f"batch_size {batch_size:,} cannot be cut into {parts:,} equal micro-batches: "
        f"take a batch_size of {parts * max(1, round(batch_size / parts)):,}",
    )


def learning_rate_falls(values: Values) -> Problem | None:
    """The schedule goes down to min_lr."""
    if values["min_lr"] is None or values["min_lr"] <= values["lr"]:
        return None
    return Problem("min_lr", f"min_lr {values['min_lr']:g} is above lr {values['lr']:g}: the rate falls towards min_lr")


def warmup_ends_in_time(values: Values) -> Problem | None:
    """Warm-up is a part of the run."""
    if values["epochs"] is not None or (values["warmup_steps"] or 0) <= values["max_steps"]:
        return None
    return Problem(
        "warmup_steps",
        f"warmup_steps {values['warmup_steps']:,} is more than max_steps {values['max_steps']:,}: "
        f"the rate would never reach lr; take {values['max_steps'] // 20:,}",
    )


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Settings):
    """The recipe of one training.

    Raises:
        ConfigError: with *all* problems at once, each naming its field, the numbers and what to do.
    """

    RULES: ClassVar = (
        (("batch_size", "grad_accumulation"), accumulation_divides_batch),
        (("lr", "min_lr"), learning_rate_falls),
        (("warmup_steps", "max_steps", "epochs"), warmup_ends_in_time),
    )

    max_steps: int = setting(
        2_000,
        group="Length",
        title="Steps",
        symbol="max_steps",
        typical="2,000",
        minimum=1,
        maximum=100_000_000,
        basic=True,
    )
    """Optimizer steps of the whole run; each reads one batch."""

    epochs: float | None = setting(None, group="Length", title="Epochs", typical="unset", minimum=1e-6, maximum=1e6)
    """Passes over the training text; when set, it decides the number of steps."""

    batch_size: int = setting(
        12, group="Length", title="Batch size", symbol="B", typical="12 to 64", unit="sequences", minimum=1,
        maximum=1_000_000, basic=True,
    )  # fmt: skip
    """Sequences of one optimizer step, over all micro-batches together."""

    grad_accumulation: int = setting(
        1, group="Length", title="Gradient accumulation", typical="1", unit="micro-batches", minimum=1, maximum=100_000
    )
    """Cut each batch into this many micro-batches: the same result in less memory."""

    optimizer: str = setting(
        "adamw", group="Optimizer", title="Optimizer", typical="adamw",
        choices=("adamw", "adamw_plain", "muon", "sgd"),
    )  # fmt: skip
    """What turns gradients into steps; adamw suits every model here, adamw_plain is the same in readable code (slower),
    muon turns matrices as a whole, sgd needs a rate about a hundred times as high."""

    lr: float = setting(
        1e-3, group="Optimizer", title="Learning rate", symbol="η", typical="1e-3 tiny, 6e-4 full", minimum=1e-9,
        maximum=1e6, basic=True,
    )  # fmt: skip
    """Size of an optimizer step at its highest; smaller for wider models, because their outputs add up more terms."""

    min_lr: float | None = setting(
        None, group="Optimizer", title="Final learning rate", typical="1e-4, a tenth of lr", minimum=0.0, maximum=1e6
    )
    """Where the schedule ends; unset means a tenth of the learning rate."""

    warmup_steps: int | None = setting(
        None,
        group="Optimizer",
        title="Warm-up",
        typical="100",
        unit="steps",
        minimum=0,
        maximum=100_000_000,
        basic=True,
    )
    """Steps in which the rate rises from 0 while AdamW's averages settle; unset: 100, or 5 % of a short run."""

    schedule: str = setting(
        "cosine", group="Optimizer", title="Schedule", typical="cosine", choices=("cosine", "linear", "constant")
    )
    """How the learning rate falls from lr to min_lr after the warm-up."""

    weight_decay: float = setting(
        0.1, group="Optimizer", title="Weight decay", symbol="λ", typical="0.1", minimum=0.0, maximum=10.0
    )
    """Pulls matrices towards zero at each step, against memorizing (sgd: through momentum); not norms and biases."""

    beta1: float = setting(
        0.9, group="Optimizer", title="Momentum", symbol="β₁", typical="0.9", minimum=0.0, maximum=0.9999
    )
    """Memory of the gradient's running average: 0.9 remembers about ten steps, enough to smooth a small batch."""

    beta2: float = setting(
        0.99, group="Optimizer", title="Second-moment memory", symbol="β₂", typical="0.99; 0.95 for large batches",
        minimum=0.0, maximum=0.99999, only_when=("optimizer", ("adamw", "adamw_plain", "muon")),
    )  # fmt: skip
    """Memory of the squared gradient's running average: 0.99 remembers about a hundred steps, for short runs."""

    grad_clip: float = setting(
        1.0, group="Optimizer", title="Gradient clipping", typical="1.0; 0 is off", minimum=0.0, maximum=1e6
    )
    """Longest gradient (2-norm) that is applied; longer ones are shortened, so that one odd batch cannot do harm."""

    eval_interval: int = setting(
        100, group="Watching", title="Evaluate every", typical="100", unit="steps", minimum=1, maximum=100_000_000
    )
    """Steps between two looks at the validation text."""

    eval_iters: int = setting(
        20, group="Watching", title="Evaluation batches", typical="20", minimum=1, maximum=1_000_000
    )
    """Batches averaged for each validation loss: more is steadier and slower."""

    save_interval: int = setting(
        500, group="Watching", title="Save every", typical="500", unit="steps", minimum=1, maximum=100_000_000
    )
    """Steps between two checkpoints; the best and the last are kept."""

    keep_checkpoints: int = setting(
        10, group="Watching", title="Checkpoints to keep", typical="10", minimum=2, maximum=100_000
    )
    """Newest checkpoints that stay on the disk; the best one always stays as well."""

    sample_prompt: str = setting("", group="Watching", title="Sample prompt", typical="empty: a line break")
    """Text that the model continues at each evaluation, always from the same seed."""

    sample_tokens: int = setting(
        120, group="Watching", title="Sample length", typical="120; 0 is off", unit="tokens", minimum=0, maximum=10_000
    )
    """How many tokens it writes at each evaluation."""

    baselines: bool = setting(True, group="Watching", title="Baselines", typical="on; off to measure speed")
    """Compute what counting and compressing reach on the same text, beside the training: losses to overtake."""

    seed: int = setting(1337, group="Machine", title="Seed", typical="any", minimum=0, maximum=2**31 - 1, basic=True)
    """Start of everything random: initial weights, batches, dropout, samples."""

    device: str = setting(
        "auto", group="Machine", title="Device", typical="auto", choices=("auto", "cpu", "cuda", "mps")
    )
    """Where to compute; auto takes a GPU if there is one."""

    dtype: str = setting(
        "auto", group="Machine", title="Precision", typical="auto",
        choices=("auto", "float32", "bfloat16", "float16"),
    )  # fmt: skip
    """Number format of matrix products; auto takes bfloat16 where the hardware is faster with it, else float32;
    float16 is for GPUs without bfloat16."""

    compile: bool = setting(False, group="Machine", title="Compile", typical="off for short runs")
    """Let torch.compile fuse the step: faster after a slow first step."""

    @property
    def final_lr(self) -> float:
        """Where the schedule ends: min_lr, or a tenth of lr where it is unset."""
        return self.lr / 10 if self.min_lr is None else self.min_lr

    def warmup_of(self, max_steps: int) -> int:
        """Warm-up steps of a run of this length: warmup_steps, or where it is unset 100, but at most 5 % of the run."""
        return min(100, max_steps // 20) if self.warmup_steps is None else self.warmup_steps
