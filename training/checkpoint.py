"""Checkpoints: a step of a run on disk, written so that it is either whole or not there, and read back.

Kill a save anywhere and the checkpoint before it still loads: everything is written into a temporary folder, and
`runs.checkpoints.publish` makes it count in one rename and one commit record. Nothing here is ever unpickled.
"""

import base64
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from components.model import build_model
from config.errors import CheckpointError, TrainingError
from config.sizes import count_parameters
from runs import machine
from runs.checkpoints import choose, find_steps, make_temporary_folder, prune, publish, sweep, verify
from runs.files import write_json
from runs.folder import RunFolder
from text.tokenizer import Tokenizer
from text.tokenizer_types import load_tokenizer
from training.distributed import ALONE, Ranks
from training.gate import check_size, read_tensors
from training.lora import adapter_state, add_adapters, merge, trained_state
from training.optimizer import ModelOptimizer
from training.parallel import gather, sharded_like
from training.trainer_state import TrainerState, read_trainer_state

if TYPE_CHECKING:
    from training.trainer import Trainer

SPARE = 2  # free space asked for, as a multiple of the checkpoint's own size


def save_checkpoint(trainer: "Trainer") -> None:
    """Write the trainer's present step as a checkpoint, then prune older ones; of several ranks the first writes.

    Raises:
        TrainingError: if the disk is too full or writing fails on the way; the checkpoints before it are untouched.
    """
    run, step = trainer.run, trainer.progress.step
    is_writer = trainer.ranks.is_first
    weights = gather(trained_state(trainer.model), keep=is_writer)
    moments = trainer.optimizer.state_tensors(keep=is_writer)
    if not is_writer:
        return
    _check_free_space(run.path, sum(t.numel() * t.element_size() for t in (*weights.values(), *moments.values())))

    temporary = make_temporary_folder(run, step)
    try:
        save_file(weights, temporary / "model.safetensors")
        save_file(moments, temporary / "optimizer.safetensors")
        write_json(temporary / "trainer.json", trainer.state() | {"rng": random_state(trainer.device)})
        publish(run, step, temporary, _loss_at(trainer, step))
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)  # what it wrote takes the room that state.json needs
        raise TrainingError(
            f"the checkpoint of step {step:,} could not be written ({error}): the earlier ones are whole; "
            "make room and resume"
        ) from error
    prune(run, keep=trainer.settings.keep_checkpoints)


def load_latest(
    run: RunFolder,
    model: nn.Module,
    optimizer: ModelOptimizer,
    device: torch.device,
    say: Callable[[str], None] = print,
    ranks: Ranks = ALONE,
) -> TrainerState | None:
    """Put the newest checkpoint that verifies into model and optimizer and restore the random state.

    Returns its trainer.json, or None where the run has no checkpoint yet. The first rank looks for it, and all read it.

    Raises:
        CheckpointError: if there are checkpoints and all are damaged: starting over would wipe the run's history. Or if
            the one that verifies was not written by this program.
    """
    found = find_latest(run, say) if ranks.is_first else None
    step = ranks.broadcast_number(int(found.name[5:]) if found else -1)
    if step < 0:
        return None
    # The folder that verified, digit for digit: step_0000000004 is another one than step_00000004.
    digits = ranks.broadcast_number(len(found.name[5:]) if found else 0)
    folder = run.path / f"step_{step:0{digits}d}"
    weights = read_tensors(folder / "model.safetensors", shapes_of(trained_state(model)))
    if not ranks.alone:
        places = model.state_dict()
        weights = {name: sharded_like(value, places[name]) for name, value in weights.items()}
    model.load_state_dict(weights, strict=weights.keys() == model.state_dict().keys())  # adapters alone are not all
    # An optimizer that has not stepped yet has no state.
    moments = read_tensors(folder / "optimizer.safetensors", optimizer.state_shapes(), required=())
    optimizer.load_state_tensors(moments)
    state = read_trainer_state(folder / "trainer.json")
    restore_random_state(state.rng, device)
    return state


def find_latest(run: RunFolder, say: Callable[[str], None] = print) -> Path | None:
    """The newest checkpoint that verifies, or None where the run has none yet.

    Half-written folders of killed saves go; `say` hears about damaged ones.

    Raises:
        CheckpointError: if there are checkpoints and all are damaged.
    """
    sweep(run)
    folders = [path for _, path in reversed(find_steps(run.path))]
    for folder in folders:
        if (problem := verify(folder)) is None:
            return folder
        say(f"{folder.name} is damaged and is passed over: {problem}")
    if not folders:
        return None
    raise CheckpointError(
        f"none of the {len(folders)} checkpoints of run {run.id} can be used ({folder.name}: {problem}): "
        "delete its step folders to train it again from step 0"
    )


def load_model(path: Path | str, implementation: str | None = None, device: str | torch.device = "cpu") -> nn.Module:
    """The model of a checkpoint, in evaluation mode, ready to predict; adapters are merged into the weights below them.

    Args:
        path: a run folder (its best checkpoint that verifies), a step folder, or the weights file inside one.
        implementation: einops, torch or fused; by default the one the run was trained with.

    Raises:
        CheckpointError: if there is nothing there that verifies and fits its own configuration.
    """
    folder = choose(Path(path))
    run = RunFolder(folder.parent)
    config, lora = run.read_model_config(), run.read_config().lora
    weights = folder / "model.safetensors"
    if not lora.is_on:
        check_size(weights, count_parameters(config))
    model = build_model(config, implementation or run.read_config().implementation)
    if lora.is_on:
        model.load_state_dict(load_model(run.base_path).state_dict(), strict=True)
        add_adapters(model, lora, seed=0)
    tensors = read_tensors(weights, shapes_of(trained_state(model)))
    model.load_state_dict(tensors, strict=not lora.is_on)
    merge(model)
    return model.to(device).eval().requires_grad_(False)


def load_adapters(step: Path) -> dict[str, Tensor]:
    """The adapters in a step folder, by name.

    Raises:
        CheckpointError: it does not verify, or does not fit its own configuration.
    """
    folder = choose(step)
    run = RunFolder(folder.parent)
    model = build_model(run.read_model_config(), seed=0)
    add_adapters(model, run.read_config().lora, seed=0)
    return read_tensors(folder / "model.safetensors", shapes_of(adapter_state(model)))


def load_tokenizer_of(path: Path | str) -> Tokenizer:
    """The tokenizer of a checkpoint; it travels in the run folder.

    Raises:
        CheckpointError: if the tokenizer is missing or damaged.
    """
    path = Path(path)
    run = RunFolder(path if (path / "config.json").exists() else choose(path).parent)
    return load_tokenizer(run.tokenizer_path)


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def random_state(device: torch.device) -> dict[str, str]:
    """torch's random generators as text; batches, evaluation and samples have seeds of their own."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return {name: base64.b64encode(state.numpy().tobytes()).decode() for name, state in states.items()}


def restore_random_state(states: Mapping[str, bytes], device: torch.device) -> None:
    """Put back what `random_state` gave.

    Raises:
        CheckpointError: it is no state of torch's generators.
    """

    def tensor(name: str) -> Tensor:
        return torch.frombuffer(bytearray(states[name]), dtype=torch.uint8)

    try:
        torch.set_rng_state(tensor("cpu"))
        if device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(tensor("cuda"), device)
        if device.type == "mps" and "mps" in states:
            torch.mps.set_rng_state(tensor("mps"))
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"the random state of the checkpoint cannot be used: {error}") from None


def _check_free_space(folder: Path, needed: int) -> None:
    free = machine.free_disk_bytes(folder)
    if free < SPARE * needed:
        raise TrainingError(
            f"the disk has {free / 1e6:,.0f} MB free and a checkpoint of {needed / 1e6:,.0f} MB wants {SPARE} times "
            "that, to be there in full before an older one goes, with room for the next: free some space and resume; "
            "what was saved before is whole"
        )


def _loss_at(trainer: "Trainer", step: int) -> float | None:
    return trainer.progress.val_loss_nats if trainer.progress.evaluated_step == step else None
