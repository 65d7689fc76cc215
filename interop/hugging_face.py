"""Models from Hugging Face folders, and our checkpoints as such folders.

    python -m interop.hugging_face import HF_FOLDER [RUN_FOLDER]
    python -m interop.hugging_face export CHECKPOINT HF_FOLDER
    python -m interop.hugging_face adapter CHECKPOINT PEFT_FOLDER

Each of the two Hugging Face folders may also be a zip file.

An import makes a run like any other: it has a checkpoint and a tokenizer, its state is `finished`, and it can be
generated from, compared, looked into and fine-tuned. Without RUN_FOLDER it is made under checkpoints/, where the pages
look for runs. An export is a folder that `AutoModelForCausalLM` and `AutoTokenizer` open; both give what we give. What
a LoRA run has trained can also be written alone, for `peft` on top of an export of what it began from (RUN/base).

Only data is read: config.json, safetensors and tokenizer.json. Code that comes with a model (auto_map) is never run,
pickles are never opened, and the tensors must be exactly those that the configuration asks for. Exit status: 0 done,
2 wrong usage or input, 1 anything else; the last line on stdout is the folder that was made.
"""

import contextlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from components.model import Transformer, build_model
from config.data_config import DataConfig
from config.errors import CheckpointError, ConfigError, RunError, TextError
from config.flags import SentenceParser
from config.model_config import ModelConfig
from config.presets import load_preset
from config.run_config import RunConfig
from config.sizes import count_parameters
from interop import imported_run, tokenizer_files, weights
from interop.archive import unpack
from interop.family import Family
from interop.registry import family_of
from runs import machine
from runs.checkpoints import choose, find_checkpoint
from runs.files import read_json
from runs.folder import CHECKPOINTS, RunFolder
from text.tokenizer import Tokenizer

EXIT_DONE, EXIT_WRONG_INPUT = 0, 2

Say = Callable[[str], None]


@dataclass(frozen=True)
class Description:
    """What a folder's config.json says."""

    family: Family
    config: ModelConfig
    ends: tuple[int, ...]
    """Tokens that end a text."""
    unread: list[str]
    """Keys of config.json that mean nothing here."""


def describe(folder: Path) -> Description:
    """Read config.json, and nothing else yet.

    Raises:
        CheckpointError: there is none, or it is of a family or a configuration that is not known here.
    """
    if not folder.is_dir():
        raise CheckpointError(f"There is no folder {folder}.")
    try:
        values = read_json((folder / "config.json").resolve())
    except RunError as error:
        raise CheckpointError(f"{folder} is no model of Hugging Face: {error}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{folder} is no model of Hugging Face: its config.json is not a table.")
    family = family_of(values.get("model_type"))
    try:
        config = family.read(values)
    except ConfigError as error:
        raise CheckpointError(f"{folder}/config.json cannot be used: {error}") from None
    return Description(family, config, _ends(folder, values), family.unread_keys(values))


def load(folder: Path | str, implementation: str = "fused") -> nn.Module:
    """The model of a Hugging Face folder, in float32 and evaluation mode.

    Raises:
        CheckpointError: it is not one that can be read here, in a sentence.
    """
    folder = Path(folder)
    found = describe(folder)
    tensors = read_tensors(folder, found)
    model = build_model(found.config, implementation, seed=0)
    model.load_state_dict(tensors, strict=True)
    return model.eval().requires_grad_(False)


def read_tensors(folder: Path, found: Description) -> dict[str, Tensor]:
    """The tensors of the described model under our names.

    Raises:
        CheckpointError: they do not fit into memory, or are not what the description asks for.
    """
    needed, free = 4 * count_parameters(found.config), machine.available_memory_bytes()
    if needed > 0.9 * free:
        raise CheckpointError(
            f"{folder} is a model of {needed / 4e9:,.1f} billion parameters, which take {needed / 1e9:,.1f} GB in "
            f"float32; {free / 1e9:,.1f} GB are free."
        )
    with torch.device("meta"):
        shapes = Transformer(found.config).state_dict()
    return weights.read_weights(folder, found.family, found.config, shapes)


def import_model(
    source: Path,
    run_folder: Path | None = None,
    *,
    name: str | None = None,
    checkpoints: Path = CHECKPOINTS,
    say: Say = lambda sentence: None,
) -> RunFolder:
    """A finished run with the model and the tokenizer of a Hugging Face folder, or of a zip file of one.

    Args:
        run_folder: where to make it; by default a new run in `checkpoints`.
        name: what to call it; by default as the folder is called.
        say: hears what was found, sentence by sentence.

    Raises:
        CheckpointError, TextError, RunError: it cannot be read, or the run cannot be made; nothing is left behind.
    """
    if run_folder is not None:
        imported_run.check_free(run_folder)
    if source.is_file():
        with tempfile.TemporaryDirectory(prefix="model-") as folder:
            return _import_folder(unpack(source, Path(folder)), name or source.stem, run_folder, checkpoints, say)
    return _import_folder(source, name or source.absolute().name, run_folder, checkpoints, say)


def _import_folder(folder: Path, name: str, run_folder: Path | None, checkpoints: Path, say: Say) -> RunFolder:
    found = describe(folder)
    say(f"{found.family.model_type}, {count_parameters(found.config):,} parameters, {found.config.n_layers} layers")
    if found.unread:
        say(f"keys of config.json that say nothing here: {', '.join(found.unread)[:500]}")
    tokenizer = tokenizer_files.read_tokenizer(folder, found.config.d_vocab, found.ends)
    say(f"tokenizer: {tokenizer.type}, {tokenizer.vocab_size:,} tokens")
    tensors = read_tensors(folder, found)
    origin = {"imported_from": name, "model_type": found.family.model_type}
    return imported_run.write(run_folder, run_config(found, name, tokenizer), tokenizer, tensors, origin, checkpoints)


def run_config(found: Description, name: str, tokenizer: Tokenizer) -> RunConfig:
    """The configuration of the run that a description becomes."""
    data = DataConfig(text_file=f"{name} (imported)", tokenizer_type=tokenizer.type)
    preset, size = found.family.name_of(found.config)
    model = found.config if size is None else load_preset(preset, size).replace(d_vocab=found.config.d_vocab)
    return RunConfig(model=model, data=data, preset=preset, size=size)


def export_checkpoint(checkpoint: Path, folder: Path) -> Family:
    """Write a checkpoint as a Hugging Face folder; returns the family that it is written as.

    Args:
        checkpoint: a run (its best checkpoint that verifies) or one of its step folders.
        folder: a folder that does not exist yet, or an empty one; or the name of a zip file to make.

    Raises:
        ConfigError: no family has this configuration; the nearest one and the fields in its way are named.
        CheckpointError, TextError, RunError: the checkpoint cannot be read, or the folder cannot be written.
    """
    from interop.export import write_folder

    return write_folder(choose(checkpoint), folder)


def export_adapter(checkpoint: Path, folder: Path) -> Family:
    """Write the adapters of a LoRA checkpoint for `peft`; see interop/adapter.py.

    Raises:
        ConfigError, CheckpointError, RunError: as `write_adapter`.
    """
    from interop.adapter import write_adapter

    return write_adapter(choose(checkpoint), folder)


def _ends(folder: Path, config: dict[str, Any]) -> tuple[int, ...]:
    """The tokens that end a text: those of config.json, then what generation_config.json adds."""
    found = [config.get("eos_token_id")]
    with contextlib.suppress(RunError):
        generation = read_json((folder / "generation_config.json").resolve())
        found.append(generation.get("eos_token_id") if isinstance(generation, dict) else None)
    ids = [end for given in found for end in (given if isinstance(given, list) else [given])]
    return tuple(dict.fromkeys(end for end in ids if type(end) is int))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    machine.share_cores()
    parser = SentenceParser(prog="python -m interop.hugging_face", description="Models from and to Hugging Face.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="import|export|adapter")
    into = commands.add_parser("import", help="make a run of a Hugging Face folder")
    into.add_argument("hf_folder", type=Path, metavar="HF_FOLDER", help="a folder or a zip file")
    into.add_argument("run_folder", type=Path, nargs="?", metavar="RUN_FOLDER", help="default: a new run")
    into.add_argument("--name", help="what to call the run; default: the name of the folder")
    into.add_argument("--checkpoints", type=Path, default=CHECKPOINTS, metavar="DIR", help="where a new run is made")
    out = commands.add_parser("export", help="make a Hugging Face folder of a checkpoint")
    out.add_argument("checkpoint", metavar="CHECKPOINT", help="a run (folder, id or name) or a step folder in one")
    out.add_argument("hf_folder", type=Path, metavar="HF_FOLDER", help="a folder or a zip file to make")
    beside = commands.add_parser("adapter", help="write the adapters of a LoRA checkpoint for peft")
    beside.add_argument("checkpoint", metavar="CHECKPOINT", help="a run (folder, id or name) or a step folder in one")
    beside.add_argument("hf_folder", type=Path, metavar="PEFT_FOLDER", help="a folder to make")
    given = parser.parse_args(argv)
    try:
        if given.command == "import":
            made = import_model(
                given.hf_folder, given.run_folder, name=given.name, checkpoints=given.checkpoints, say=_tell
            )
            print(made.path)
        else:
            export = export_checkpoint if given.command == "export" else export_adapter
            family = export(find_checkpoint(given.checkpoint, say=_tell), given.hf_folder)
            _tell(f"written as {family.model_type}")
            if family.tokenizer_class != "AutoTokenizer":
                _tell(f"open its tokenizer with {family.tokenizer_class}: AutoTokenizer takes a class of its own")
            print(given.hf_folder)
    except (ConfigError, CheckpointError, TextError, RunError) as error:
        for line in [problem.message for problem in getattr(error, "problems", ())] or [str(error)]:
            _tell(line)
        return EXIT_WRONG_INPUT
    return EXIT_DONE


def _tell(sentence: str) -> None:
    print(f"interop: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
