"""One token through the model with as little Python as possible: for texts that are written one at a time.

A model called for one token spends most of its time on the way to the work: modules that call modules, dropouts that
drop nothing, buffers allocated and thrown away. A plan walks the model once and keeps its matrices and a few buffers;
a step is then a straight list of operations on them. Prompts still go through the model itself, whose KV cache the plan
reads and continues.

    plan = DecodePlan.of(model, cache)     None for a model with anything the plan does not know: then call the model
    logits = plan.step(token)              [1 d_vocab], equal to the model's own up to rounding

What it knows: all components of the catalogue, in float32 on the CPU. What it refuses: other devices and number
formats, replaced linear maps (adapters), modules with hooks. Matrices are copied only where that pays (`Projection`),
so a plan is made for each text, in about a millisecond, and is never out of date in a training. It is not shared: its
buffers and its cache belong to one text. The logits of a step live in such a buffer until the next step.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from components.alibi import LinearBiases
from components.attention import Attention
from components.kv_cache import KVCache
from components.layernorm import LayerNorm
from components.mlp import GeluMLP
from components.model import Transformer
from components.position import Position
from components.positional_embedding import PositionalEmbedding
from components.rmsnorm import RMSNorm
from components.rope import RotaryPositions
from components.sinusoidal import SinusoidalPositions
from components.swiglu import SwigluMLP

# Small matrices gain from a copy of Wᵀ beside W (x @ Wᵀ against W @ x), large ones wait for the memory either way.
COPY_UP_TO = 256 * 1024  # elements
# The kernel for 8-bit weights reads so many numbers at once, and past the end of rows that are no multiple of it:
# wrong results, and crashes (seen with rows of 8 and of 9,000; right for 16, 32, 96, 9,008 and others).
INT8_WIDTH = 16

Row = Float[Tensor, "1 d_some"]


class Projection:
    """y = x Wᵀ + b for one row x, into a buffer of its own."""

    def __init__(self, weights: list[Tensor], biases: list[Tensor | None]) -> None:
        joined = len(weights) > 1
        weight = torch.cat([w.detach() for w in weights]) if joined else weights[0].detach()
        known = [b.detach() for b in biases if b is not None]
        self.bias = torch.cat(known)[None] if known else None  # [1 d_out]
        self.out = weight.new_empty(1, weight.shape[0])
        self.transposed = weight.T.contiguous() if weight.numel() <= COPY_UP_TO else None
        self.weight = weight

    def __call__(self, x: Row) -> Row:
        """x Wᵀ + b."""
        if self.transposed is not None:
            if self.bias is None:
                return torch.mm(x, self.transposed, out=self.out)
            return torch.addmm(self.bias, x, self.transposed, out=self.out)
        torch.mv(self.weight, x[0], out=self.out[0])
        return self.out if self.bias is None else self.out.add_(self.bias)

    def add_to(self, stream: Row, x: Row) -> None:
        """stream += x Wᵀ + b."""
        if self.transposed is not None:
            stream.addmm_(x, self.transposed)
        else:
            stream[0].addmv_(self.weight, x[0])
        if self.bias is not None:
            stream.add_(self.bias)


class Int8Projection(Projection):
    """The same with 8-bit weights: each row of W as whole numbers −127 … 127 times one scale, x in bfloat16.

    A quarter of the memory to read, for matrices that a step waits for; costs precision, see docs/generation.md.
    """

    def __init__(self, weights: list[Tensor], biases: list[Tensor | None]) -> None:
        super().__init__(weights, biases)
        scales = self.weight.abs().amax(dim=1).clamp(min=1e-12) / 127
        self.scales = scales.to(torch.bfloat16)  # as the kernel wants them; rounded first, so that no error is added
        self.whole = (self.weight / self.scales.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        del self.weight  # of joined matrices it is a copy, four times as large as what is read

    def __call__(self, x: Row) -> Row:
        self.out.copy_(torch._weight_int8pack_mm(x.to(torch.bfloat16), self.whole, self.scales))
        return self.out if self.bias is None else self.out.add_(self.bias)

    def add_to(self, stream: Row, x: Row) -> None:
        stream.add_(self(x))


class Projections:
    """Makes the projections of a plan, in 8 bits where that is asked for and pays."""

    def __init__(self, weights: str) -> None:
        self.is_int8 = weights == "int8"
        self.made: list[Projection] = []

    def __call__(self, *linears: nn.Linear) -> Projection:
        return self.of([linear.weight for linear in linears], [linear.bias for linear in linears])

    def of(self, weights: list[Tensor], biases: list[Tensor | None]) -> Projection:
        """The projection of some matrices, one under the other."""
        self.made.append((Int8Projection if self._rounds(weights) else Projection)(weights, biases))
        return self.made[-1]

    def joins(self, *linears: nn.Linear) -> bool:
        """Whether matrices that read the same row are better one projection: small enough to copy, or rounded."""
        weights = [linear.weight for linear in linears]
        return not _is_large(weights) or self._rounds(weights)

    def _rounds(self, weights: list[Tensor]) -> bool:
        return self.is_int8 and _is_large(weights) and weights[0].shape[1] % INT8_WIDTH == 0


def _is_large(weights: list[Tensor]) -> bool:
    return sum(weight.numel() for weight in weights) > COPY_UP_TO


class Stream:
    """The residual stream of one token, and the norms that read it.

    Both halves of the buffer are kept for RMSNorm, which torch has not as one kernel on the CPU: the numbers x and −x
    together have mean 0 and variance mean(x²), so their LayerNorm is the RMSNorm of x, twice over.
    """

    def __init__(self, d_model: int, like: Tensor) -> None:
        self.both = like.new_zeros(1, 2 * d_model)
        self.x, self.negative = self.both[:, :d_model], self.both[:, d_model:]

    def normalizer(self, norm: nn.Module) -> Callable[[], Row]:
        """A function that gives the normalized stream."""
        if isinstance(norm, nn.Identity):
            return lambda: self.x
        assert isinstance(norm, LayerNorm | RMSNorm)
        weight, eps, d_model = norm.weight.detach(), norm.eps, norm.weight.shape[0]
        if isinstance(norm, LayerNorm):
            bias = None if norm.bias is None else norm.bias.detach()
            return lambda: torch.layer_norm(self.x, (d_model,), weight, bias, eps)
        twice = torch.cat((weight, weight))

        def rms_norm() -> Row:
            torch.neg(self.x, out=self.negative)
            return torch.layer_norm(self.both, (2 * d_model,), twice, None, eps)[:, :d_model]

        return rms_norm


class Positions:
    """What a position scheme does to one token, at whichever of its three places."""

    def __init__(self, position: Position) -> None:
        self.embedding: Tensor | None = None  # [n_ctx d_model]
        self.turns: tuple[Tensor, ...] = ()  # cos and signed sin, [n_ctx d_head] each
        self.biases: Tensor | None = None  # [head 1 n_ctx], of the last position to all
        if isinstance(position, PositionalEmbedding):
            self.embedding = position.weight.detach()
        elif isinstance(position, SinusoidalPositions):
            self.embedding = position.table
        elif isinstance(position, RotaryPositions):
            self.turns = position.wide_cos, position.signed_sin
        elif isinstance(position, LinearBiases):
            self.biases = position.bias(1, position.n_ctx)


class AttentionStep:
    """Attention of one token: projection, rotation, cache, pattern, mixture, projection onto the stream."""

    def __init__(
        self, attention: Attention, positions: Positions, cache: KVCache, index: int, projections: Projections
    ) -> None:
        self.scale = attention.scale
        self.buffer = cache.keys_and_values(index)[0]  # [both_kv_heads capacity d_head]
        self.keys = self.buffer[: attention.kv_heads].transpose(1, 2)  # [kv_head d_head capacity]
        self.values = self.buffer[attention.kv_heads :]
        self.qkv = projections(attention.qkv_proj)
        self.projection = projections(attention.out_proj)
        heads = self.qkv.out.view(-1, attention.d_head)  # [q heads, k heads, v heads]: views of the buffer
        self.turning = heads[: attention.n_heads + attention.kv_heads]
        self.query = heads[: attention.n_heads].view(attention.kv_heads, -1, attention.d_head)  # [kv_head group d_head]
        self.key_and_value = heads[attention.n_heads :]
        self.swapped = torch.empty_like(self.turning)
        half = attention.d_head // 2
        self.swaps = [
            (self.swapped[:, :half], self.turning[:, half:]),
            (self.swapped[:, half:], self.turning[:, :half]),
        ]
        self.biases = None
        if positions.biases is not None:  # [kv_head group n_ctx]
            self.biases = positions.biases.reshape(attention.kv_heads, -1, positions.biases.shape[-1])
        self.no_bias = heads.new_zeros(())

    def __call__(self, x: Row, stream: Row, place: int, turn: tuple[Tensor, ...]) -> None:
        self.qkv(x)
        if turn:  # the formula of components/rope.py, halves swapped by two copies
            for target, source in self.swaps:
                target.copy_(source)
            cos, signed_sin = turn
            self.turning.mul_(cos).addcmul_(self.swapped, signed_sin)
        self.buffer.select(1, place).copy_(self.key_and_value)
        keys, values = self.keys.narrow(2, 0, place + 1), self.values.narrow(1, 0, place + 1)
        if self.biases is None:
            scores = torch.baddbmm(self.no_bias, self.query, keys, beta=0, alpha=self.scale)  # [kv_head group key]
        else:
            near = self.biases[:, :, self.biases.shape[2] - place - 1 :]
            scores = torch.baddbmm(near, self.query, keys, alpha=self.scale)
        mixed = torch.bmm(torch.softmax(scores, dim=-1), values)  # [kv_head group d_head]
        self.projection.add_to(stream, mixed.view(1, -1))


class MLPStep:
    """The MLP of one token, of either kind; gate and up are one product where that pays."""

    def __init__(self, mlp: GeluMLP | SwigluMLP, projections: Projections) -> None:
        self.down = projections(mlp.down_proj)
        self.activate: Callable[[Row], Row]
        if isinstance(mlp, GeluMLP):
            up = projections(mlp.up_proj)
            approximate = "none" if mlp.gelu_form == "exact" else "tanh"  # torch's words for the two forms
            self.activate = lambda x: F.gelu(up(x), approximate=approximate)
            return
        linears = (mlp.gate_proj, mlp.up_proj)
        if projections.joins(*linears):
            both = projections(*linears)
            gate_row, up_row = both.out.chunk(2, dim=1)

            def swiglu(x: Row) -> Row:
                both(x)
                return F.silu(gate_row, inplace=True).mul_(up_row)
        else:
            gate, up = map(projections, linears)

            def swiglu(x: Row) -> Row:
                return F.silu(gate(x), inplace=True).mul_(up(x))

        self.activate = swiglu

    def __call__(self, x: Row, stream: Row) -> None:
        self.down.add_to(stream, self.activate(x))


class DecodePlan:
    """Everything a step needs, in the order in which it is used."""

    @staticmethod
    def of(model: nn.Module, cache: KVCache, weights: str = "float32") -> "DecodePlan | None":
        """The plan of a model and the cache it continues, or None if the model has anything that a plan does not know.

        The cache must hold a single text without padding, in float32. `weights` "int8" rounds the large matrices.
        """
        return DecodePlan(model, cache, weights) if isinstance(model, Transformer) and _is_known(model) else None

    def __init__(self, model: Transformer, cache: KVCache, weights: str = "float32") -> None:
        self._projections = projections = Projections(weights)
        parts: Any = model  # nn.Module's attributes have no type
        self.cache = cache
        with torch.inference_mode():
            self.embedding = parts.token_embedding.weight.detach()
            self.stream = Stream(model.config.d_model, self.embedding)
            self.positions = Positions(parts.positional_embedding)
            self.is_pre_norm = model.config.norm_placement == "pre"
            self.layers = [
                (
                    self.stream.normalizer(block.attention_norm),
                    AttentionStep(block.attention, self.positions, cache, index, projections),
                    self.stream.normalizer(block.mlp_norm),
                    MLPStep(block.mlp, projections),
                )
                for index, block in enumerate(parts.blocks)
            ]
            self.final_norm = self.stream.normalizer(parts.final_norm)
            self.unembedding = projections.of([model.unembedding_matrix], [None])

    @property
    def is_rounded(self) -> bool:
        """Whether any matrix is read in 8 bits; asking for them changes nothing where none is large enough and fits."""
        return any(isinstance(projection, Int8Projection) for projection in self._projections.made)

    @torch.inference_mode()
    def step(self, token: int) -> Float[Tensor, "1 d_vocab"]:
        """Append one token to the cache; logits for the next one.

        Raises:
            ValueError: the cache is full.
        """
        self.cache.check_room(1, 1)
        place, x = self.cache.length, self.stream.x
        if self.positions.embedding is None:
            x.copy_(self.embedding[token])
        else:
            torch.add(self.embedding[token], self.positions.embedding[place], out=x[0])
        turn = tuple(table[place] for table in self.positions.turns)
        for attention_norm, attention, mlp_norm, mlp in self.layers:
            if self.is_pre_norm:
                attention(attention_norm(), x, place, turn)
                mlp(mlp_norm(), x)
            else:
                attention(x, x, place, turn)
                x.copy_(attention_norm())
                mlp(x, x)
                x.copy_(mlp_norm())
        self.cache.advance(1)
        return self.unembedding(self.final_norm())


def _is_known(model: Transformer) -> bool:
    """Whether every part is one that the plan computes, and nobody listens to it (hooks would not be called)."""
    parts: Any = model
    if any(p.dtype != torch.float32 or p.device.type != "cpu" for p in model.parameters()):
        return False
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        return False
    position = parts.positional_embedding
    schemes = (PositionalEmbedding, SinusoidalPositions, RotaryPositions, LinearBiases)
    if type(position) is not Position and not isinstance(position, schemes):
        return False
    return all(
        isinstance(block.attention, Attention)
        and isinstance(block.mlp, GeluMLP | SwigluMLP)
        and isinstance(block.attention_norm, LayerNorm | RMSNorm)
        and all(type(m) is nn.Linear for m in (*block.attention.children(), *block.mlp.children()))
        for block in parts.blocks
    )
