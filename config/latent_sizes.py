"""How large latent attention is: its projections down to the latents and up again, and what it keeps in training."""

from config.model_config import ModelConfig


def parameters_of_latent_attention(config: ModelConfig) -> int:
    """All projections, biases and norms of latents of one layer; without sinks."""
    d_latents = config.latent_rank + config.rope_head_dim
    source, queries = config.d_model, 0
    if config.q_rank is not None:
        source = config.q_rank
        queries = config.q_rank * (config.d_model + config.qkv_bias + config.norm_gain)
    queries += source * config.n_heads * config.query_width
    latents = d_latents * (config.d_model + config.qkv_bias) + config.latent_rank * config.norm_gain
    unpacking = config.latent_rank * config.n_heads * (config.head_dim + config.value_head_dim)
    return queries + latents + unpacking + config.d_attention * config.d_model


def kept_by_latent_attention(config: ModelConfig) -> int:
    """Numbers that one layer keeps of a token for the backward pass.

    The latents before and after their norm; queries and keys once more where parts of them are joined; values, once
    more where they are made as wide as keys; and what attention mixed.
    """
    latents = 2 * (config.latent_rank + (config.q_rank or 0)) + config.rope_head_dim
    joined = config.n_heads * (3 * config.query_width + 2 * config.head_dim)
    return latents + joined + 2 * config.d_attention
