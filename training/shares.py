"""What several processes of one run can share: asked before a run folder exists, without torch."""

from config.errors import ConfigError, Problem
from config.run_config import RunConfig
from config.sizes import TrainingMemory
from training.distributed import Ranks


def check_shareable(config: RunConfig, ranks: Ranks) -> None:
    """Every rank takes as many rows of each micro-batch as every other, and can update what it holds.

    Raises:
        ConfigError: the batch cannot be cut so, or the optimizer needs more than a share.
    """
    training = config.training
    if config.lora.is_on and ranks.parallel == "fsdp":
        message = "fsdp shares weights that are trained, and LoRA trains few: take --parallel ddp"
        raise ConfigError([Problem("lora_rank", message)])
    if training.optimizer == "muon" and ranks.parallel == "fsdp":
        message = "muon turns whole matrices, and fsdp holds parts of them: take --parallel ddp, or --optimizer adamw"
        raise ConfigError([Problem("optimizer", message)])
    micro_batch = training.batch_size // training.grad_accumulation
    if micro_batch % ranks.size:
        parts = ranks.size * training.grad_accumulation
        fitting = parts * max(1, round(training.batch_size / parts))
        cut = f" in {training.grad_accumulation:,} parts" if training.grad_accumulation > 1 else ""
        message = (
            f"a batch_size of {training.batch_size:,}{cut} cannot be shared by {ranks.size:,} processes: "
            f"take a batch_size of {fitting:,}, or other numbers of processes or of parts (grad_accumulation)"
        )
        raise ConfigError([Problem("batch_size", message)])


def memory_here(one: TrainingMemory, ranks: Ranks) -> int:
    """Bytes that the processes of this machine take together; `one` is a process that holds the whole model.

    DDP keeps a second copy of the gradients, in the buckets that it sends; FSDP shares weights, gradients and moments.
    """
    held = one.weights + one.gradients + one.optimizer
    held = held // ranks.size if ranks.parallel == "fsdp" else held + (0 if ranks.alone else one.gradients)
    return ranks.local_size * (held + one.activations + one.runtime)
