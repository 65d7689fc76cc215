"""How well a model predicts text it has never trained on.

The loss is in nats per token. Bits per byte is the same loss over the same text, in a unit that does not depend on the
tokenizer, so that runs with different ones compare:

    bits per byte = nats per token * tokens / ln 2 / UTF-8 bytes of the text that those tokens stand for

Tokens and bytes are those that were scored, counted one by one, not an average of the split. A token that parts two
documents counts as a token and has no bytes.

While a run trains, an evaluation scores the same few random windows every time: cheap, and steady from one evaluation
to the next, but an estimate of the loss on the split. After the last step the whole split is scored once, window after
window: every token but the first, each exactly once and with the same weight, whatever n_ctx and the batch size are.
What remains of the cut is what the model sees: a token near the start of a window has little context, in both kinds.
"""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from text.batches import Batch, BatchSource
from text.packing import IGNORED
from text.tokenizer import Tokenizer
from training.distributed import ALONE, Ranks
from training.loss import count_targets, model_loss

LossOf = Callable[..., Tensor]  # of a model and the tensors of a batch: nats per token that counts


@dataclass(frozen=True)
class Score:
    """What a model paid for a text, and how long that text was."""

    nats: float  # for all tokens together
    tokens: int
    text_bytes: int  # UTF-8

    @property
    def loss_nats(self) -> float:
        """Mean negative log-likelihood per token."""
        return self.nats / self.tokens

    @property
    def bits_per_byte(self) -> float:
        """The same per byte of text, in bits; not a number for text without bytes."""
        return self.nats / math.log(2) / self.text_bytes if self.text_bytes else math.nan

    def __str__(self) -> str:
        return f"{self.loss_nats:.4f} nats, {self.bits_per_byte:.4f} bits per byte ({self.tokens:,} tokens)"


class Evaluator:
    """Scores a model on the validation split.

    Args:
        source: The split.
        batch_size: Windows of one batch of `score_sample`, which must not depend on what fits in memory.
        micro_batch: Windows that are scored at once; by default a whole batch.
        seed: Decides which windows `score_sample` takes.
        precision: Number format of the model's matrix products, as in training.
        loss_of: How to compute the mean loss of a batch; a compiled `model_loss`, for example.
        ranks: Several of them share the rows of every batch; all get the same score.
    """

    def __init__(
        self,
        source: BatchSource,
        tokenizer: Tokenizer,
        *,
        batch_size: int,
        seed: int,
        precision: AbstractContextManager[object],
        micro_batch: int | None = None,
        loss_of: LossOf = model_loss,
        ranks: Ranks = ALONE,
    ):
        self.source, self.batch_size, self.seed = source, batch_size, seed
        self.precision, self.loss_of, self.ranks = precision, loss_of, ranks
        self.micro_batch = micro_batch or batch_size
        self.byte_lengths = torch.tensor([len(token) for token in tokenizer.token_bytes])
        # What parts two documents is a token to predict, but no byte of the text.
        self.byte_lengths[list(tokenizer.special_ids.values())] = 0

    def score_sample(
        self, model: nn.Module, n_batches: int, should_stop: Callable[[], bool] = lambda: False
    ) -> Score | None:
        """`n_batches` batches of random windows; None if `should_stop` cut it short.

        The batches are the same at every call, drawn apart from those of training: two evaluations differ only by the
        model, and how often one evaluates never changes the training.
        """
        batches = (
            self.source.batch(index, batch_size=self.batch_size, seed=self.seed, stream="val")
            for index in range(n_batches)
        )
        parts = (
            part
            for batch in batches
            for part in zip(*(tensor.split(self.micro_batch) for tensor in batch), strict=True)
        )
        return self._score(model, parts, lambda read: should_stop())

    def score_split(
        self, model: nn.Module, limit_seconds: float, should_stop: Callable[[], bool] = lambda: False
    ) -> Score | None:
        """Every token of the split but the first, once; None if it is cut short.

        Args:
            limit_seconds: Given up as soon as it is clear that it would take longer than this.
        """
        started = time.monotonic()
        warm_up_tokens = 2 * self.micro_batch * self.source.n_ctx  # the first batches of a process are slow

        def give_up(read: int) -> bool:
            expected = (time.monotonic() - started) / read * len(self.source)
            return should_stop() or (read > warm_up_tokens and expected > limit_seconds)

        return self._score(model, self.source.in_order(self.micro_batch), give_up)

    @torch.no_grad()
    def _score(self, model: nn.Module, batches: Iterable[Batch], give_up: Callable[[int], bool]) -> Score | None:
        """Add up nats and bytes over batches; `give_up` is asked after each, with the tokens read so far."""
        device = next(model.parameters()).device
        losses, sizes, tokens, text_bytes, read = [], [], 0, 0, 0
        model.eval()
        try:
            for batch in batches:
                own = tuple(self.ranks.share(tensor) for tensor in batch)
                sizes.append(int(count_targets(*own)))
                if not sizes[-1]:  # all ranks compute, or none can; this row counts for nothing here
                    own = tuple(tensor[:1] for tensor in batch)
                with self.precision:
                    losses.append(self.loss_of(model, *(tensor.to(device) for tensor in own)))
                counted = batch[1][batch[1] != IGNORED]
                tokens += counted.numel()
                text_bytes += int(self.byte_lengths[counted].sum())
                read += batch[0].numel()
                if self.ranks.agree(give_up(read)):
                    return None
        finally:
            model.train()
        # One wait for the device, then double precision where every device has it.
        nats = torch.stack(losses).cpu().double() @ torch.tensor(sizes, dtype=torch.float64)
        return Score(self.ranks.sum(nats).item(), tokens, text_bytes)
