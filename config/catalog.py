"""What can be built: every component by slot and name, known without importing torch.

Adding a component is one file under components/ and one line here; the form, the drawing, the contract test and the
source panel follow from the line.
"""

from dataclasses import dataclass

IMPLEMENTATIONS = ("einops", "torch", "fused")


@dataclass(frozen=True)
class Entry:
    """One component: where it goes, what it is called, where it is written and who proposed it."""

    slot: str
    name: str
    title: str
    file: str  # relative to the repository; holds the VARIANTS table
    class_name: str  # the abstract base; implementations are class_name + Einops | Torch | Fused
    paper: str
    summary: str
    implementations: tuple[str, ...] = IMPLEMENTATIONS


CATALOG = (
    Entry("embedding", "token", "Token embedding", "components/embed.py", "TokenEmbedding",
          "Bengio et al. 2003", "A learned vector for each token."),
    Entry("position", "learned", "Learned positions", "components/positional_embedding.py", "PositionalEmbedding",
          "Radford et al. 2019 (GPT-2)", "A learned vector for each position, added to the token's."),
    Entry("position", "rope", "Rotary positions (RoPE)", "components/rope.py", "RotaryPositions",
          "Su et al. 2021, arXiv:2104.09864", "Turns queries and keys by an angle that grows with the position."),
    Entry("position", "alibi", "Linear biases (ALiBi)", "components/alibi.py", "LinearBiases",
          "Press et al. 2021, arXiv:2108.12409", "Lowers attention scores in proportion to the distance."),
    Entry("position", "sinusoidal", "Sinusoidal positions", "components/sinusoidal.py", "SinusoidalPositions",
          "Vaswani et al. 2017, arXiv:1706.03762, 3.5", "Fixed waves of many lengths, added to the token's vector."),
    Entry("norm", "layernorm", "LayerNorm", "components/layernorm.py", "LayerNorm",
          "Ba et al. 2016, arXiv:1607.06450", "Mean 0 and variance 1 for each token, then a learned scale and offset."),
    Entry("norm", "rmsnorm", "RMSNorm", "components/rmsnorm.py", "RMSNorm",
          "Zhang & Sennrich 2019, arXiv:1910.07467", "Root mean square 1 for each token, then a learned scale."),
    Entry("attention", "multi_head", "Causal self-attention", "components/attention.py", "Attention",
          "Vaswani et al. 2017, arXiv:1706.03762; grouped: Ainslie et al. 2023, arXiv:2305.13245",
          "Each token gathers from the tokens before it; heads may share keys and values."),
    Entry("attention", "mla", "Latent attention (MLA)", "components/latent_attention.py", "LatentAttention",
          "DeepSeek-V2 2024, arXiv:2405.04434, 2.1",
          "Keys and values of all heads are unpacked from one small vector, which alone is cached."),
    Entry("mlp", "gelu", "GELU MLP", "components/mlp.py", "MLP",
          "Hendrycks & Gimpel 2016, arXiv:1606.08415", "Widen, bend with GELU, narrow."),
    Entry("mlp", "relu", "ReLU MLP", "components/mlp.py", "MLP",
          "Vaswani et al. 2017, arXiv:1706.03762, 3.3", "Widen, cut off what is negative, narrow."),
    Entry("mlp", "relu2", "Squared ReLU MLP", "components/mlp.py", "MLP",
          "So et al. 2021, arXiv:2109.08668", "Widen, keep and square what is positive, narrow."),
    Entry("mlp", "silu", "SiLU MLP", "components/mlp.py", "MLP",
          "Elfwing et al. 2017, arXiv:1702.03118", "Widen, bend with SiLU, narrow."),
    Entry("mlp", "swiglu", "SwiGLU MLP", "components/gated_mlp.py", "GatedMLP",
          "Shazeer 2020, arXiv:2002.05202", "Widen twice; one half, through SiLU, gates the other; narrow."),
    Entry("mlp", "geglu", "GEGLU MLP", "components/gated_mlp.py", "GatedMLP",
          "Shazeer 2020, arXiv:2002.05202", "Widen twice; one half, through GELU, gates the other; narrow."),
    Entry("mlp", "reglu", "ReGLU MLP", "components/gated_mlp.py", "GatedMLP",
          "Shazeer 2020, arXiv:2002.05202", "Widen twice; one half, through ReLU, gates the other; narrow."),
    Entry("experts", "mixture", "Mixture of experts", "components/moe.py", "MixtureOfExperts",
          "Shazeer et al. 2017, arXiv:1701.06538; in the transformer: Fedus et al. 2021, arXiv:2101.03961",
          "Many MLPs, of which each token visits a few."),
    Entry("routing", "top_k", "Router", "components/router.py", "Router",
          "Shazeer et al. 2017, arXiv:1701.06538; without auxiliary loss: Wang et al. 2024, arXiv:2408.15664",
          "Scores the experts for each token and picks the best few."),
    Entry("block", "transformer_block", "Transformer block", "components/transformer_block.py", "TransformerBlock",
          "Vaswani et al. 2017; pre-norm: Xiong et al. 2020, arXiv:2002.04745",
          "Attention, then MLP, each added to the residual stream."),
    Entry("unembedding", "unembedding", "Unembedding", "components/embed.py", "Unembedding",
          "Press & Wolf 2017, arXiv:1608.05859 (tying)", "Scores every token of the vocabulary as the next one."),
)  # fmt: skip


def entries(slot: str) -> tuple[Entry, ...]:
    """All components that fit into a slot."""
    return tuple(entry for entry in CATALOG if entry.slot == slot)


def names(slot: str) -> tuple[str, ...]:
    """The names of all components that fit into a slot: the choices of the field of that name."""
    return tuple(entry.name for entry in entries(slot))


def entry(slot: str, name: str) -> Entry:
    """One component.

    Raises:
        KeyError: if the catalogue has no such line.
    """
    for candidate in entries(slot):
        if candidate.name == name:
            return candidate
    raise KeyError(f"no component {name!r} for slot {slot!r}")
