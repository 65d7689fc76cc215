"""Several processes that train one run together: who they are, and what they say to each other.

torchrun starts the same program N times and tells each its rank in the environment. Rank 0 is the worker of the run:
it alone writes the folder, and it alone decides. The others follow: they make the same steps on their rows of every
batch, and between two steps they do what rank 0 orders (training/follower.py).

    rank 0    go ── step ── go ── step ── save ── go ── step ──  …  ── stop ── evaluate ── save ── end
    rank 1    go ── step ── go ── step ── save ── go ── step ──  …  ── stop ── evaluate ── save ── end

Gradients and losses are averaged in the default group (nccl between GPUs, gloo between CPUs); orders have a gloo group
of their own, whose patience has no end, because a pause has none.

Without torchrun there is one rank, `ALONE`; nothing here imports torch for it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from config.errors import ConfigError, Problem

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor
    from torch.distributed import ProcessGroup, Store

Order = Literal["train", "go", "save", "evaluate", "stop", "end"]
ORDERS: tuple[Order, ...] = ("train", "go", "save", "evaluate", "stop", "end")
STRATEGIES = ("ddp", "fsdp")
STEP_PATIENCE, ORDER_PATIENCE = timedelta(minutes=30), timedelta(days=1000)
RUN_KEY, FAILURE_KEY = "run folder", "failure"


class LeaderGoneError(Exception):
    """Rank 0 ended without an order; it has said why, or cannot any more."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train a run together.

    Attributes:
        rank: its number; 0 is the worker of the run.
        size: how many there are.
        local_rank: its number on this machine, which is the number of its GPU.
        local_size: how many there are on this machine.
        parallel: what each holds: `ddp` the whole model, `fsdp` its share of it.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    parallel: str = "ddp"
    store: Store | None = None
    orders: ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes and decides."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.size == 1

    def describe(self, device: str) -> str:
        """What the run trains on."""
        return device if self.alone else f"{self.size} x {device} ({self.parallel})"

    def join(self) -> Ranks:
        """Meet the others; returns when all are there."""
        if self.alone:
            return self
        import torch
        import torch.distributed as dist

        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        store, rank, size = next(dist.rendezvous("env://"))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=STEP_PATIENCE)
        return replace(self, store=store, orders=dist.new_group(backend="gloo", timeout=ORDER_PATIENCE))

    def leave(self) -> None:
        """After the last order."""
        if not self.alone:
            import torch.distributed as dist

            dist.destroy_process_group()

    # --- what a rank computes on --------------------------------------------------------------------------------

    def device(self, chosen: torch.device) -> torch.device:
        """The GPU of this rank where GPUs were chosen.

        Raises:
            ConfigError: there are not so many, or the chosen device cannot work with others.
        """
        if self.alone or chosen.type == "cpu":
            return chosen
        import torch

        if chosen.type != "cuda":
            message = f"several processes train on cpu or cuda, not on {chosen.type}: add --device cpu"
            raise ConfigError([Problem("device", message)])
        if self.local_rank >= (count := torch.cuda.device_count()):
            message = f"there are {count} GPUs for {self.local_size} processes: take --nproc-per-node {count}"
            raise ConfigError([Problem("device", message)])
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def rows_of_batch(self, batch_size: int, parts: int) -> np.ndarray | None:
        """Which rows of a step's batch are this rank's: the same share of each micro-batch. None means all."""
        if self.alone:
            return None
        import numpy as np

        return np.arange(batch_size).reshape(parts, self.size, -1)[:, self.rank].ravel()

    def share(self, rows: Tensor) -> Tensor:
        """This rank's rows of a batch of any length; empty where there are fewer rows than ranks."""
        return rows if self.alone else rows.tensor_split(self.size)[self.rank]

    def seed_dropout(self, seed: int, step: int) -> None:
        """Masks of their own for every rank: the first one's come from the generator that checkpoints save, as in one
        process, those of the others from their rank and the step, so that there is nothing more to save."""
        if not self.is_first:
            import torch

            digest = hashlib.sha256(f"{seed} dropout {self.rank} {step}".encode()).digest()
            torch.manual_seed(int.from_bytes(digest[:8], "little"))

    # --- what ranks agree on ------------------------------------------------------------------------------------

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks, the same bits on each."""
        if not self.alone:
            import torch.distributed as dist

            dist.all_reduce(values)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all ranks."""
        return values if self.alone else self.sum(values) / self.size

    def agree(self, answer: bool) -> bool:
        """Rank 0's answer."""
        return answer if self.alone else bool(self._hear(int(answer)))

    def broadcast_number(self, number: int) -> int:
        """Rank 0's number."""
        return number if self.alone else self._hear(number)

    def order(self, order: Order) -> None:
        """Rank 0 tells the others what all do next."""
        if not self.alone:
            self._hear(ORDERS.index(order))

    def next_order(self) -> Order:
        """What rank 0 wants next.

        Raises:
            LeaderGoneError: it is gone.
        """
        return ORDERS[self._hear(0)]

    def _hear(self, number: int) -> int:
        import torch
        import torch.distributed as dist

        message = torch.tensor([number], dtype=torch.int32)
        try:
            dist.broadcast(message, src=0, group=self.orders)
        except RuntimeError as error:
            if self.is_first:
                raise
            raise LeaderGoneError from error
        return int(message.item())

    # --- words, through the store that torchrun brings ------------------------------------------------------------

    def tell_run(self, path: str) -> None:
        """Rank 0 says which run it is."""
        if self.store is not None:
            self.store.set(RUN_KEY, path)

    def hear_run(self) -> str:
        """The run folder; waits for it."""
        assert self.store is not None
        return self.store.get(RUN_KEY).decode()

    def report_failure(self, reason: str) -> None:
        """A rank that cannot go on says why before it ends, which ends the others."""
        if self.store is not None:
            self.store.set(FAILURE_KEY, f"process {self.rank} of {self.size} failed: {reason}")

    def explain(self, error: Exception) -> str:
        """Why rank 0 cannot go on: what another rank has reported, or its own error."""
        own = f"{type(error).__name__}: {error}"
        if self.store is None:
            return own
        if self.store.check([FAILURE_KEY]):
            return self.store.get(FAILURE_KEY).decode()
        if "Connection" in str(error):  # gloo's words for a peer whose end of the line is closed
            return f"one of the {self.size} processes ended without a word (killed, or out of memory)"
        return own


ALONE = Ranks()


def ranks_from(environment: Mapping[str, str] = os.environ, parallel: str | None = None) -> Ranks:
    """Who this process is, from the variables that torchrun sets.

    Raises:
        ConfigError: a strategy was chosen, and there is nobody to share with.
    """

    def number(name: str, default: int) -> int:
        return int(environment.get(name, default))

    if parallel is not None and number("WORLD_SIZE", 1) == 1:
        message = f"--parallel {parallel} is for several processes: start with torchrun --nproc-per-node N train.py"
        raise ConfigError([Problem("parallel", message)])
    if number("WORLD_SIZE", 1) == 1:
        return ALONE
    return Ranks(
        number("RANK", 0), number("WORLD_SIZE", 1), number("LOCAL_RANK", 0), number("LOCAL_WORLD_SIZE", 1),
        parallel or "ddp",
    )  # fmt: skip


def end_process(status: int) -> NoReturn:
    """End this process of train.py with an exit status.

    One of several ends at once, not through the interpreter's own end: threads of gloo may still hold the tensors of
    the last message, and giving them back to an interpreter that is being taken down aborts a process whose work was
    done (pytorch pull request 179291).
    """
    if ranks_from().alone:
        sys.exit(status)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class SilentWriter:
    """Takes the place of a metrics file where another rank writes it."""

    def write(self, values: dict[str, Any]) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""

    def truncate(self, offset: int) -> None:
        """Nothing."""

    def offset(self) -> int:
        """Nothing was written."""
        return 0
