"""Every stage equals Hugging Face's processor of the same name, on random logits with and without equal values."""

import math

import pytest
import torch
from transformers.generation import logits_process as theirs

from generation.samplers import (
    Chain,
    LogitBias,
    MinNewTokens,
    MinP,
    NoRepeatNgram,
    RepetitionPenalty,
    Temperature,
    Text,
    TopK,
    TopP,
    Typical,
    build_samplers,
)

BATCH, D_VOCAB, N_PROMPT = 6, 40, 5

PAIRS = [
    pytest.param(Temperature(0.7), theirs.TemperatureLogitsWarper(0.7), id="temperature"),
    *[pytest.param(TopK(k), theirs.TopKLogitsWarper(k), id=f"top-k {k}") for k in (1, 7, D_VOCAB)],
    *[pytest.param(MinP(p), theirs.MinPLogitsWarper(p), id=f"min-p {p}") for p in (0.05, 0.3, 1.0)],
    *[pytest.param(Typical(m), theirs.TypicalLogitsWarper(m), id=f"typical {m}") for m in (0.05, 0.2, 0.6, 0.95)],
    *[
        pytest.param(RepetitionPenalty(p), theirs.RepetitionPenaltyLogitsProcessor(p), id=f"repetition {p}")
        for p in (0.5, 1.3)
    ],
    *[pytest.param(NoRepeatNgram(n), theirs.NoRepeatNGramLogitsProcessor(n), id=f"{n}-gram") for n in (1, 2, 3)],
    *[
        pytest.param(
            MinNewTokens(n, frozenset({2, 9})),
            theirs.MinNewTokensLengthLogitsProcessor(N_PROMPT, n, [2, 9], device="cpu"),
            id=f"min {n}",
        )
        for n in (0, 7, 8, 20)
    ],
    pytest.param(
        LogitBias(((3, 2.5), (4, -math.inf))),
        theirs.SequenceBiasLogitsProcessor({(3,): 2.5, (4,): -math.inf}),
        id="bias",
    ),
]


def random_logits(seed, with_ties):
    logits = torch.randn(BATCH, D_VOCAB, generator=torch.Generator().manual_seed(seed)) * 3
    return logits.round() if with_ties else logits


def random_texts(seed, length=12):
    # Six different tokens: n-grams come again.
    tokens = torch.randint(6, (BATCH, length), generator=torch.Generator().manual_seed(100 + seed))
    return tokens, [Text(row, N_PROMPT) for row in tokens.tolist()]


@pytest.mark.parametrize("with_ties", [False, True])
@pytest.mark.parametrize(("ours", "processor"), PAIRS)
def test_a_stage_equals_the_processor_of_the_same_name(ours, processor, with_ties):
    for seed in range(20):
        logits, (tokens, texts) = random_logits(seed, with_ties), random_texts(seed)
        torch.testing.assert_close(ours(logits, texts), processor(tokens, logits.clone()), rtol=1e-6, atol=0)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_top_p_equals_the_processor_and_of_equal_tokens_keeps_all(p):
    processor = theirs.TopPLogitsWarper(p)
    for seed in range(20):
        logits = random_logits(seed, with_ties=False)
        assert torch.equal(TopP(p)(logits), processor(None, logits.clone()))
        logits = random_logits(seed, with_ties=True)
        kept, theirs_kept = (result > -math.inf for result in (TopP(p)(logits), processor(None, logits.clone())))
        for row, ours_here, theirs_here in zip(logits, kept, theirs_kept, strict=True):
            assert set(row[ours_here].tolist()) == set(row[theirs_here].tolist())  # the same values, and of each ...
            assert torch.equal(ours_here, row >= row[theirs_here].min())  # ... all tokens that have it


def test_a_whole_chain_equals_theirs():
    settings = {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "min_p": 0.02, "typical": 0.9}
    ours = build_samplers(0.7, 20, 0.95, **settings, min_new_tokens=9, stop_tokens=[2], logit_bias={5: 1.0})
    processors = theirs.LogitsProcessorList(
        [
            theirs.SequenceBiasLogitsProcessor({(5,): 1.0}),
            theirs.RepetitionPenaltyLogitsProcessor(1.2),
            theirs.NoRepeatNGramLogitsProcessor(3),
            theirs.MinNewTokensLengthLogitsProcessor(N_PROMPT, 9, [2], device="cpu"),
            theirs.TemperatureLogitsWarper(0.7),
            theirs.TopKLogitsWarper(20),
            theirs.TopPLogitsWarper(0.95),
            theirs.MinPLogitsWarper(0.02),
            theirs.TypicalLogitsWarper(0.9),
        ]
    )
    assert isinstance(ours, Chain)
    for seed in range(50):
        logits, (tokens, texts) = random_logits(seed, with_ties=False), random_texts(seed)
        torch.testing.assert_close(ours(logits, texts), processors(tokens, logits.clone()), rtol=1e-6, atol=0)
