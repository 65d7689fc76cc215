"""Where every head looks: the attention patterns of all layers for one text.

    pattern[query, key] = how much of the token `key` the token `query` takes in          key <= query

Rows sum to 1, or to less where the model has sinks, which take a share for nothing (components/attention_sinks.py).

Paper: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1; read as a picture of what a head does since Clark et al.
2019, arXiv:1906.04341. Shapes: tokens [pos] -> for each layer [head query key].

What a pattern does not say: how much comes of it. A head may look at a token whose value is near zero; switching the
head off (interpret/ablation.py) tells whether the model needs it.
"""

from jaxtyping import Float, Int
from torch import Tensor

from components.model import Transformer
from interpret.activations import capture, layer_points

NO_PATTERNS = "no layer of this model forms attention patterns that can be looked at"
Patterns = dict[int, Float[Tensor, "head query key"]]


def attention_patterns(model: Transformer, tokens: Int[Tensor, "pos"]) -> Patterns:
    """The patterns of one text by layer.

    Raises:
        ValueError: the model has none, or they do not fit in memory.
    """
    names = layer_points(model, "attn.hook_pattern")
    if not names:
        raise ValueError(NO_PATTERNS)
    found = capture(model, tokens[None], names.values()).values
    return {layer: found[name][0] for layer, name in names.items()}
