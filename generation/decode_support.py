"""Which models the decode plan knows: a list of what it computes, so that whatever is added later declines by itself.

A field that stands in neither table must have its default, which leaves a model as it was before the field existed.
Whoever teaches the plan a new switch adds its line here; until then such models are called as modules: slower, right.
"""

from typing import Any, cast

import torch
from torch import nn

from components.activation_point import ActivationPoint
from config.fields import describe
from config.model_config import ModelConfig

# The plan reads these from the model, or they act on training alone: any value will do.
ANY_VALUE = frozenset({
    "d_model", "n_layers", "n_heads", "n_kv_heads", "d_head", "d_mlp", "n_ctx", "d_vocab", "norm_eps", "rope_theta",
    "tie_embeddings", "norm_bias", "qkv_bias", "attention_out_bias", "mlp_bias", "dropout", "init_std",
    "scale_residual_init",
})  # fmt: skip
KNOWN_VALUES = {
    "position": ("learned", "sinusoidal", "rope", "alibi", "none"),
    "norm": ("layernorm", "rmsnorm"),
    "mlp": ("gelu", "swiglu"),
    "norm_placement": ("pre", "post"),
    "gelu_form": ("tanh", "exact"),
}


def knows_config(config: ModelConfig) -> bool:
    """Whether the plan computes every component and switch of an architecture."""
    return all(
        getattr(config, name) in KNOWN_VALUES.get(name, (info.default,))
        for name, info in describe(type(config)).items()
        if name not in ANY_VALUE
    )


def knows_model(model: nn.Module) -> bool:
    """The same for a model: also its numbers are float32 on the CPU, its maps plain (no adapters), and nobody listens.

    The functions that hooks register would not be called by a plan.
    """
    if not knows_config(cast(ModelConfig, model.config)):  # nn.Module's attributes have no type
        return False
    if any(p.dtype != torch.float32 or p.device.type != "cpu" for p in model.parameters()):
        return False
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        return False
    parts: Any = model
    children = (child for block in parts.blocks for child in (*block.attention.children(), *block.mlp.children()))
    return all(type(child) in (nn.Linear, ActivationPoint) for child in children)
