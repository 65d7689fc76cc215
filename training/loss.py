"""The loss of a model on a batch: mean negative log-likelihood of the next token, in nats.

    loss = mean over tokens of  log Σ_v exp(z_v) − z_target          z = U x, one score for each word v

Two ways to compute it. The plain one forms all logits `[batch pos d_vocab]`, in float32, once more as probabilities and
once more as gradient. With 50,257 words and 12 x 1,024 tokens each of these takes 2.5 GB, far more than the model. The
chunked one walks over the tokens in chunks, and for each forms its logits, its loss *and its gradients*, and throws the
logits away:

    p = softmax(z)    dz = ∂loss/∂z = (p − onehot(target)) / tokens    ∂loss/∂x = dz U    ∂loss/∂U += dzᵀ x

It can do so because the loss is the last thing in the network: what the backward pass will be asked for is already
known, up to one number, in the forward pass. The same three matrix products, nothing is computed twice.
Sources of the idea: Hsu et al. 2024 (Liger Kernel), arXiv:2410.10989; Wijmans et al. 2024, arXiv:2411.09009.

Of packed documents (text/packing.py) the loss is the mean over the targets that count, those of responses. The others
are left out, not multiplied by zero: in chunks their logits are not even formed. Their gradient is exactly 0.

A mixture of experts is also held to use its experts evenly: balance_loss · L is descended together with the loss, and
is not part of the number. What is logged and compared is the loss of the language model alone, for every model.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from components.balance import RoutingRecord
from components.model import Transformer
from components.moe import MixtureOfExperts
from config.sizes import CHUNK_LOGITS, LARGE_LOGITS
from text.packing import IGNORED, NOBODY
from training.routing import RoutingTally


def model_loss(
    model: nn.Module,
    tokens: Int[Tensor, "batch pos"],
    targets: Int[Tensor, "batch pos"],
    documents: Int[Tensor, "batch pos"] | None = None,
    chunked: Callable[..., Tensor] | None = None,
) -> Tensor:
    """Mean loss of a model on a batch, in nats per token, by whichever way fits; `chunked` replaces `chunked_loss`."""
    return loss_and_routing(model, tokens, targets, documents, chunked)[0]


def loss_and_routing(
    model: nn.Module,
    tokens: Tensor,
    targets: Tensor,
    documents: Tensor | None = None,
    chunked: Callable[..., Tensor] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The same, and what the routers did (components/balance.py); None for a model without experts."""
    if not isinstance(model, Transformer):
        return next_token_loss(model(tokens), targets), None
    record = None
    if model.config.n_experts:
        record = RoutingRecord(None if documents is None else documents != NOBODY)
    if targets.numel() * model.config.d_vocab > LARGE_LOGITS:
        head: Any = model.unembedding  # nn.Module's attributes have no type
        x, bias = model.stream(tokens, documents=documents, record=record), head.bias
        if documents is not None:
            counts = targets != IGNORED  # [batch pos]
            x, targets = x[counts][None], targets[counts][None]
        if head.scale != 1.0:  # there are fewer numbers going into the matrix than coming out
            x, bias = x * head.scale, None if bias is None else bias * head.scale
        loss = (chunked or chunked_loss)(x, model.unembedding_matrix, targets, None, bias, head.cap)
    else:
        loss = next_token_loss(model(tokens, documents=documents, record=record), targets)
    if record is None:
        return loss, None
    return descending_with(loss, model.config.balance_loss * record.penalty), record.sums


def descending_with(loss: Tensor, penalty: Tensor) -> Tensor:
    """The number of the loss, with the gradient of loss and penalty together: what is added is 0, its slope is not."""
    return loss + (penalty - penalty.detach())


class LossFunction:
    """`model_loss`, and for batches of one shape, where it is asked for, compiled. The tally hears what routers did.

    A training has one shape, but the last batch of an evaluation may be shorter: to compile once more for it would take
    longer than to score it. The model itself stays as it is, with its names; compiled code belongs to this object.
    """

    def __init__(self, shape: tuple[int, int], compiled: bool = False, routing: RoutingTally | None = None) -> None:
        self.shape, self.routing, self._has_seen_model = shape, routing, False
        self._compiled = torch.compile(_loss_to_compile(), dynamic=False) if compiled else None

    def __call__(self, model: nn.Module, tokens: Tensor, targets: Tensor, documents: Tensor | None = None) -> Tensor:
        """Mean loss of a model on a batch `[batch pos]`, in nats per token that counts."""
        if self._compiled and not self._has_seen_model:
            leave_experts_alone(model)
            keep_what_is_computed(tokens.device)
            self._has_seen_model = True
        loss_of = self._compiled if self._compiled and tuple(tokens.shape) == self.shape else loss_and_routing
        loss, sums = loss_of(model, tokens, targets, documents)
        if self.routing is not None and sums is not None:
            self.routing.add(sums)
        return loss


def leave_experts_alone(model: nn.Module) -> None:
    """Keep what experts compute out of compiled code: how many tokens come to each is another number in every batch,
    and code for all of these numbers would never be finished. Everything around them is compiled."""
    for module in model.modules():
        if isinstance(module, MixtureOfExperts):
            setattr(module, "mix", torch.compiler.disable(module.mix))  # noqa: B010  # mypy: a method


def keep_what_is_computed(device: torch.device) -> None:
    """Let the backward pass read what the forward pass computed, where the compiler's choice is to compute it again:
    on a GPU, whose memory is slow, that saves time, but on a CPU an exponential costs more than to read its result."""
    if device.type == "cpu":
        import torch._functorch.config

        torch._functorch.config.max_dist_from_bw = 1  # how many operations may be repeated to save one reading


def _loss_to_compile() -> Callable[..., tuple[Tensor, Tensor | None]]:
    """`loss_and_routing` whose chunked half stays as it is: unrolled into dozens of copies it takes minutes to compile.

    Said here and not as a decorator, which would load the compiler, 1.6 s, at the start of every training.
    """
    left_alone = torch.compiler.disable(chunked_loss)

    def loss(
        model: nn.Module, tokens: Tensor, targets: Tensor, documents: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        return loss_and_routing(model, tokens, targets, documents, left_alone)

    return loss


def next_token_loss(logits: Float[Tensor, "batch pos d_vocab"], targets: Int[Tensor, "batch pos"]) -> Float[Tensor, ""]:
    """Mean negative log-likelihood of the targets that count, in nats per token."""
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED)


def count_targets(tokens: Tensor, targets: Tensor, documents: Tensor | None = None) -> int | Tensor:
    """How many targets of a batch count: of running text all, of packed documents a number that stays on the device."""
    return targets.numel() if documents is None else (targets != IGNORED).sum()


def chunked_loss(
    x: Float[Tensor, "batch pos d_model"],
    matrix: Float[Tensor, "d_vocab d_model"],
    targets: Int[Tensor, "batch pos"],
    chunk: int | None = None,
    bias: Float[Tensor, "d_vocab"] | None = None,
    cap: float | None = None,
) -> Float[Tensor, ""]:
    """The same from what the unembedding reads and its matrix (bias, cap), `chunk` tokens at a time."""
    chunk = chunk or max(1, CHUNK_LOGITS // matrix.shape[0])
    return ChunkedLoss.apply(x.flatten(0, 1), matrix, bias, targets.flatten(), cap, chunk, torch.is_grad_enabled())


class ChunkedLoss(torch.autograd.Function):
    """Unembedding and loss as one operation on x `[token d_model]`, U `[d_vocab d_model]` and targets `[token]`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        matrix: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        cap: float | None,
        chunk: int,
        training: bool,
    ) -> Tensor:
        """The mean loss; beside it the gradients of the *sum* of the losses, for `backward`."""
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        sums = _Sums(*(tensor if training and needed else None
                       for tensor, needed in zip((x, matrix, bias), ctx.needs_input_grad, strict=False)))  # fmt: skip
        total = torch.zeros((), dtype=torch.float32, device=x.device)
        u = matrix.to(dtype)
        for start in range(0, len(targets), chunk):
            rows = slice(start, start + chunk)
            x_rows, target_rows = x[rows].to(dtype), targets[rows, None]
            z = (x_rows @ u.T).float()  # [token d_vocab]
            z = z if bias is None else z.add_(bias)
            z = z if cap is None else z.div_(cap).tanh_().mul_(cap)
            log_sum = z.logsumexp(dim=1, keepdim=True)
            total += (log_sum - z.gather(1, target_rows)).sum()
            if not training:
                continue
            slope = None if cap is None else 1 - (z / cap) ** 2  # of the cap
            dz = z.sub_(log_sum).exp_()  # p
            dz = dz.scatter_add_(1, target_rows, dz.new_full(target_rows.shape, -1.0))
            sums.add(rows, dz if slope is None else dz.mul_(slope), x_rows, u)
        ctx.save_for_backward(sums.dx, sums.dmatrix, sums.dbias)
        ctx.n_targets = len(targets)
        return total / len(targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        """What was found, times what the loss was multiplied with: 1 / tokens inside, and any factor after it.

        Only here, in float32: p / 10,000 would not survive float16.
        """
        factor = scale / ctx.n_targets
        found = (None if tensor is None else tensor * factor for tensor in ctx.saved_tensors)
        return *found, None, None, None, None


class _Sums:
    """The gradients that are wanted, summed up chunk by chunk."""

    def __init__(self, x: Tensor | None, matrix: Tensor | None, bias: Tensor | None) -> None:
        self.dx = None if x is None else torch.empty_like(x)
        self.dmatrix = None if matrix is None else torch.zeros_like(matrix)
        self.dbias = None if bias is None else torch.zeros_like(bias)

    def add(self, rows: slice, dz: Tensor, x_rows: Tensor, u: Tensor) -> None:
        """One chunk's part; dz is the gradient of its logits, in float32."""
        if self.dbias is not None:
            self.dbias += dz.sum(dim=0)
        dz = dz.to(u.dtype)
        if self.dx is not None:
            self.dx[rows] = dz @ u
        if self.dmatrix is not None and u.dtype == self.dmatrix.dtype:
            self.dmatrix.addmm_(dz.T, x_rows)
        elif self.dmatrix is not None:
            self.dmatrix += dz.T @ x_rows
