"""How large a configuration is: parameters, FLOPs and memory by arithmetic alone, before anything is built."""

import functools
from dataclasses import asdict, dataclass
from importlib import metadata

from config.errors import Problem
from config.latent_sizes import kept_by_latent_attention, parameters_of_latent_attention
from config.mlp_sizes import kept_by_mlps, parameters_by_layer
from config.model_config import ModelConfig

BYTES_FLOAT32 = 4
CACHE_MARGIN = 32  # tokens by which a window layer's KV cache is longer than what the next token sees there
REFUSE_SHARE = 0.9  # of the free memory; above it the system starts to swap or kill
# Python, torch and what else a training loads, by the build of torch (`train.py --max_steps 20 --model_size tiny`, its
# highest resident size less what is computed): the CUDA build's libraries take room on a machine without a GPU too.
RUNTIME_BYTES_CPU, RUNTIME_BYTES_CUDA = 300_000_000, 700_000_000
# Above this many logits (64 MB in float32) a training computes its loss in chunks of half as many (training/loss.py).
LARGE_LOGITS = 2**24
CHUNK_LOGITS = 2**23


def parameters_per_block(config: ModelConfig) -> dict[str, int]:
    """Parameters of one transformer block by part: attention, mlp, norms; of one with experts, where there are such."""
    if config.attention == "mla":
        attention = parameters_of_latent_attention(config)
    else:
        d_qkv = config.d_attention + 2 * config.kv_heads * config.head_dim
        attention = config.d_model * (d_qkv + config.d_attention) + d_qkv * config.qkv_bias
        attention += parameters_of_query_and_key_norm(config)
    attention += config.d_model * config.attention_out_bias + config.n_heads * config.attention_sinks
    mlp = parameters_by_layer(config)[config.expert_layers.index(any(config.expert_layers))]
    norms = norms_per_block(config) * parameters_per_norm(config)
    return {"attention": attention, "mlp": mlp, "norms": norms}


def norms_per_block(config: ModelConfig) -> int:
    """One for each part; in a sandwich two, and one for both where they read the stream side by side through one."""
    if config.parallel_residual == "one_norm":
        return 1
    return 4 if config.norm_placement == "sandwich" else 2


def parameters_per_norm(config: ModelConfig, width: int | None = None) -> int:
    """Scale, and for LayerNorm with bias an offset, for each dimension of the stream (or of another width)."""
    per_dimension = config.norm_gain + (config.norm == "layernorm" and config.norm_bias)
    return per_dimension * (config.d_model if width is None else width)


def parameters_of_query_and_key_norm(config: ModelConfig) -> int:
    """The two norms inside attention: as wide as one head or as all of them; gains of their own come without offset."""
    widths = {
        "none": 0,
        "head": 2 * config.head_dim,
        "full": (config.n_heads + config.kv_heads) * config.head_dim,
        "head_separate": (config.n_heads + config.kv_heads) * config.head_dim,
    }
    width = widths[config.qk_norm]
    return width * config.norm_gain if config.qk_norm == "head_separate" else parameters_per_norm(config, width)


def parameters_by_component(config: ModelConfig) -> dict[str, int]:
    """Parameters of the whole model by part; a tied matrix counts once, as the embedding."""
    block = parameters_per_block(config)
    norms = config.n_layers * block["norms"]
    norms += parameters_per_norm(config) * (config.norm_placement != "post")  # post-norm has no final norm
    norms += parameters_per_norm(config) * config.embedding_norm
    unembedding = 0 if config.tie_embeddings else config.d_vocab * config.d_model
    mlps = list(zip(config.expert_layers, parameters_by_layer(config), strict=True))
    return {
        "token_embedding": config.d_vocab * config.d_model,
        "positional_embedding": config.n_ctx * config.d_model if config.position == "learned" else 0,
        "attention": config.n_layers * block["attention"],
        "mlp": sum(parameters for has_experts, parameters in mlps if not has_experts),
        "experts": sum(parameters for has_experts, parameters in mlps if has_experts),
        "norms": norms,
        "unembedding": unembedding + config.d_vocab * config.unembedding_bias,
    }


def count_parameters(config: ModelConfig) -> int:
    """All trainable numbers of the model."""
    return sum(parameters_by_component(config).values())


def count_active_parameters(config: ModelConfig) -> int:
    """The numbers that one token meets: without the experts that it does not visit. Of a dense model all."""
    return count_parameters(config) - sum(parameters_by_layer(config)) + sum(parameters_by_layer(config, active=True))


def sizes_in_words(config: ModelConfig) -> str:
    """1,234,567 parameters, of which a token uses 345,678."""
    parameters, active = count_parameters(config), count_active_parameters(config)
    return f"{parameters:,} parameters" + (f", of which a token uses {active:,}" if active != parameters else "")


def flops_per_token(config: ModelConfig, *, frozen: bool = False) -> int:
    """Floating-point operations of forward and backward for one token.

    6 per weight that takes part in a matrix product (2 forward, 4 backward: Kaplan et al. 2020, arXiv:2001.08361,
    section 2.1; of the experts those of one token), and in each layer 6 per dimension of queries and of values
    (together mostly 12·d_attention) for each token that it looks at, all n_ctx or a window, uncut by the causal mask
    (the convention of PaLM, arXiv:2204.02311, B).

    Args:
        frozen: the weights stay as they are and adapters beside them learn. Then a weight costs 4: of the two products
            of the backward pass, for the gradient of what it reads and for its own, the second is left out. The
            adapters' own products are not counted, nor are they among the parameters.
    """
    block = parameters_per_block(config)
    mlps = sum(parameters_by_layer(config, active=True))
    weights = config.n_layers * block["attention"] + mlps + config.d_vocab * config.d_model
    d_scores_and_sums = config.n_heads * (config.query_width + config.value_head_dim)
    return (4 if frozen else 6) * weights + 6 * d_scores_and_sums * sum(tokens_seen_by_layer(config))


def tokens_seen_by_layer(config: ModelConfig) -> list[int]:
    """How many tokens the last one of a full context looks at, itself included, in each layer."""
    return [min(config.n_ctx, window or config.n_ctx) for window in config.windows]


def kv_cache_bytes(config: ModelConfig, batch: int = 1, bytes_per_number: int = BYTES_FLOAT32) -> int:
    """Keys and values (in latent attention the latents) of a full context; in a window layer of one and a margin."""
    heads, width = config.cached_shape
    kept = sum(min(config.n_ctx, window - 1 + CACHE_MARGIN if window else config.n_ctx) for window in config.windows)
    return kept * batch * heads * width * bytes_per_number


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training needs, part by part."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    runtime: int

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(asdict(self).values())


def training_memory(
    config: ModelConfig, micro_batch_size: int, implementation: str = "fused", trained: int | None = None
) -> TrainingMemory:
    """Memory of training in float32 with AdamW (two moments for each weight), at its peak.

    Activations are the tensors that the backward pass reads again, counted from the implementations, with what its
    largest step needs beside them; then what the loss keeps. Ten configurations in processes of their own took between
    0.90 and 1.13 of the sum (tests/config/test_memory.py prints it).

    Args:
        trained: how many numbers get gradients and moments, where these are not all weights but adapters beside them.
    """
    n_weights = count_parameters(config)
    n_trained = n_weights if trained is None else trained
    weights = (n_weights + (trained or 0)) * BYTES_FLOAT32
    gradients = n_trained * BYTES_FLOAT32
    tokens = micro_batch_size * config.n_ctx
    numbers = tokens * (config.n_layers * _kept_per_token(config, implementation) + 2 * config.d_model)
    numbers += tokens * kept_by_mlps(config, implementation)
    numbers += 4 * tokens * config.d_mlp  # gradients on their way through the widest layer
    numbers += _kept_by_loss(config, tokens)
    return TrainingMemory(weights, gradients, 2 * gradients, numbers * BYTES_FLOAT32, runtime_bytes())


@functools.cache
def runtime_bytes() -> int:
    """Memory that a training takes before it has a model, with the build of torch that is installed here."""
    try:
        needs = metadata.requires("torch") or []
    except metadata.PackageNotFoundError:
        needs = []
    has_cuda = any(requirement.startswith(("nvidia-", "cuda-")) for requirement in needs)
    return RUNTIME_BYTES_CUDA if has_cuda else RUNTIME_BYTES_CPU


def _kept_per_token(config: ModelConfig, implementation: str) -> int:
    """Numbers that one block, but for its MLP, keeps of each token for the backward pass.

    Two residual streams and two outputs of norms; queries, keys and values, and queries and keys once more where they
    are normed, cut off or rotated; what attention mixed. Formulas written out (`einops`, `torch`) keep the result of
    every step: four more vectors in a norm, copies of q, k and v, and of the pattern three rows for each head.
    """
    d_kv = config.kv_heads * config.head_dim
    numbers = 4 * config.d_model
    if config.attention == "mla":
        numbers += kept_by_latent_attention(config)
    else:
        is_changed = config.position == "rope" or config.qk_norm != "none" or config.clip_qkv is not None
        copies = is_changed + (config.qk_norm == "head_separate")  # before gains of their own, after them
        numbers += (2 + copies) * (config.d_attention + d_kv) + d_kv * (config.clip_qkv is not None)
    numbers += 4 * config.d_model if config.norm_placement == "sandwich" else 0  # of two more norms, in and out
    numbers += 2 * config.d_model if config.dropout else 0  # which numbers of what the two parts add were dropped
    if implementation != "fused":
        numbers += 2 * 4 * config.d_model + 3 * config.d_attention
    # The kernel that forms the pattern in pieces has no place for a cap, and on a processor none for dropout.
    if implementation != "fused" or config.attention_softcap is not None or config.dropout:
        numbers += 3 * config.n_heads * config.n_ctx
    return numbers


def _kept_by_loss(config: ModelConfig, tokens: int) -> int:
    """Logits, their logarithms and their gradient, with a cap on them two more; in chunks, those of a chunk and two
    gradients of the unembedding."""
    copies = 3 if config.logit_softcap is None else 5
    logits = tokens * config.d_vocab
    if logits <= LARGE_LOGITS:
        return copies * logits
    return copies * CHUNK_LOGITS + 2 * config.d_vocab * config.d_model


def memory_problem(needed_bytes: int, available_bytes: int) -> Problem | None:
    """A refusal with the numbers where a training would take more than 90 % of the memory that is free."""
    if needed_bytes <= REFUSE_SHARE * available_bytes:
        return None
    return Problem(
        "d_model",
        f"this training needs about {needed_bytes / 1e9:,.1f} GB of memory, {available_bytes / 1e9:,.1f} GB are free:"
        " take a smaller width, fewer layers, a shorter context, or smaller micro-batches (gradient accumulation)",
    )
