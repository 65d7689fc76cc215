"""Packed documents: each once in a pass, in rows that hold them, with the targets of responses alone."""

import numpy as np
import pytest
import torch

from config.errors import TextError
from text.packing import IGNORED, NOBODY, PackedPairs, PairTokens, best_fit


def make_pairs(lengths, prompts):
    """Documents whose tokens tell where they are: 100 * pair + place."""
    tokens = np.concatenate([100 * pair + np.arange(length) for pair, length in enumerate(lengths)])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return PairTokens(tokens, np.stack([starts, starts + np.array(prompts)], axis=1))


PAIRS = make_pairs([5, 9, 3, 4, 7, 2, 6], [2, 4, 1, 3, 5, 1, 2])


def documents_in(batch):
    """Of every document in a batch: its tokens, and the targets that count."""
    found = []
    for inputs, targets, documents in zip(*batch, strict=True):
        for number in documents.unique().tolist():
            if number != NOBODY:
                places = documents == number
                found.append((inputs[places].tolist(), targets[places].tolist()))
    return found


def test_every_document_is_there_once_in_a_pass_with_its_response_as_targets():
    packed = PackedPairs(PAIRS, n_ctx=10)
    found = sorted(document for batch in packed.in_order(batch_size=2) for document in documents_in(batch))
    expected = []
    for pair, (length, prompt) in enumerate(zip([5, 9, 3, 4, 7, 2, 6], [2, 4, 1, 3, 5, 1, 2], strict=True)):
        document = [100 * pair + place for place in range(length)]
        targets = [token if place >= prompt else IGNORED for place, token in enumerate(document)][1:]
        expected.append((document[:-1], targets))
    assert found == sorted(expected)


def test_what_is_left_of_a_row_is_nobodys_and_has_no_targets():
    packed = PackedPairs(PAIRS, n_ctx=10)
    for inputs, targets, documents in packed.in_order():
        nobody = documents == NOBODY
        assert (targets[nobody] == IGNORED).all() and (inputs[nobody] == 0).all()
        assert ((targets != IGNORED).sum(dim=1) >= 1).all()  # or the mean over a row would divide by zero
    assert len(packed.rows) == 3 and len(packed) == 30  # 29 places are needed


def test_a_long_pair_ends_early_and_a_long_prompt_is_left_out():
    packed = PackedPairs(make_pairs([12, 9, 4], [3, 8, 2]), n_ctx=6)
    assert (packed.n_cut, packed.n_left_out) == (1, 1)
    ((first, first_targets), (second, _)) = sorted(documents_in(next(packed.in_order())))
    assert first == [0, 1, 2, 3, 4, 5] and first_targets == [IGNORED, IGNORED, 3, 4, 5, 6]
    assert second == [200, 201, 202]
    assert "1 pairs for training have no room for their response" in packed.sentences()[-1]
    edge = PackedPairs(make_pairs([9], [6]), n_ctx=6)  # one target fits
    assert documents_in(next(edge.in_order()))[0][1] == [IGNORED] * 5 + [6]
    with pytest.raises(TextError, match=r"all 1 pairs for validation .* more than n_ctx 6 tokens, the shortest 7"):
        PackedPairs(make_pairs([9], [7]), n_ctx=6, title="validation")


def test_a_pass_reads_every_row_before_any_again_in_an_order_of_its_own():
    lengths = [10] * 7
    packed = PackedPairs(make_pairs(lengths, [3] * 7), n_ctx=9)
    draw = {"batch_size": 3, "seed": 1}
    seen = [int(row[0]) // 100 for step in range(7) for row in packed.batch(step, **draw)[0]]
    passes = [seen[:7], seen[7:14], seen[14:]]
    assert all(sorted(one) == list(range(7)) for one in passes) and len({tuple(one) for one in passes}) == 3
    again = PackedPairs(make_pairs(lengths, [3] * 7), n_ctx=9)
    assert torch.equal(again.batch(5, **draw)[0], packed.batch(5, **draw)[0])  # a function of the step alone
    assert not torch.equal(packed.batch(0, batch_size=3, seed=2)[0], packed.batch(0, **draw)[0])
    assert not torch.equal(packed.batch(0, stream="val", **draw)[0], packed.batch(0, **draw)[0])
    part = packed.batch(4, rows=np.array([2, 0]), **draw)
    assert torch.equal(part[1], packed.batch(4, **draw)[1][[2, 0]])
    assert packed.count_targets(0, **draw) == 3 * 7
    assert packed.fingerprint(0, **draw) != packed.fingerprint(1, **draw)


def test_rows_are_filled_well_and_never_too_full():
    lengths = np.random.Generator(np.random.PCG64(1)).integers(1, 60, size=500)
    rows = best_fit(np.arange(500), lengths, 64)
    assert sorted(item for row in rows for item in row) == list(range(500))
    filled = [int(lengths[row].sum()) for row in rows]
    assert max(filled) <= 64 and sum(filled) / (64 * len(rows)) > 0.95
