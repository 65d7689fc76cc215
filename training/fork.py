"""A run that begins from a checkpoint: what can be carried over, what that changes, and the model it starts with.

    carried   when                                             the new run
    all       text, tokenizer, optimizer and all tensors are   goes on at the parent's step with its batches, moments
              the parent's, and it has steps left              and random state: unchanged, it repeats the parent
    weights   always possible                                  begins at step 0, with its own schedule and batches

The decision is made before Start, told in a report, and stands in the new run's config.json.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from components.model import Transformer, build_model
from config.errors import ConfigError, Problem
from config.inheritance import same_text, same_tokenizer
from config.model_config import ModelConfig
from config.parent import Carried
from config.run_config import RunConfig
from config.sizes import count_parameters
from runs.folder import RunFolder
from runs.fork import describe_parent, is_resumable
from runs.verification import read_commit
from text.corpus import check_text
from text.pairs import read_pairs
from text.prepared import find_prepared
from text.tokenizer import Tokenizer
from text.tokenizer_types import load_tokenizer
from training.checkpoint import load_model, shapes_of
from training.lora import add_adapters, count_adapters
from training.prepare import base_of, choose_tokenizer
from training.schedule import steps_of
from training.transfer import FATES, TensorChange, compare, is_by_token, match_tokens, shapes_of_config, transfer

LONGEST_LIST = 5  # names in a sentence
LEARNED_BEFORE_START = 2_000_000  # characters; from a longer text the worker learns a tokenizer, which takes a while


@dataclass(frozen=True)
class ForkReport:
    """What a run takes over from its parent.

    Attributes:
        carried: `all` or `weights`.
        why_not_all: why only the weights are carried; "" where all is.
        tokenizer: a sentence about the tokenizer.
        tensors: the fate of every tensor; empty where the tokenizer has to be learned from a long text first.
        trained: how many numbers are trained: those of adapters, or all.
        parameters: of the model, without adapters.
        changed: the settings of the model that are not the parent's, as "n_heads 4 → 2".
    """

    parent: str
    step: int
    carried: Carried
    why_not_all: str
    tokenizer: str
    tensors: tuple[TensorChange, ...]
    trained: int
    parameters: int
    changed: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """The report for a terminal."""
        begins = (
            f"goes on at step {self.step:,} with the parent's optimizer, random state and place in the text"
            if self.carried == "all"
            else f"begins at step 0 with the parent's weights ({self.why_not_all})"
        )
        first = f"from step {self.step:,} of {self.parent}: {begins}"
        return [first, self.tokenizer, *self.tensor_sentences(), *self.lora_sentences()]

    def lora_sentences(self) -> list[str]:
        """How many numbers are trained; nothing where these are all."""
        if self.trained == self.parameters:
            return []
        share = self.trained / (self.parameters + self.trained)
        return [f"adapters: {self.trained:,} numbers are trained beside {self.parameters:,} that stay, {share:.2%}"]

    def tensor_sentences(self) -> list[str]:
        """How many tensors are kept, and which are not."""
        if not self.tensors:
            return ["tensors: which rows of the embedding are kept is known when the tokenizer has learned the text"]
        counts = Counter(tensor.fate for tensor in self.tensors)
        lines = ["tensors: " + ", ".join(f"{counts[fate]} {fate}" for fate in FATES if counts[fate] or fate == "kept")]
        for fate in FATES[1:]:
            found = [tensor for tensor in self.tensors if tensor.fate == fate]
            lines += [_name_tensors(fate, found)] if found else []
        return lines + self.changed_sentences()

    def changed_sentences(self) -> list[str]:
        """What the model does otherwise with tensors of the same shape, as other heads out of the same matrix."""
        if not self.changed:
            return []
        return [f"otherwise than in the parent: {', '.join(self.changed)}. What is kept is now read so"]


def _name_tensors(fate: str, tensors: list[TensorChange]) -> str:
    named = ", ".join(
        f"{tensor.name} {list(tensor.shape)}" + (f" ({tensor.kept / tensor.size:.0%} kept)" if tensor.kept else "")
        for tensor in tensors[:LONGEST_LIST]
    )
    more = f" and {len(tensors) - LONGEST_LIST} more" if len(tensors) > LONGEST_LIST else ""
    return f"  {fate}: {named}{more}"


def changed_settings(old: ModelConfig, new: ModelConfig) -> tuple[str, ...]:
    """Each setting of the model that differs; the vocabulary has a sentence of its own."""
    before, now = old.to_dict(), new.to_dict()
    return tuple(
        f"{name} {before[name]} → {value}" for name, value in now.items() if name != "d_vocab" and before[name] != value
    )


def fork(config: RunConfig, checkpoint: Path, carry: Carried | None = None) -> tuple[RunConfig, ForkReport]:
    """The configuration of a run that begins from a checkpoint, and what it takes over.

    Args:
        config: what the new run shall be, without a parent.
        carry: what is to be carried over; by default all where that is possible.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        ConfigError: all was asked for, and is not possible.
        TextError: the new text cannot be read.
    """
    parent = RunFolder(checkpoint.parent)
    before, old = parent.read_config(), load_tokenizer(parent.tokenizer_path)
    new = foresee_tokenizer(config, parent, before)
    tensors: tuple[TensorChange, ...] = ()
    old_model = parent.read_model_config()
    if new is not None:
        tokens = match_vocabulary(old, new, old_model.d_vocab)
        shapes = shapes_of_config(config.with_vocabulary(len(tokens)))
        tensors = tuple(compare(shapes_of_config(old_model), shapes, tokens))
    if config.lora.is_on:
        if new is None and config.data.tokenizer_type != "character":
            message = "LoRA leaves all weights as they are, and another tokenizer needs others: leave out lora_rank"
            raise ConfigError([Problem("lora_rank", message)])
        refuse_untrained(tensors)
    reason = why_not_all(config, checkpoint, before, tensors)
    if carry == "all" and reason:
        raise ConfigError([Problem("carry", f"not all of {checkpoint.name} can be carried over: {reason}")])
    carried: Carried = carry or ("weights" if reason else "all")
    record = describe_parent(checkpoint, carried)
    name = parent.read_label().name
    told = describe_tokenizer(old, new)
    if carried == "weights" and not reason:
        reason = "as was asked for"
    model = config.with_vocabulary(len(tokens) if new else config.data.expected_vocabulary)
    n_all = count_parameters(model)
    trained = count_adapters(model, config.lora) if config.lora.is_on else n_all
    report = ForkReport(
        name, record.step, carried, reason, told, tensors, trained, n_all, changed_settings(old_model, config.model)
    )
    return replace(config, parent=record), report


def why_not_all(config: RunConfig, checkpoint: Path, before: RunConfig, tensors: tuple[TensorChange, ...]) -> str:
    """What stands against going on where the parent stood, or nothing."""
    record = read_commit(checkpoint)
    if not same_text(config.data, before.data):
        return "the text is another one"
    if not same_tokenizer(config.data, before.data):
        return "the tokenizer is another one"
    if config.training.optimizer != before.training.optimizer:
        return f"the optimizer is {config.training.optimizer}, not {before.training.optimizer}"
    if config.lora != before.lora:
        return "the adapters are others" if config.lora.is_on else "all weights are trained, not adapters alone"
    if changed := [tensor for tensor in tensors if tensor.fate != "kept"]:
        return f"{changed[0].name} is {changed[0].fate}"
    if not is_resumable(record):
        return "the checkpoint holds weights alone"
    data = RunFolder(checkpoint.parent).read_data()
    if (steps := steps_of(config, int(data.get("inputs_per_pass", data.get("train_tokens", 0))))) <= record["step"]:
        return f"its {record['step']:,} steps are all of max_steps {steps:,}; raise --max_steps to go on"
    return ""


def foresee_tokenizer(config: RunConfig, parent: RunFolder, before: RunConfig) -> Tokenizer | None:
    """The tokenizer that the new run will have; None where it has to be learned from a long text first.

    Raises:
        TextError: the new text cannot be read.
    """
    data = config.data
    if (prepared := find_prepared(data.text_file)) is not None:
        return prepared.load_tokenizer()
    old = load_tokenizer(parent.tokenizer_path)
    kept = same_tokenizer(data, before.data)
    if kept and same_text(data, before.data):
        return old
    is_text = data.text_kind == "text"
    corpus = check_text(data.text_file, data.encoding, data.data_size) if is_text else read_pairs(data).to_learn_from
    if corpus is None or (not kept and corpus.characters > LEARNED_BEFORE_START):
        return old if kept and old.type != "character" else None
    return choose_tokenizer(data, corpus, parent)


def describe_tokenizer(old: Tokenizer, new: Tokenizer | None) -> str:
    """What becomes of the parent's tokens, in a sentence."""
    if new is None:
        return "tokenizer: learned from the new text at the start; tokens of the same text keep their embedding"
    if new.content_hash() == old.content_hash():
        return f"tokenizer: the parent's ({old.type}, {old.vocab_size:,} tokens)"
    added = np.flatnonzero(match_tokens(old, new) < 0).tolist()
    shown = ", ".join(repr(new.token_text(token)) for token in added[:LONGEST_LIST])
    more = f" and {len(added) - LONGEST_LIST:,} more" if len(added) > LONGEST_LIST else ""
    return (
        f"tokenizer: {new.type}, {new.vocab_size:,} tokens, {new.vocab_size - len(added):,} of them the parent's; "
        + (f"new, with an embedding that knows nothing yet: {shown}{more}" if added else "none is new")
    )


def match_vocabulary(old: Tokenizer, new: Tokenizer, d_vocab: int) -> np.ndarray:
    """For each row of the new embedding the parent's row of the same token, or −1.

    Args:
        d_vocab: of the parent, which may have more rows than its tokenizer has tokens; a kept one keeps them.
    """
    if new.content_hash() == old.content_hash():
        return np.arange(d_vocab)
    return match_tokens(old, new)


def build_run_model(run: RunFolder, config: RunConfig) -> Transformer:
    """The model of a run at its step 0, with the parent's weights where it has a parent; its text is prepared.

    Raises:
        CheckpointError: the base in the run's folder is missing or damaged.
    """
    model = build_model(run.read_model_config(), config.implementation, seed=config.training.seed)
    if base := base_of(run, config):
        weights = load_model(base.path).state_dict()
        old, new = load_tokenizer(base.tokenizer_path), load_tokenizer(run.tokenizer_path)
        tokens = match_vocabulary(old, new, base.read_model_config().d_vocab)
        if config.lora.is_on:
            refuse_untrained(compare(shapes_of(weights), shapes_of(model.state_dict()), tokens))
        transfer(weights, model, tokens)
    if config.lora.is_on:
        add_adapters(model, config.lora, config.training.seed)
    return model


def refuse_untrained(tensors: Sequence[TensorChange]) -> None:
    """Adapters stand on weights that stay as they are: none may be new, or have entries that nobody would train.

    Raises:
        ConfigError: with the tensor.
    """
    for tensor in tensors:
        if tensor.fate in ("resized", "new"):
            what = "has tokens that the parent does not know" if is_by_token(tensor.name) else f"is {tensor.fate}"
            message = f"LoRA leaves all weights as they are, but {tensor.name} {what}: leave out lora_rank to train all"
            raise ConfigError([Problem("lora_rank", message)])
