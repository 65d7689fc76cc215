"""Whether a run can be trained here, answered at once: before its folder exists, or before its state says it failed."""

from pathlib import Path

from config.errors import ConfigError
from config.run_config import RunConfig
from config.sizes import memory_problem, training_memory
from runs import machine
from runs.folder import RunFolder
from runs.state import read_status
from training.distributed import ALONE, Ranks
from training.shares import memory_here


def refuse_what_cannot_work(config: RunConfig, ranks: Ranks = ALONE) -> None:
    """Answer at once, before a run folder exists: a text of no use, a model that does not fit, no such device.

    Raises:
        TextError, ConfigError: with the numbers.
    """
    from training.lora import count_adapters
    from training.prepare import check_trainable

    if config.parent is None:
        check_trainable(config.data, config.model.n_ctx)
    elif config.parent.carried == "weights":  # else the text is known already
        check_trainable(config.data, config.model.n_ctx, RunFolder(Path(config.parent.path).parent))
    check_device(config)
    model = config.with_vocabulary(config.data.expected_vocabulary)
    if config.training.device != "cpu" and machine.has_gpu():
        return  # its own memory counts, which only torch can tell
    rows = config.training.batch_size // config.training.grad_accumulation // ranks.size
    trained = count_adapters(model, config.lora) if config.lora.is_on else None
    needed = memory_here(training_memory(model, rows, config.implementation, trained), ranks)
    if problem := memory_problem(needed, machine.available_memory_bytes()):
        raise ConfigError([problem])


def check_device(config: RunConfig) -> None:
    """Only torch knows whether a device is there; it is asked where a special one was chosen, and imported anyway then.

    Raises:
        ConfigError: it is not there.
    """
    if config.training.device not in ("auto", "cpu"):
        from training.device import choose_device

        choose_device(config.training.device)


def check_resumable(run: RunFolder, ranks: Ranks = ALONE) -> None:
    """Answer at once, before the run's state says that it failed.

    Raises:
        RunError, TextError, ConfigError: its files or its text cannot be used, or this machine lacks its device.
    """
    config = run.read_config()
    if read_status(run).state != "finished":
        check_device(config)
        if not run.data_path.exists():  # its worker ended before it had read the text
            refuse_what_cannot_work(config, ranks)
