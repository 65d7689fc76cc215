"""How the model lies on the ranks of a run, and how their gradients meet. One class for each way:

    OneProcess    everything here; nothing to exchange
    DataParallel  ddp: every rank holds the whole model; its gradients are averaged while the backward pass still runs
    FullySharded  fsdp: every rank holds 1/N of each tensor, of its gradient and of the optimizer's state. A block is
                  gathered just before it computes and let go after; gradients are averaged and scattered block by block

All three compute the loss *inside* the module that is wrapped (`ModelLoss`): what DDP and FSDP do happens in the
forward call of a module, and the chunked loss reads the unembedding itself.

DDP: Li et al. 2020, arXiv:2006.15704. FSDP: Zhao et al. 2023, arXiv:2304.11277, after ZeRO, Rajbhandari et al. 2019,
arXiv:1910.02054; the form used here is torch's `fully_shard` (FSDP2), in which a sharded tensor is a `DTensor`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from components.model import Transformer, build_model
from training.distributed import Ranks

LossOf = Callable[..., Tensor]  # of a model and the tensors of a batch: nats per token


class ModelLoss(nn.Module):
    """A model with its loss as one module."""

    def __init__(self, model: nn.Module, loss_of: LossOf) -> None:
        super().__init__()
        self.model, self.loss_of = model, loss_of

    def forward(self, *batch: Tensor) -> Tensor:
        """Mean loss of this rank's rows, in nats per token."""
        return self.loss_of(self.model, *batch)


class OneProcess:
    """The model on one device, called as it is."""

    def __init__(self, model: nn.Module, loss_of: LossOf, device: torch.device, ranks: Ranks) -> None:
        self.model, self.loss_of, self.device, self.ranks = model, loss_of, device, ranks
        self.place()

    def place(self) -> None:
        """Put the parameters where they stay; before an optimizer is made for them."""
        self.model.to(self.device)

    def connect(self) -> None:
        """Prepare the exchange of gradients; after the optimizer has laid the parameters out."""

    def loss(self, *batch: Tensor) -> Tensor:
        """Mean loss of this rank's rows, for the backward pass."""
        return self.loss_of(self.model, *batch)

    def score(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """The same without gradients, for an evaluation."""
        return self.loss_of(model, *batch)

    def accumulating(self, is_last: bool) -> AbstractContextManager[Any]:
        """Around forward and backward of one micro-batch: gradients have to meet only after the last."""
        return nullcontext()

    def whole_model(self) -> nn.Module | None:
        """A model that one rank can write text with, on rank 0; None elsewhere."""
        return self.model if self.ranks.is_first else None


class DataParallel(OneProcess):
    """DDP around the model and its loss. It averages into the `.grad` windows that the flat optimizer has made."""

    def connect(self) -> None:
        """DDP looks at the parameters once and makes its buckets for their gradients."""
        from torch.nn.parallel import DistributedDataParallel

        self.together = DistributedDataParallel(ModelLoss(self.model, self.loss_of), forward_sync_buffers=False)

    def loss(self, *batch: Tensor) -> Tensor:
        """Through DDP, whose hooks start the exchange."""
        loss: Tensor = self.together(*batch)
        return loss

    def accumulating(self, is_last: bool) -> AbstractContextManager[Any]:
        """Micro-batches before the last only add up."""
        return nullcontext() if is_last else self.together.no_sync()


class FullySharded(OneProcess):
    """FSDP2: one group for each block, and one for what is outside of them."""

    model: Transformer

    def place(self) -> None:
        """Shard every tensor along its first axis; each rank keeps its own rows of it on its device."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.device.type, (self.ranks.size,))
        for block in self.model.blocks:
            fully_shard(block, mesh=mesh)
        self.together = ModelLoss(self.model, self.loss_of)
        fully_shard(self.together, mesh=mesh)

    def loss(self, *batch: Tensor) -> Tensor:
        """Through FSDP, whose hooks gather the parameters."""
        loss: Tensor = self.together(*batch)
        return loss

    def score(self, model: nn.Module, *batch: Tensor) -> Tensor:
        """Also an evaluation needs the parameters gathered."""
        return self.loss(*batch)

    def whole_model(self) -> nn.Module | None:
        """Gathered, which all ranks take part in, into a second model that rank 0 keeps as long as it writes."""
        state = gather(self.model.state_dict(), keep=self.ranks.is_first)
        if not self.ranks.is_first:
            return None
        whole = build_model(self.model.config, self.model.implementation, seed=0)
        whole.load_state_dict(state, strict=True)
        return whole.to(self.device)


def lay_out(model: nn.Module, loss_of: LossOf, device: torch.device, ranks: Ranks) -> OneProcess:
    """The model on this rank."""
    if ranks.alone:
        return OneProcess(model, loss_of, device, ranks)
    kind = {"ddp": DataParallel, "fsdp": FullySharded}[ranks.parallel]
    return kind(model, loss_of, device, ranks)


@torch.no_grad()
def gather(tensors: dict[str, Tensor], keep: bool = True) -> dict[str, Tensor]:
    """Whole tensors on the CPU, ready for a file; empty where `keep` is False.

    Where tensors are sharded all ranks have to call it: they gather one tensor after the other.
    """
    found = {}
    for name, tensor in tensors.items():
        tensor = whole(tensor.detach())
        if keep:
            found[name] = tensor.cpu().contiguous()
    return found


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor. Asked by its method, because to import DTensor costs every start of a single process time."""
    full_tensor = getattr(tensor, "full_tensor", None)
    return tensor if full_tensor is None else full_tensor()


def sharded_like(value: Tensor, reference: Tensor) -> Tensor:
    """This rank's part of a whole tensor, where the reference is sharded; else the tensor on the reference's device."""
    if not hasattr(reference, "full_tensor"):
        return value.to(reference.device, copy=True)
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(reference, DTensor)
    # Without a source every rank cuts its part from its own copy: all have read the same file.
    return distribute_tensor(
        value.to(reference.device), reference.device_mesh, reference.placements, src_data_rank=None
    )
