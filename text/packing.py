"""Packing: documents of any length put side by side into rows of n_ctx, so that little of a batch is padding.

    row        P P P R R · │ P P R R R R · │ P R ·          P prompt, R response, · the end; │ parts documents
    documents  0 0 0 0 0 0   1 1 1 1 1 1 1   2 2 2   −1     a token sees its own document alone (components/model.py)
    targets    – – R R · –   – R R R R R …                  – is not counted: the loss is of responses alone

A document of L tokens takes L − 1 places: its last token is only ever a target. Which documents share a row is decided
once, longest first, each into the fullest row that still has room (best fit decreasing), so it is the same in every
process. A training reads every row once before it reads any again, in an order that depends on seed and pass alone; as
with windows (text/batches.py) the batch of a step is a pure function of (seed, stream, step).
"""

import hashlib
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from config.errors import TextError
from text.batches import Batch, philox_key

IGNORED = -100  # what torch's cross-entropy leaves out by default
NOBODY = -1  # document of the places at the end of a row that nobody needed


@dataclass(frozen=True)
class PairTokens:
    """The tokens of one split of pairs.

    Attributes:
        tokens: `[token]`, one document after the other.
        places: `[pair 2]`: where each document begins, and where its response does.
    """

    tokens: np.ndarray
    places: np.ndarray

    def document(self, pair: int) -> tuple[np.ndarray, int]:
        """Its tokens, and how many of them are the prompt."""
        start, response = self.places[pair].tolist()
        end = int(self.places[pair + 1, 0]) if pair + 1 < len(self.places) else len(self.tokens)
        return self.tokens[start:end], response - start


class PackedPairs:
    """Batches of packed documents.

    Raises:
        TextError: not one document has room for a token of its response.
    """

    def __init__(self, pairs: PairTokens, n_ctx: int, title: str = "training") -> None:
        self.pairs, self.n_ctx, self.title = pairs, n_ctx, title
        ends = np.append(pairs.places[1:, 0], len(pairs.tokens))
        lengths = ends - pairs.places[:, 0]
        prompts = pairs.places[:, 1] - pairs.places[:, 0]
        self.n_left_out = int((prompts > n_ctx).sum())  # the first token of the response is at best the last target
        self.n_cut = int((lengths > n_ctx + 1).sum()) - self.n_left_out
        usable = np.flatnonzero(prompts <= n_ctx)
        if not len(usable):
            raise TextError(
                f"all {len(lengths):,} pairs for {title} have prompts of more than n_ctx {n_ctx:,} tokens, the "
                f"shortest {prompts.min():,}: shorten them, or take a longer context"
            )
        self._latest: tuple[tuple[Any, ...], Batch] | None = None
        self.rows = best_fit(usable, np.minimum(lengths - 1, n_ctx)[usable], n_ctx)

    def __len__(self) -> int:
        """Places of all rows: what one pass reads."""
        return len(self.rows) * self.n_ctx

    def batch(
        self, step: int, *, batch_size: int, seed: int, stream: str = "train", rows: np.ndarray | None = None
    ) -> Batch:
        """Inputs, targets and documents of a step, `[batch pos]` each; see `text.batches.get_batch`."""
        whole = self._whole_batch(step, batch_size, seed, stream)
        return whole if rows is None else tuple(tensor[rows] for tensor in whole)

    def count_targets(self, step: int, *, batch_size: int, seed: int) -> int:
        """How many targets of a whole batch count."""
        targets = self._whole_batch(step, batch_size, seed, "train")[1]
        return int((targets != IGNORED).sum())

    def in_order(self, batch_size: int = 64) -> Iterator[Batch]:
        """Every row once."""
        for first in range(0, len(self.rows), batch_size):
            yield self._assemble(np.arange(first, min(first + batch_size, len(self.rows))))

    def fingerprint(self, step: int, *, batch_size: int, seed: int) -> int:
        """As `text.batches.batch_hash`."""
        inputs, targets, _ = self._whole_batch(step, batch_size, seed, "train")
        content = inputs.numpy().tobytes() + targets.numpy().tobytes()
        return int.from_bytes(hashlib.blake2b(content, digest_size=6).digest(), "little")

    def sentences(self) -> list[str]:
        """How well the rows are filled, and what has no room."""
        filled = sum(min(len(self.pairs.document(pair)[0]) - 1, self.n_ctx) for row in self.rows for pair in row)
        n_pairs = len(self.pairs.places)
        found = [f"{n_pairs:,} pairs for {self.title} in {len(self.rows):,} rows, {filled / len(self):.0%} full"]
        if self.n_cut:
            found.append(f"{self.n_cut:,} pairs for {self.title} are longer than n_ctx {self.n_ctx:,} and end early")
        if self.n_left_out:
            found.append(f"{self.n_left_out:,} pairs for {self.title} have no room for their response and are left out")
        return found

    def _whole_batch(self, *drawn: Any) -> Batch:
        """The rows of a step, remembered until another is asked for: a training asks for each three times."""
        if self._latest is None or self._latest[0] != drawn:
            self._latest = drawn, self._assemble(self._rows_of(*drawn))
        return self._latest[1]

    def _rows_of(self, step: int, batch_size: int, seed: int, stream: str) -> np.ndarray:
        numbers = np.arange(step * batch_size, (step + 1) * batch_size)
        passes, places = np.divmod(numbers, len(self.rows))
        orders = {number: _order(len(self.rows), seed, stream, number) for number in np.unique(passes).tolist()}
        return np.array([orders[number][place] for number, place in zip(passes.tolist(), places.tolist(), strict=True)])

    def _assemble(self, rows: np.ndarray) -> Batch:
        inputs = np.zeros((len(rows), self.n_ctx), dtype=np.int64)
        targets, documents = np.full_like(inputs, IGNORED), np.full_like(inputs, NOBODY)
        for index, row in enumerate(rows.tolist()):
            place = 0
            for number, pair in enumerate(self.rows[row]):
                tokens, n_prompt = self.pairs.document(pair)
                tokens = tokens[: self.n_ctx + 1].astype(np.int64)
                end = place + len(tokens) - 1
                inputs[index, place:end] = tokens[:-1]
                targets[index, place + n_prompt - 1 : end] = tokens[n_prompt:]
                documents[index, place:end] = number
                place = end
        return torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(documents)


def best_fit(items: np.ndarray, lengths: np.ndarray, capacity: int) -> list[list[int]]:
    """Items put into as few rows as this simple rule finds; none is longer than a row."""
    rows: list[list[int]] = []
    open_rows: dict[int, list[int]] = defaultdict(list)  # by the room that is left
    rooms: list[int] = []  # each once, in order
    for index in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[index])
        found = bisect_left(rooms, length)
        if found == len(rooms):
            row, room = len(rows), capacity
            rows.append([])
        else:
            room = rooms[found]
            row = open_rows[room].pop()
            if not open_rows[room]:
                del rooms[found]
        rows[row].append(int(items[index]))
        left = room - length
        if left and not open_rows[left]:
            insort(rooms, left)
        if left:
            open_rows[left].append(row)
    return rows


@lru_cache(maxsize=8)
def _order(n_rows: int, seed: int, stream: str, number: int) -> np.ndarray:
    """The rows in the order of a pass: sorted by raw random words, because numpy promises that those never change."""
    counter = np.array([0, 0, 1, number], dtype=np.uint64)  # apart from those of windows
    return np.random.Philox(key=philox_key(seed, stream), counter=counter).random_raw(n_rows).argsort(kind="stable")
