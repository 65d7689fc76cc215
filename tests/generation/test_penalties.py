"""The stages that look back against plain references on lists, and what they do at the borders."""

import math
from collections import Counter

import pytest
import torch

from config.errors import ConfigError
from generation.samplers import (
    FrequencyPenalty,
    LogitBias,
    MinNewTokens,
    MinP,
    NoRepeatNgram,
    PresencePenalty,
    RepetitionPenalty,
    Text,
    Typical,
    build_samplers,
)

D_VOCAB = 12


def some_logits(seed=0, batch=3):
    return torch.randn(batch, D_VOCAB, generator=torch.Generator().manual_seed(seed))


def some_texts(batch=3):
    return [Text([9, *((row + place * place) % 5 for place in range(8))], n_prompt=4) for row in range(batch)]


def expect(stage, change):
    """`change(logit, token, text)` is the stage for one token."""
    logits, texts = some_logits(), some_texts()
    expected = [
        [change(logit, token, text) for token, logit in enumerate(row)]
        for row, text in zip(logits.tolist(), texts, strict=True)
    ]
    torch.testing.assert_close(stage(logits, texts), torch.tensor(expected))


def test_repetition_counts_prompt_and_text():
    def change(logit, token, text):
        return logit if token not in text.tokens else logit / 1.5 if logit > 0 else logit * 1.5

    expect(RepetitionPenalty(1.5), change)


def test_frequency_counts_every_time_in_what_was_written():
    expect(FrequencyPenalty(0.7), lambda logit, token, text: logit - 0.7 * Counter(text.tokens[4:])[token])


def test_presence_counts_once_in_what_was_written():
    expect(PresencePenalty(0.7), lambda logit, token, text: logit - 0.7 * (token in text.tokens[4:]))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_text_under_the_ngram_block_never_repeats_one(size):
    text, stage = Text([0]), NoRepeatNgram(size)
    logits = torch.tensor([[3.0, 2.9, 2.8, 1.0]])
    for _ in range(30):
        allowed = stage(logits, [text])
        if torch.equal(allowed, logits):  # nothing barred, or everything
            grams = {tuple(text.tokens[i : i + size]) for i in range(len(text.tokens))}
            if all((*text.tokens[len(text.tokens) - size + 1 :], token) in grams for token in range(4)):
                break
        text.tokens.append(int(allowed.argmax()))
    grams = [tuple(text.tokens[i : i + size]) for i in range(len(text.tokens) - size + 1)]
    assert len(grams) == len(set(grams))
    assert len(grams) > 3


def test_a_row_keeps_its_tokens_when_all_would_be_barred():
    logits = some_logits(batch=1)
    assert torch.equal(NoRepeatNgram(1)(logits, [Text(list(range(D_VOCAB)))]), logits)
    assert torch.equal(MinNewTokens(3, frozenset(range(D_VOCAB)))(logits, [Text([0])]), logits)


def test_an_ending_is_barred_until_enough_was_written():
    stage, logits = MinNewTokens(2, frozenset({7})), some_logits(batch=1)
    barred = [bool(stage(logits, [Text([1, 1, 1] + [2] * n, 3)])[0, 7] == -math.inf) for n in range(4)]
    assert barred == [True, True, False, False]


def test_a_bias_moves_its_tokens_alone_and_ignores_tokens_that_do_not_exist():
    expected = some_logits()
    expected[:, 3] += 2
    assert torch.equal(LogitBias(((3, 2.0), (99, 1.0)))(some_logits()), expected)


@pytest.mark.parametrize("p", [0.01, 0.2, 1.0])
def test_min_p_keeps_what_is_at_least_so_much_as_likely_as_the_first(p):
    probabilities = some_logits().softmax(-1)
    kept = MinP(p)(some_logits()) > -math.inf
    assert torch.equal(kept, probabilities >= p * probabilities.max(-1, keepdim=True).values)
    assert kept.any(-1).all()


def test_typical_drops_the_obvious_when_it_surprises_too_little():
    logits = torch.tensor([[0.4] + [0.1] * 6]).log()  # entropy 1.75, surprises 0.92 and 2.30
    kept = Typical(0.3)(logits) > -math.inf
    assert kept.tolist() == [[False] + [True] * 6]


@pytest.mark.parametrize(
    "stage", [RepetitionPenalty(2.0), FrequencyPenalty(1.0), PresencePenalty(1.0), NoRepeatNgram(2)]
)
def test_looking_back_needs_a_text_for_each_row_and_changes_no_input(stage):
    with pytest.raises(ValueError, match="3 rows"):
        stage(some_logits())
    logits, texts = some_logits(), some_texts()
    stage(logits, texts)
    assert torch.equal(logits, some_logits())
    assert texts == some_texts()


def test_a_trace_shows_every_stage_and_ends_where_the_chain_ends():
    chain = build_samplers(0.5, 4, None, repetition_penalty=1.3)
    logits, texts = some_logits(), some_texts()
    trace = chain.trace(logits, texts)
    names = ["the model's own distribution", "repetition penalty 1.3", "temperature 0.5", "top-k 4"]
    assert [name for name, _ in trace] == names
    assert torch.equal(trace[0][1], logits.softmax(-1))
    assert torch.equal(trace[-1][1], chain(logits, texts).softmax(-1))
    assert [int((probabilities[0] > 0).sum()) for _, probabilities in trace] == [12, 12, 12, 4]


def test_the_order_of_all_stages():
    chain = build_samplers(
        0.5, 4, 0.8, min_p=0.1, typical=0.9, repetition_penalty=1.3, frequency_penalty=0.1, presence_penalty=0.2,
        no_repeat_ngram_size=3, min_new_tokens=5, stop_tokens=[1], logit_bias={2: 1.0},
    )  # fmt: skip
    assert str(chain) == (
        "bias on 1 token → repetition penalty 1.3 → frequency penalty 0.1 → presence penalty 0.2 → no 3-gram twice → "
        "at least 5 tokens → temperature 0.5 → top-k 4 → top-p 0.8 → min-p 0.1 → typical 0.9"
    )


def test_greedy_keeps_the_penalties_and_idle_settings_leave_no_stage():
    assert str(build_samplers(greedy=True, top_k=5, repetition_penalty=1.2)) == "repetition penalty 1.2 → greedy"
    idle = {"min_p": 0, "typical": 1, "repetition_penalty": 1, "frequency_penalty": 0, "presence_penalty": 0}
    assert build_samplers(1, 0, 1, **idle, no_repeat_ngram_size=0, min_new_tokens=4).stages == ()


def test_all_wrong_settings_are_named():
    wrong = {"min_p": 2, "typical": -1, "repetition_penalty": 0, "frequency_penalty": math.nan,
             "presence_penalty": math.inf, "no_repeat_ngram_size": -1, "min_new_tokens": -2,
             "logit_bias": {-1: 1.0}}  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        build_samplers(**wrong)
    assert {problem.field for problem in caught.value.problems} == set(wrong)
