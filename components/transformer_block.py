"""Transformer block: attention, then MLP, each added to the residual stream.

    pre-norm    x ── norm ── attention ──(+)── norm ── mlp ──(+)──>        x = x + f(norm(x))
                 \\_____________________/ \\________________/
    post-norm   x ── attention ──(+)── norm ── mlp ──(+)── norm ──>        x = norm(x + f(x))
                 \\______________/        \\__________/

Papers: post-norm, Vaswani et al. 2017, arXiv:1706.03762, section 3.1; pre-norm, GPT-2 (Radford et al. 2019) and the
analysis of Xiong et al. 2020, arXiv:2002.04745, section 3.
Shapes: [batch pos d_model] -> [batch pos d_model].

In pre-norm the stream itself is never normalized: there is a straight path from the embedding to the last layer, and
gradients use it. Training is calm without warm-up; the model adds one final norm. In post-norm every block ends
normalized, so there is no final norm, and training needs a slower start. Dropout acts on what each part adds.
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from components.activation_point import activation_points
from components.attention_mask import AttentionMask
from components.balance import RoutingRecord
from components.kv_cache import LayerCache
from components.position import Position
from components.registry import resolve
from config.model_config import ModelConfig

Stream = Float[Tensor, "batch pos d_model"]


class TransformerBlock(nn.Module):
    """Holds attention, MLP and their norms. The three implementations differ in the parts that they are built of."""

    implementation: ClassVar[str]

    def __init__(self, config: ModelConfig, layer: int = 0) -> None:
        super().__init__()
        norm = resolve("norm", config.norm, self.implementation)
        self.is_pre_norm = config.norm_placement == "pre"
        self.attention_norm = norm(config)
        self.attention = resolve("attention", config.attention, self.implementation)(config)
        self.mlp_norm = norm(config)
        self.has_experts = config.expert_layers[layer]
        slot, name = ("experts", "mixture") if self.has_experts else ("mlp", config.mlp)
        self.mlp = resolve(slot, name, self.implementation)(config)
        self.dropout = nn.Dropout(config.dropout)
        self.hook_resid_pre, self.hook_resid_mid, self.hook_resid_post = activation_points(3, self.implementation)
        self.hook_attn_out, self.hook_mlp_out = activation_points(2, self.implementation)

    def forward(
        self,
        x: Stream,
        position: Position,
        mask: AttentionMask | None = None,
        cache: LayerCache | None = None,
        record: RoutingRecord | None = None,
    ) -> Stream:
        """Both parts, in the order of the drawing; position, mask and cache are for attention, record for experts."""
        x = self.hook_resid_pre(x)
        if self.is_pre_norm:
            added = self.dropout(self.attention(self.attention_norm(x), position, mask, cache))
            x = self.hook_resid_mid(x + self.hook_attn_out(added))
            added = self.dropout(self._transform(self.mlp_norm(x), record))
            return self.hook_resid_post(x + self.hook_mlp_out(added))
        added = self.dropout(self.attention(x, position, mask, cache))
        x = self.hook_resid_mid(self.attention_norm(x + self.hook_attn_out(added)))
        added = self.dropout(self._transform(x, record))
        return self.hook_resid_post(self.mlp_norm(x + self.hook_mlp_out(added)))

    def _transform(self, x: Stream, record: RoutingRecord | None) -> Stream:
        """The MLP, or the experts in its place."""
        return self.mlp(x, record) if self.has_experts else self.mlp(x)


class TransformerBlockEinops(TransformerBlock):
    """Of parts with named axes."""

    implementation = "einops"


class TransformerBlockTorch(TransformerBlock):
    """Of parts in plain torch."""

    implementation = "torch"


class TransformerBlockFused(TransformerBlock):
    """Of the fastest parts."""

    implementation = "fused"


VARIANTS = {"einops": TransformerBlockEinops, "torch": TransformerBlockTorch, "fused": TransformerBlockFused}
