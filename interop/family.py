"""A family of models at Hugging Face, as data: which keys of config.json it has, and how it names its tensors.

A family *expresses* a configuration if what it writes for it reads back as the same configuration. So one table gives
import, export, and the answer to which settings stand in the way of an export.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from config.errors import ConfigError, Problem
from config.model_config import ModelConfig
from config.presets import load_preset, preset_info
from interop.canonical import canonical, differences
from interop.keys import Key, Values
from interop.tensor_names import Names


@dataclass(frozen=True, kw_only=True)
class Family:
    """One `model_type`."""

    model_type: str
    """As config.json says it."""
    class_name: str
    """The class that `transformers` builds for it."""
    presets: tuple[str, ...]
    """The presets of ours that are models of this family, the plainest first."""
    fixed: Mapping[str, Any]
    """Fields that are the same in all its models, beside those that are as ModelConfig has them by default."""
    keys: tuple[Key, ...]
    only: Mapping[str, Any] = field(default_factory=dict)
    """Keys that another value would make another computation of, which is not here: their one value, or the default."""
    harmless: tuple[str, ...] = ()
    """Further keys that its files may have and that its computation does not notice."""
    names: Names | Callable[[ModelConfig], Names]
    """Its tensors; a function where the same part has different names in different models."""
    tokenizer_class: str = "AutoTokenizer"
    """What opens any tokenizer beside its models and gives the ids of tokenizer.json."""

    def names_of(self, config: ModelConfig) -> Names:
        """Its tensors in a model of this configuration."""
        return self.names if isinstance(self.names, Names) else self.names(config)

    def read(self, theirs: Values) -> ModelConfig:
        """What config.json says, in our words.

        Raises:
            ConfigError: all that this project cannot compute.
        """
        problems: list[Problem] = []
        fields = dict(self.fixed)
        for key in self.keys:
            try:
                fields |= key.read(theirs, fields)
            except ConfigError as error:
                problems += error.problems
        problems += [
            Problem(name, f"{name} {str(theirs[name])[:60]!r} is not something this version can compute")
            for name, value in self.only.items()
            if name in theirs and theirs[name] != value
        ]
        if problems:
            raise ConfigError(problems)
        return canonical(ModelConfig.from_dict(fields))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """config.json for a configuration; whether it says all of it, `in_the_way` knows."""
        values: dict[str, Any] = {"model_type": self.model_type, "architectures": [self.class_name]}
        for key in self.keys:
            values |= key.write(config)
        return values | dict(self.only)

    def in_the_way(self, config: ModelConfig) -> dict[str, tuple[Any, Any]]:
        """Where this family would make another model of a configuration: field -> (its value, the family's)."""
        try:
            back = self.read(self.write(config))
        except ConfigError as error:
            return {problem.field: (getattr(config, problem.field, None), None) for problem in error.problems}
        return differences(canonical(config), back)

    def name_of(self, config: ModelConfig) -> tuple[str, str | None]:
        """The preset of a configuration, and the published size that it has, if it is one."""
        for preset in self.presets:
            for size in preset_info(preset).published:
                if not differences(canonical(load_preset(preset, size)), canonical(config)):
                    return preset, size
        return self.presets[0], None

    def unread_keys(self, theirs: Values) -> list[str]:
        """Keys that were given and mean nothing here, in the order of the file."""
        known = {name for key in self.keys for name in key.names} | self.only.keys()
        return [str(name) for name in theirs if name not in known | HARMLESS | set(self.harmless)]


def choose_family(families: Iterable[Family], config: ModelConfig, preset: str | None = None) -> Family:
    """The family that expresses a configuration; of several the one of its preset, else the first.

    Raises:
        ConfigError: none does; the sentence has the nearest one and the fields in its way.
    """
    obstacles = [(family, family.in_the_way(config)) for family in families]
    fitting = [family for family, found in obstacles if not found]
    if fitting:
        return next((family for family in fitting if preset in family.presets), fitting[0])
    nearest, found = min(obstacles, key=lambda pair: (len(pair[1]), preset not in pair[0].presets))
    told = ", ".join(f"{name} {_word(mine)} (it has {_word(theirs)})" for name, (mine, theirs) in found.items())
    raise ConfigError(
        [Problem("architecture", f"no family of Hugging Face is built like this; the nearest is {nearest.model_type}, "
                                 f"and in its way: {told}")]
    )  # fmt: skip


def _word(value: Any) -> str:
    if value is None:
        return "unset"
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


# Keys of config.json that say nothing about the computation: bookkeeping, training, other tasks, how it is run.
HARMLESS = frozenset(
    """
    model_type architectures transformers_version dtype torch_dtype _name_or_path name_or_path auto_map id2label
    label2id return_dict output_attentions output_hidden_states use_cache initializer_range init_std bos_token_id
    eos_token_id pad_token_id sep_token_id decoder_start_token_id problem_type task_specific_params finetuning_task
    is_encoder_decoder is_decoder add_cross_attention cross_attention_hidden_size tie_encoder_decoder
    chunk_size_feed_forward attn_pdrop embd_pdrop resid_pdrop attention_dropout hidden_dropout activation_dropout
    dropout layerdrop summary_type summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout
    num_labels attn_implementation _attn_implementation n_ctx gradient_checkpointing pretraining_tp
    router_aux_loss_coef output_router_logits
    """.split()  # noqa: SIM905
)
