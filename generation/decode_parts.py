"""The parts of a decode plan, each the computation of one component of the model for a single token."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.alibi import LinearBiases
from components.attention import Attention
from components.kv_cache import KVCache
from components.layernorm import LayerNorm
from components.position import Position
from components.positional_embedding import PositionalEmbedding
from components.rmsnorm import RMSNorm
from components.rope import RotaryPositions
from components.sinusoidal import SinusoidalPositions
from config.model_config import ModelConfig
from generation.projections import Projections, Row


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
        assert isinstance(norm, LayerNorm | RMSNorm) and norm.weight is not None
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

    def __init__(self, config: ModelConfig, mlp: Any, projections: Projections) -> None:
        self.down = projections(mlp.down_proj)
        self.activate: Callable[[Row], Row]
        if config.mlp == "gelu":
            up = projections(mlp.up_proj)
            approximate = "none" if config.gelu_form == "exact" else "tanh"  # torch's words for the two forms
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
