"""The whole model: from tokens to the scores of the next one, and back to the gradient of every weight.

    tokens ── E ── (+ positions) ── block × n_layers ── final norm ── · Uᵀ ── logits ── cross-entropy ── loss

Backward walks the same way home. With tied embeddings E is used twice, at the entrance and at the exit (U = E), so its
gradient is the sum of both uses.

Shapes: tokens, targets [batch pos] -> logits [batch pos d_vocab], loss in nats per token.
Built from a ModelConfig: layernorm or rmsnorm, before or after each part; learned, sinusoidal, RoPE, ALiBi or no
positions; gelu or swiglu; any number of key/value heads; tied or not.
"""

from typing import Any

import numpy as np

from config.model_config import ModelConfig
from learn.reference import alibi, block, cross_entropy, embed, linear, rope, sinusoidal
from learn.reference.arrays import Array, Weights, prefixed, under
from learn.reference.attention import Heads

LEARNED = "positional_embedding.weight"


def heads_of(config: ModelConfig, n_pos: int) -> Heads:
    """Head counts, and the angles or biases of the position scheme."""
    angles = rope.angles(n_pos, config.head_dim, config.rope_theta) if config.position == "rope" else None
    bias = alibi.bias(config.n_heads, n_pos) if config.position == "alibi" else None
    return Heads(config.n_heads, config.kv_heads, config.head_dim, angles, bias)


def forward(tokens: Array, weights: Weights, config: ModelConfig) -> tuple[Array, Any]:
    """Logits, and what backward needs."""
    E = weights["token_embedding.weight"]
    x = embed.forward(tokens, E)
    if config.position == "learned":
        x = embed.add_positions(x, weights[LEARNED])
    if config.position == "sinusoidal":
        x = embed.add_positions(x, sinusoidal.table(config.n_ctx, config.d_model).astype(x.dtype))

    heads = heads_of(config, tokens.shape[1])
    saved_blocks = []
    for layer in range(config.n_layers):
        x, saved = block.forward(x, under(weights, f"blocks.{layer}."), config, heads)
        saved_blocks.append(saved)

    saved_norm = None  # in post-norm every block already ends with one
    if config.norm_placement == "pre":
        x, saved_norm = block.NORMS[config.norm].forward(x, under(weights, "final_norm."), config.norm_eps)
    U = E if config.tie_embeddings else weights["unembedding.weight"]
    logits, saved_logits = linear.forward(x, {"weight": U})
    return logits, (tokens, weights, saved_blocks, saved_norm, saved_logits)


def backward(dlogits: Array, saved: Any, config: ModelConfig) -> Weights:
    """The gradient of every weight, under the names of the torch model."""
    tokens, weights, saved_blocks, saved_norm, saved_logits = saved
    dx, of_unembedding = linear.backward(dlogits, saved_logits)
    gradients: Weights = {}
    if saved_norm is not None:
        dx, of_norm = block.NORMS[config.norm].backward(dx, saved_norm)
        gradients |= prefixed("final_norm.", of_norm)

    for layer in reversed(range(config.n_layers)):
        dx, of_block = block.backward(dx, saved_blocks[layer], config)
        gradients |= prefixed(f"blocks.{layer}.", of_block)

    if config.position == "learned":
        gradients[LEARNED] = embed.add_positions_backward(dx, weights[LEARNED])
    dE = embed.backward(dx, tokens, weights["token_embedding.weight"])
    if config.tie_embeddings:
        dE = dE + of_unembedding["weight"]
    else:
        gradients["unembedding.weight"] = of_unembedding["weight"]
    return gradients | {"token_embedding.weight": dE}


def loss_and_gradients(tokens: Array, targets: Array, weights: Weights, config: ModelConfig) -> tuple[float, Weights]:
    """One way there and back: the loss in nats per token, and what every weight should do about it."""
    logits, saved = forward(tokens, weights, config)
    loss, saved_loss = cross_entropy.forward(logits, targets)
    return loss, backward(cross_entropy.backward(saved_loss), saved, config)


def initial_weights(config: ModelConfig, seed: int) -> Weights:
    """Matrices and tables normal(0, init_std), gains 1, biases 0."""
    draw = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes(config).items():
        if len(shape) == 2:
            weights[name] = draw.normal(0, config.init_std, shape)
        else:
            weights[name] = np.zeros(shape) if name.endswith("bias") else np.ones(shape)
    return weights


def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight."""
    d = config.d_model
    found: dict[str, tuple[int, ...]] = {"token_embedding.weight": (config.d_vocab, d)}
    found |= {LEARNED: (config.n_ctx, d)} if config.position == "learned" else {}
    for layer in range(config.n_layers):
        found |= {f"blocks.{layer}.{name}": shape for name, shape in block_shapes(config).items()}
    found |= norm_shapes("final_norm", config) if config.norm_placement == "pre" else {}
    return found | ({} if config.tie_embeddings else {"unembedding.weight": (config.d_vocab, d)})


def block_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The same for one block."""
    d, d_mlp, d_qkv = config.d_model, config.d_mlp, (config.n_heads + 2 * config.kv_heads) * config.head_dim
    maps = [
        ("attention.qkv_proj", d_qkv, d, config.qkv_bias),
        ("attention.out_proj", d, config.d_attention, config.attention_out_bias),
        ("mlp.up_proj", d_mlp, d, config.mlp_bias),
        ("mlp.down_proj", d, d_mlp, config.mlp_bias),
    ]
    if config.mlp == "swiglu":
        maps.append(("mlp.gate_proj", d_mlp, d, config.mlp_bias))
    found = norm_shapes("attention_norm", config) | norm_shapes("mlp_norm", config)
    for name, out, into, has_bias in maps:
        found[f"{name}.weight"] = (out, into)
        if has_bias:
            found[f"{name}.bias"] = (out,)
    return found


def norm_shapes(name: str, config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Scale, and for LayerNorm an offset unless it is switched off."""
    has_bias = config.norm == "layernorm" and config.norm_bias
    names = ("weight", "bias") if has_bias else ("weight",)
    return {f"{name}.{part}": (config.d_model,) for part in names}
