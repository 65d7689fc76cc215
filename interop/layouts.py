"""How a tensor of ours lies in the tensors of a Hugging Face file: nine layouts, each an exact two-way road.

    Same            one tensor, as it is
    Transposed      [in out] instead of [out in]: GPT-2's Conv1D
    Joined          ours is one matrix, theirs are several, one under the other: q_proj, k_proj, v_proj -> qkv_proj
    Packed          ours are several, theirs is one: gate_proj, up_proj <- gate_up_proj
    PackedByHead    both are one, in another order of rows: ours is [all q | all k | all v], theirs goes kv head by kv
                    head, each with its queries: [q … q k v | q … q k v | …]
    HeadRows        ours is a vector, theirs a table with a row for each head
    ShorterBy       theirs has rows in front that nobody reads
    Stacked         ours is a matrix for each expert, theirs one tensor [expert in out]
    StackedRows     the same, [expert out in]

A layout moves numbers and computes none, so import and export are exact, bit for bit. It acts on rows, and a bias is a
column of rows: one rule serves the weight and the bias of a module. It also acts on tensors without storage (device
"meta"), which is how the expected shapes of a file are known before it is opened.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from config.model_config import ModelConfig


class Layout(ABC):
    """Both directions of one way to store the same numbers."""

    @abstractmethod
    def to_ours(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        """The tensors of our model."""

    @abstractmethod
    def to_theirs(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        """The tensors of their file."""


@dataclass(frozen=True)
class Same(Layout):
    """One tensor, as it is."""

    def to_ours(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return list(theirs)

    def to_theirs(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return list(ours)


@dataclass(frozen=True)
class Transposed(Layout):
    """Rows and columns change places. A square matrix has the same shape both ways: only this table knows better."""

    def to_ours(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [tensor.T if tensor.ndim == 2 else tensor for tensor in theirs]

    def to_theirs(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return self.to_ours(ours, config)


@dataclass(frozen=True)
class Joined(Layout):
    """Theirs, one under the other, are ours: the rows of queries, keys and values."""

    def to_ours(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [torch.cat(list(theirs))]

    def to_theirs(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        (tensor,) = ours
        return list(tensor.split(rows_of_qkv(config)))


@dataclass(frozen=True)
class Packed(Layout):
    """Ours, one under the other and all of the same size, are theirs."""

    n_parts: int

    def to_ours(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        (tensor,) = theirs
        return list(tensor.chunk(self.n_parts))

    def to_theirs(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [torch.cat(list(ours))]


@dataclass(frozen=True)
class PackedByHead(Layout):
    """Each kv head with its queries before it. With as many kv heads as heads that is [q k v] for every head."""

    def to_ours(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        (tensor,) = theirs
        group = config.n_heads // config.kv_heads
        heads = tensor.unflatten(0, (config.kv_heads, group + 2, config.head_dim))
        parts = heads.split((group, 1, 1), dim=1)  # [kv_head group|1|1 d_head …]
        return [torch.cat([part.flatten(0, 2) for part in parts])]

    def to_theirs(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        (tensor,) = ours
        parts = [
            part.unflatten(0, (config.kv_heads, -1, config.head_dim)) for part in tensor.split(rows_of_qkv(config))
        ]
        return [torch.cat(parts, dim=1).flatten(0, 2)]


@dataclass(frozen=True)
class HeadRows(Layout):
    """A vector of ours that is a table of theirs, with a row for each head."""

    def to_ours(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [tensor.flatten() for tensor in theirs]

    def to_theirs(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [tensor.unflatten(0, (-1, config.head_dim)) for tensor in ours]


@dataclass(frozen=True)
class ShorterBy(Layout):
    """Rows in front that ours does not have; they are written as zeros."""

    n_rows: int

    def to_ours(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [tensor[self.n_rows :] for tensor in theirs]

    def to_theirs(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [torch.cat([tensor.new_zeros(self.n_rows, *tensor.shape[1:]), tensor]) for tensor in ours]


@dataclass(frozen=True)
class Stacked(Layout):
    """All experts in one tensor, transposed; `n_parts` matrices of ours share it, column by column in turn.

    Ours come in the order gate of all experts, up of all experts. A bias is a matrix of one column less.
    """

    n_parts: int

    def to_ours(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        (tensor,) = theirs
        parts = [tensor[..., part :: self.n_parts] for part in range(self.n_parts)]  # [expert (in) out]
        return [matrix.mT if matrix.ndim == 2 else matrix for part in parts for matrix in part]

    def to_theirs(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        matrices = torch.stack([matrix.mT if matrix.ndim == 2 else matrix for matrix in ours])
        parts = matrices.unflatten(0, (self.n_parts, -1))  # [part expert (in) out]
        return [parts.movedim(0, -1).flatten(-2)]


@dataclass(frozen=True)
class StackedRows(Layout):
    """All experts in one tensor as ours are, [expert out in]; `n_parts` matrices of ours lie one under the other."""

    n_parts: int

    def to_ours(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        (tensor,) = theirs
        return [matrix for part in tensor.chunk(self.n_parts, dim=1) for matrix in part]

    def to_theirs(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        parts = torch.stack(list(ours)).unflatten(0, (self.n_parts, -1))  # [part expert out in]
        return [parts.movedim(0, 1).flatten(1, 2)]


def rows_of_qkv(config: ModelConfig) -> list[int]:
    """How many rows of our packed matrix are queries, keys and values."""
    return [config.n_heads * config.head_dim, config.kv_heads * config.head_dim, config.kv_heads * config.head_dim]
