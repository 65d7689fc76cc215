"""Families with LLaMA's names and a difference or two.

StarCoder2   LayerNorm, biases, a plain GELU MLP under names of GPT-2's, keys and values shared by few heads, a window
StableLM     LayerNorm, a quarter of each head turned
Granite      four factors: on the embedding, on attention, on what each part adds, and on the logits
SmolLM3      no positions in every fourth layer
Nemotron     LayerNorm with gains learned from 1, half of each head turned, squared ReLU
"""

from interop.families.llama import ATTENTION_BIAS, NAMES, NO_BIAS, ROPE_AND_RMSNORM, heads, sizes
from interop.family import Family
from interop.keys import Activation, Changed, Plain
from interop.layer_keys import LayerTypes, NoPositionLayers, WindowEverywhere, from_layer_on
from interop.position_keys import Rope
from interop.tensor_names import stacked_rows

ROPE_AND_LAYERNORM = {"position": "rope", "norm": "layernorm"}

STARCODER2 = Family(
    model_type="starcoder2",
    class_name="Starcoder2ForCausalLM",
    presets=("starcoder2",),
    fixed=ROPE_AND_LAYERNORM,
    keys=(
        *sizes(49_152, 3_072, 12_288, 30, 24, 4_096),
        *heads(2, free_width=False),
        Activation("hidden_act", "gelu_pytorch_tanh", gated=False),
        Plain("norm_epsilon", "norm_eps", 1e-5),
        Rope(),
        WindowEverywhere(),
        Plain("use_bias", "qkv_bias", True),
        Plain("use_bias", "attention_out_bias", True),
        Plain("use_bias", "mlp_bias", True),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    harmless=("residual_dropout", "embedding_dropout", "mlp_type", "norm_type"),
    names=NAMES.with_parts({"mlp.up_proj": "mlp.c_fc", "mlp.down_proj": "mlp.c_proj"}),
)

STABLELM = Family(
    model_type="stablelm",
    class_name="StableLmForCausalLM",
    presets=("stablelm",),
    fixed={**ROPE_AND_LAYERNORM, **NO_BIAS},
    keys=(
        *sizes(50_304, 2_560, 6_912, 32, 32, 4_096),
        *heads(32, free_width=False),
        Activation("hidden_act", "silu", gated=True),
        Plain("layer_norm_eps", "norm_eps", 1e-5),
        Rope(share=0.25),
        Plain("use_qkv_bias", "qkv_bias", False),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    only={"qk_layernorm": False, "use_parallel_residual": False},
    names=NAMES,
)

GRANITE_KEYS = (
    *heads(free_width=False),
    Activation("hidden_act", "silu", gated=True),
    Plain("rms_norm_eps", "norm_eps", 1e-6),
    Rope(),
    *ATTENTION_BIAS,
    Plain("embedding_multiplier", "embedding_scale", 1.0),
    Plain("residual_multiplier", "residual_scale", 1.0),
    Plain("attention_multiplier", "attention_scale", 1.0, written="score_scale"),
    Changed(
        "logits_scaling", "logit_scale", 1.0,
        to_ours=lambda value, fields: 1 / value, to_theirs=lambda config: 1 / config.logit_scale,
    ),
    Plain("tie_word_embeddings", "tie_embeddings", False),
)  # fmt: skip

GRANITE = Family(
    model_type="granite",
    class_name="GraniteForCausalLM",
    presets=("granite",),
    fixed=ROPE_AND_RMSNORM,
    keys=(*sizes(32_000, 4_096, 11_008, 32, 32, 2_048), *GRANITE_KEYS, Plain("mlp_bias", "mlp_bias", False)),
    names=NAMES,
)

GRANITE_MOE = Family(
    model_type="granitemoe",
    class_name="GraniteMoeForCausalLM",
    presets=("granite_moe",),
    fixed={**ROPE_AND_RMSNORM, "mlp_bias": False},
    keys=(
        *sizes(32_000, 4_096, 11_008, 32, 32, 2_048, of_experts=True),
        *GRANITE_KEYS,
        Plain("num_local_experts", "n_experts", 8),
        Plain("num_experts_per_tok", "experts_per_token", 2),
    ),
    names=NAMES.with_parts(
        {
            "mlp.router.score_proj": "block_sparse_moe.router.layer",
            ("mlp.experts.*.gate_proj.weight", "mlp.experts.*.up_proj.weight"): stacked_rows(
                "block_sparse_moe.input_linear.weight", 2
            ),
            ("mlp.experts.*.down_proj.weight",): stacked_rows("block_sparse_moe.output_linear.weight", 1),
        }
    ),
)

SMOLLM3 = Family(
    model_type="smollm3",
    class_name="SmolLM3ForCausalLM",
    presets=("smollm3",),
    fixed=ROPE_AND_RMSNORM,
    keys=(
        *sizes(128_256, 2_048, 11_008, 36, 16, 32_768),
        *heads(4, free_width=False),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-6),
        Rope(theta=2_000_000.0),
        NoPositionLayers(),
        LayerTypes(from_layer_on, None, switch="use_sliding_window"),
        *ATTENTION_BIAS,
        Plain("mlp_bias", "mlp_bias", False),
        Plain("tie_word_embeddings", "tie_embeddings", True),
    ),
    names=NAMES,
)

NEMOTRON = Family(
    model_type="nemotron",
    class_name="NemotronForCausalLM",
    presets=("nemotron",),
    fixed={**ROPE_AND_LAYERNORM, "norm_unit_offset": True},
    keys=(
        *sizes(256_000, 6_144, 24_576, 32, 48, 4_096),
        *heads(None, 128),
        Activation("hidden_act", "relu2", gated=False),
        Plain("norm_eps", "norm_eps", 1e-5),
        Rope(share=0.5),
        *ATTENTION_BIAS,
        Plain("mlp_bias", "mlp_bias", False),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES,
)

ARCEE = Family(
    model_type="arcee",
    class_name="ArceeForCausalLM",
    presets=("arcee",),
    fixed=ROPE_AND_RMSNORM,
    keys=(
        *sizes(32_000, 2_560, 18_432, 32, 32, 4_096),
        *heads(),
        Activation("hidden_act", "relu2", gated=False),
        Plain("rms_norm_eps", "norm_eps", 1e-5),
        Rope(),
        *ATTENTION_BIAS,
        Plain("mlp_bias", "mlp_bias", False),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES,
)

HELIUM = Family(
    model_type="helium",
    class_name="HeliumForCausalLM",
    presets=("helium",),
    fixed={**ROPE_AND_RMSNORM, "rope_style": "interleaved", "attention_out_bias": False},
    keys=(
        *sizes(48_000, 2_560, 7_040, 24, 20, 4_096),
        *heads(20, 128),
        Activation("hidden_act", "silu", gated=True),
        Plain("rms_norm_eps", "norm_eps", 1e-8),
        Rope(theta=100_000.0),
        Plain("attention_bias", "qkv_bias", False),
        Plain("mlp_bias", "mlp_bias", False),
        Plain("tie_word_embeddings", "tie_embeddings", False),
    ),
    names=NAMES,
)
