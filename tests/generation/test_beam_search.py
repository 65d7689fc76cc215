"""Beams equal Hugging Face's on the same weights; with beams for every text, the search is exhaustive."""

import itertools
import math

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from components.model import build_model
from config.errors import ConfigError
from config.model_config import ModelConfig
from generation.beam_search import BeamSettings, beam_search
from generation.samplers import Chain, NoRepeatNgram, RepetitionPenalty

D_VOCAB = 23
SIZES = {"d_vocab": D_VOCAB, "d_model": 32, "n_layers": 2, "n_heads": 4, "d_mlp": 48, "n_ctx": 40, "init_std": 0.25}
LLAMA = {"position": "rope", "norm": "rmsnorm", "norm_bias": False, "mlp": "swiglu", "n_kv_heads": 2, "qkv_bias": False,
         "attention_out_bias": False, "mlp_bias": False, "tie_embeddings": False}  # fmt: skip
PROMPT = [3, 1, 4, 1, 5]


def gpt2_pair():
    model = build_model(ModelConfig(**SIZES), seed=1).eval()
    config = GPT2Config(vocab_size=D_VOCAB, n_positions=40, n_embd=32, n_layer=2, n_head=4, n_inner=48)
    names = {"token_embedding": "wte", "positional_embedding": "wpe", "final_norm": "ln_f", "blocks": "h",
             "attention_norm": "ln_1", "mlp_norm": "ln_2", "attention": "attn", "qkv_proj": "c_attn",
             "out_proj": "c_proj", "up_proj": "c_fc", "down_proj": "c_proj"}  # fmt: skip
    weights = {}
    for name, tensor in model.state_dict().items():
        renamed = ".".join(names.get(part, part) for part in name.split("."))
        weights["transformer." + renamed] = tensor.T if name.endswith("proj.weight") else tensor
    weights["lm_head.weight"] = model.state_dict()["token_embedding.weight"]
    return model, load(GPT2LMHeadModel(config), weights)


def llama_pair():
    model = build_model(ModelConfig(**SIZES | LLAMA), seed=2).eval()
    config = LlamaConfig(
        vocab_size=D_VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=40, rms_norm_eps=1e-5, rope_theta=10000.0,
        tie_word_embeddings=False,
    )  # fmt: skip
    names = {"token_embedding": "embed_tokens", "final_norm": "norm", "blocks": "layers",
             "attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm",
             "attention": "self_attn", "out_proj": "o_proj"}  # fmt: skip
    weights = {}
    for name, tensor in model.state_dict().items():
        renamed = "model." + ".".join(names.get(part, part) for part in name.split("."))
        if "qkv_proj" in renamed:
            for part, rows in zip("qkv", tensor.split([32, 16, 16]), strict=True):
                weights[renamed.replace("qkv_proj", f"{part}_proj")] = rows
        else:
            weights["lm_head.weight" if name == "unembedding.weight" else renamed] = tensor
    return model, load(LlamaForCausalLM(config), weights)


def load(theirs, weights):
    theirs.load_state_dict(weights)
    theirs.generation_config.eos_token_id = theirs.generation_config.bos_token_id = None
    return theirs.eval()


@pytest.fixture(scope="module", params=[gpt2_pair, llama_pair], ids=["gpt2", "llama"])
def pair(request):
    ours, theirs = request.param()
    tokens = torch.tensor([PROMPT])
    with torch.inference_mode():
        torch.testing.assert_close(ours(tokens), theirs(tokens).logits, rtol=1e-4, atol=1e-5)
    return ours, theirs


def search_theirs(model, n_beams, max_new_tokens, stop_tokens, **settings):
    tokens = torch.tensor([PROMPT])
    with torch.inference_mode():
        found = model.generate(
            tokens, attention_mask=torch.ones_like(tokens), num_beams=n_beams, num_return_sequences=n_beams,
            max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=stop_tokens or None, pad_token_id=0,
            output_scores=True, return_dict_in_generate=True, **settings,
        )  # fmt: skip
    rows = [row[len(PROMPT) :] for row in found.sequences.tolist()]
    return [cut(row, stop_tokens) for row in rows], found.sequences_scores.tolist()


def cut(row, stop_tokens):
    """Theirs are padded behind the token that ended them."""
    end = next((place + 1 for place, token in enumerate(row) if token in stop_tokens), len(row))
    return tuple(row[:end])


@pytest.mark.parametrize("n_beams", [2, 4])
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 2.5])
@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("stop_tokens", [[], [7], [2, 11, 18]])
def test_beams_equal_theirs(pair, n_beams, length_penalty, early_stopping, stop_tokens):
    ours, theirs = pair
    settings = {"length_penalty": length_penalty, "early_stopping": early_stopping}
    found = beam_search(ours, PROMPT, n_beams=n_beams, max_new_tokens=12, stop_tokens=stop_tokens, **settings)
    texts, scores = search_theirs(theirs, n_beams, 12, stop_tokens, **settings)
    assert [beam.tokens for beam in found] == texts
    assert [beam.score for beam in found] == pytest.approx(scores, rel=1e-4)


def test_one_beam_is_greedy(pair):
    ours, theirs = pair
    with torch.inference_mode():
        expected = theirs.generate(torch.tensor([PROMPT]), max_new_tokens=12, do_sample=False, pad_token_id=0)
    (found,) = beam_search(ours, PROMPT, n_beams=1, max_new_tokens=12)
    assert found.tokens == tuple(expected[0, len(PROMPT) :].tolist())


def test_penalties_act_on_beams_as_theirs(pair):
    ours, theirs = pair
    samplers = Chain((RepetitionPenalty(1.3), NoRepeatNgram(2)))
    found = beam_search(ours, PROMPT, n_beams=3, max_new_tokens=12, samplers=samplers)
    texts, scores = search_theirs(theirs, 3, 12, [], repetition_penalty=1.3, no_repeat_ngram_size=2)
    assert [beam.tokens for beam in found] == texts
    assert [beam.score for beam in found] == pytest.approx(scores, rel=1e-4)


@torch.inference_mode()
def test_with_a_beam_for_every_text_nothing_better_exists():
    model = build_model(ModelConfig(**SIZES | {"d_vocab": 5}), seed=3).eval()
    found = beam_search(model, [1, 2], n_beams=25, max_new_tokens=3, length_penalty=0.0)
    best = []
    for text in itertools.product(range(5), repeat=3):
        log_probabilities = model(torch.tensor([[1, 2, *text]]))[0].log_softmax(-1)
        best.append((sum(float(log_probabilities[1 + place, token]) for place, token in enumerate(text)), text))
    best.sort(reverse=True)
    assert [beam.tokens for beam in found[:5]] == [text for _, text in best[:5]]
    assert [beam.log_probability for beam in found[:5]] == pytest.approx([total for total, _ in best[:5]], abs=1e-4)


@pytest.mark.parametrize(
    ("length_penalty", "max_new_tokens", "limit"), [(300.0, 20, 230), (-300.0, 20, 230), (100.0, 1300, 96)]
)
def test_a_length_penalty_beyond_all_numbers_is_refused(length_penalty, max_new_tokens, limit):
    with pytest.raises(ConfigError, match=f"for max_new_tokens {max_new_tokens}: choose one from -{limit} to {limit}"):
        BeamSettings(max_new_tokens=max_new_tokens, length_penalty=length_penalty)
    for allowed in (-limit, limit):
        assert BeamSettings(max_new_tokens=max_new_tokens, length_penalty=allowed).length_penalty == allowed
    assert BeamSettings(max_new_tokens=1, length_penalty=length_penalty).max_new_tokens == 1


@pytest.mark.parametrize("length_penalty", [-230.0, 230.0])
@pytest.mark.parametrize("early_stopping", [True, False, "never"])
def test_the_largest_length_penalty_still_ranks(length_penalty, early_stopping):
    model = build_model(ModelConfig(**SIZES), seed=1).eval()
    settings = {"length_penalty": length_penalty, "early_stopping": early_stopping, "stop_tokens": [7]}
    found = beam_search(model, PROMPT, n_beams=4, max_new_tokens=20, **settings)
    for beam in found:
        assert -math.inf < beam.score < 0
        logarithm = math.log(-beam.log_probability) - length_penalty * math.log(len(beam.tokens))
        assert math.log(-beam.score) == pytest.approx(logarithm)


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("n_beams", [4, 6])
def test_when_every_token_ends_a_text_the_search_ends(n_beams, early_stopping):
    model = build_model(ModelConfig(**SIZES | {"d_vocab": 4}), seed=3).eval()
    settings = {"n_beams": n_beams, "stop_tokens": range(4), "early_stopping": early_stopping}
    found = beam_search(model, [1, 2], max_new_tokens=5, **settings)
    with torch.inference_mode():
        best = model(torch.tensor([[1, 2]]))[0, -1].log_softmax(-1).sort(descending=True)
    assert [beam.tokens for beam in found] == [(token,) for token in best.indices.tolist()]
    assert [beam.log_probability for beam in found] == pytest.approx(best.values.tolist(), abs=1e-5)


def test_settings_out_of_range_are_named():
    model = build_model(ModelConfig(**SIZES), seed=1)
    with pytest.raises(ConfigError) as caught:
        beam_search(model, [1], n_beams=0, max_new_tokens=0, length_penalty=math.nan, early_stopping="maybe")
    fields = ["n_beams", "max_new_tokens", "length_penalty", "early_stopping"]
    assert [problem.field for problem in caught.value.problems] == fields
    with pytest.raises(ConfigError, match="do not fit into the context of 40"):
        beam_search(model, [1] * 20, max_new_tokens=21)
    with pytest.raises(ConfigError, match="nothing to continue"):
        beam_search(model, [])
