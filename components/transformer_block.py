"""Transformer block: attention, then MLP, each added to the residual stream.

    pre         x ── norm ── attention ──(+)── norm ── mlp ──(+)──>        x = x + f(norm(x))
                 \\_____________________/ \\________________/
    post        x ── attention ──(+)── norm ── mlp ──(+)── norm ──>        x = norm(x + f(x))
                 \\______________/        \\__________/
    output      x ── attention ── norm ──(+)── mlp ── norm ──(+)──>        x = x + norm(f(x))
                 \\_____________________/ \\________________/
    sandwich    x ── norm ── attention ── norm ──(+)── …                   x = x + norm(f(norm(x)))
    parallel    x ── norm ── attention ──(+)──>                            x = x + attention(norm(x)) + mlp(norm(x))
                 \\─── norm ── mlp ──────/

Papers: post, Vaswani et al. 2017, arXiv:1706.03762, section 3.1; pre, GPT-2 (Radford et al. 2019) and the analysis of
Xiong et al. 2020, arXiv:2002.04745, section 3; output, OLMo 2, arXiv:2501.00656, section 2.1; sandwich, Ding et al.
2021, arXiv:2105.13290, and Gemma 2, arXiv:2408.00118, section 2; parallel, GPT-J (Wang & Komatsuzaki 2021) and PaLM,
arXiv:2204.02311, section 2.
Shapes: [batch pos d_model] -> [batch pos d_model].

In pre-norm the stream itself is never normalized: there is a straight path from the embedding to the last layer, and
gradients use it. Training is calm without warm-up; the model adds one final norm. In post-norm every block ends
normalized, so there is no final norm, and training needs a slower start. A norm on the output keeps the straight path
and bounds what a part adds, however large its weights have grown. In parallel both parts read the same stream, through
a norm each or through one, and neither waits for the other.
Dropout acts on what each part adds, and then residual_scale.
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
        before, behind = config.norm_placement != "output", config.norm_placement in ("output", "sandwich")
        self.is_post_norm = config.norm_placement == "post"
        self.is_parallel = config.parallel_residual != "none"
        self.shares_norm = config.parallel_residual == "one_norm"
        self.residual_scale = config.residual_scale
        self.attention_norm = norm(config) if before else nn.Identity()
        self.attention = resolve("attention", config.attention, self.implementation)(config)
        self.attention_output_norm = norm(config) if behind else nn.Identity()
        self.mlp_norm = norm(config) if before and not self.shares_norm else nn.Identity()
        self.has_experts = config.expert_layers[layer]
        slot, name = ("experts", "mixture") if self.has_experts else ("mlp", config.mlp)
        self.mlp = resolve(slot, name, self.implementation)(config)
        self.mlp_output_norm = norm(config) if behind else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.hook_resid_pre, self.hook_resid_post = activation_points(2, self.implementation)
        if not self.is_parallel:  # side by side, there is no stream between the two parts
            (self.hook_resid_mid,) = activation_points(1, self.implementation)
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
        if self.is_parallel:
            read = self.attention_norm(x)
            attended = self.hook_attn_out(self.damped(self.attention(read, position, mask, cache)))
            read = read if self.shares_norm else self.mlp_norm(x)
            return self.hook_resid_post(x + attended + self.hook_mlp_out(self.damped(self._transform(read, record))))
        if self.is_post_norm:
            added = self.damped(self.attention(x, position, mask, cache))
            x = self.hook_resid_mid(self.attention_norm(x + self.hook_attn_out(added)))
            added = self.damped(self._transform(x, record))
            return self.hook_resid_post(self.mlp_norm(x + self.hook_mlp_out(added)))
        added = self.attention_output_norm(self.attention(self.attention_norm(x), position, mask, cache))
        x = self.hook_resid_mid(x + self.hook_attn_out(self.damped(added)))
        added = self.mlp_output_norm(self._transform(self.mlp_norm(x), record))
        return self.hook_resid_post(x + self.hook_mlp_out(self.damped(added)))

    def damped(self, added: Stream) -> Stream:
        """What a part adds, after dropout and residual_scale."""
        added = self.dropout(added)
        return added if self.residual_scale == 1.0 else added * self.residual_scale

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
