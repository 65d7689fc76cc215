"""Activation points: named places in the model where a value can be looked at, or another one put in its place.

    pattern = self.hook_pattern(scores.softmax(dim=-1))         the identity, until somebody registers a forward hook

The names are those of TransformerLens (Nanda & Bloom 2022), so that what is known about one model can be said of
another in the same words; interpret/activations.py lists the points of a model and reads them. What departs from
there: the order of the axes is ours, [batch head pos d_head] where TransformerLens has [batch pos head d_head].
Shapes: any -> the same.

    hook_embed, hook_pos_embed                        [batch pos d_model]     token and position vectors
    blocks.3.hook_resid_pre, _mid, _post              [batch pos d_model]     the residual stream in a block
    blocks.3.hook_attn_out, hook_mlp_out              [batch pos d_model]     what each part adds to it
    blocks.3.attn.hook_q, hook_k, hook_v              [batch head|kv_head pos d_head]  before rotary positions
    blocks.3.attn.hook_attn_scores, hook_pattern      [batch head query key]  before and after softmax
    blocks.3.attn.hook_z                              [batch head query d_head]  what each head has gathered
    blocks.3.mlp.hook_pre, hook_pre_linear, hook_post [batch pos d_mlp]       before (the gate), ungated, after
    ln_final.hook_scale, hook_normalized              [batch pos 1|d_model]   in every norm: divisor, result before gain

A point has no parameter, so checkpoints know nothing of it. Only the einops implementation calls its points: the fused
kernels never form most of these values, and `fused` pays for none of them.
"""

from collections.abc import Callable

from torch import Tensor, nn

Point = Callable[[Tensor], Tensor]


class ActivationPoint(nn.Module):
    """Gives back what it gets; its forward hooks see the value, and may return another."""

    def forward(self, value: Tensor) -> Tensor:
        """The value itself: not a copy, not another number."""
        return value


def pass_on(value: Tensor) -> Tensor:
    """What stands for a point where nobody can look."""
    return value


def activation_points(count: int, implementation: str = "einops") -> tuple[Point, ...]:
    """New points, for a part that all implementations share: in those without names, plain functions."""
    return tuple(ActivationPoint() if implementation == "einops" else pass_on for _ in range(count))
