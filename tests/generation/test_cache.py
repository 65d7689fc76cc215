"""The cache is exact: equal to the full forward at every border, for every scheme, in chunks, padded, by the plan."""

import pytest
import torch

from components.kv_cache import KVCache
from components.model import build_model
from config.fields import describe
from config.model_config import ModelConfig
from config.presets import PRESET_NAMES, load_preset
from generation import decode_support
from generation.decode_plan import DecodePlan
from generation.decode_support import ANY_VALUE, KNOWN_VALUES, knows_config
from generation.projections import COPY_UP_TO, COPY_WIDENING_UP_TO, ExactProjection, Float16Projection, Int8Projection
from generation.reading import last_logits, left_padded

W, D_VOCAB = 12, 19
POSITIONS = ["learned", "sinusoidal", "rope", "alibi", "none"]
SIZES = {"d_vocab": D_VOCAB, "d_model": 32, "n_layers": 2, "n_heads": 4, "d_mlp": 64, "n_ctx": W, "init_std": 0.3}
TOKENS = [(7 * place * place + 3) % D_VOCAB for place in range(W)]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def make_model(**changes):
    model = build_model(ModelConfig(**SIZES | changes), seed=1).eval()
    with torch.no_grad():  # initial biases and gains are 0 and 1, which would hide that they are left out
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.3)
    return model


def full(model, tokens):
    return model(torch.tensor([tokens]))[:, -1]


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
@pytest.mark.parametrize("prefill", [1, W - 1, W])
@pytest.mark.parametrize("by_plan", [False, True])
def test_cached_steps_equal_the_full_forward(position, n_kv_heads, prefill, by_plan):
    model = make_model(position=position, n_kv_heads=n_kv_heads)
    cache = KVCache(model.config)
    plan = DecodePlan.of(model, cache)
    assert plan is not None
    assert_same(last_logits(model, torch.tensor([TOKENS[:prefill]]), cache), full(model, TOKENS[:prefill]))
    for end in range(prefill + 1, W + 1):
        step = plan.step if by_plan else lambda token: last_logits(model, torch.tensor([[token]]), cache)
        assert_same(step(TOKENS[end - 1]), full(model, TOKENS[:end]))
    with pytest.raises(ValueError, match="room for 12 tokens"):
        plan.step(0)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("chunks", [(1, 11), (5, 4, 3), (11, 1), (1, 1, 10)])
def test_a_prompt_in_chunks_equals_the_prompt_at_once(position, chunks):
    model = make_model(position=position, n_kv_heads=2)
    cache, at_once = KVCache(model.config), KVCache(model.config)
    last_logits(model, torch.tensor([TOKENS]), at_once)
    for length in chunks:
        logits = last_logits(model, torch.tensor([TOKENS[cache.length : cache.length + length]]), cache)
    assert_same(logits, full(model, TOKENS))
    for ours, theirs in zip(cache.keys + cache.values, at_once.keys + at_once.values, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("position", POSITIONS)
def test_rows_padded_on_the_left_equal_the_rows_alone(position):
    model = make_model(position=position, n_kv_heads=2)
    rows = [TOKENS[:8], TOKENS[3:6], [5]]
    tokens, mask = left_padded(rows, torch.device("cpu"))
    cache = KVCache(model.config, batch=3)
    logits = last_logits(model, tokens, cache, mask)
    for _ in range(4):
        for row, found in zip(rows, logits, strict=True):
            assert_same(found[None], full(model, row))
            row.append((3 * row[-1] + 1) % D_VOCAB)
        logits = last_logits(model, torch.tensor([row[-1:] for row in rows]), cache)


@pytest.mark.parametrize("preset", PRESET_NAMES)
@pytest.mark.parametrize("size", ["tiny", "small"])  # small: matrices that are copied and matrices that are not
@pytest.mark.parametrize("implementation", ["einops", "fused"])
def test_the_plan_equals_the_model_for_every_preset(preset, size, implementation):
    config = load_preset(preset, size).replace(d_vocab=1100, n_ctx=16)
    model = build_model(config, implementation, seed=3).eval()
    cache = KVCache(config)
    plan = DecodePlan.of(model, cache)
    for end in range(1, 7):
        assert_same(plan.step(TOKENS[end - 1]), full(model, TOKENS[:end]))


@pytest.mark.parametrize(
    "changes",
    [
        {"norm_placement": "post"},
        {"norm": "rmsnorm", "norm_placement": "post"},
        {"norm": "rmsnorm", "norm_eps": 1e-2},
        {"norm_bias": False},
        {"mlp": "swiglu"},
        {"mlp": "swiglu", "d_mlp": 5000},
        {"gelu_form": "exact"},
        {"tie_embeddings": False, "qkv_bias": False, "mlp_bias": False, "attention_out_bias": False},
        {"d_head": 6, "n_kv_heads": 2, "position": "rope"},
    ],
)
def test_the_plan_equals_the_model_for_every_choice(changes):
    model = make_model(**changes)
    plan = DecodePlan.of(model, KVCache(model.config))
    for end in range(1, W + 1):
        assert_same(plan.step(TOKENS[end - 1]), full(model, TOKENS[:end]))


SWITCHES = [
    {"embedding_norm": True}, {"embedding_scale": 3.0}, {"unembedding_bias": True}, {"logit_scale": 0.5},
    {"logit_softcap": 0.5}, {"norm_unit_offset": True}, {"norm_gain": False, "norm_bias": False},
    {"norm_placement": "output"}, {"norm_placement": "sandwich"}, {"parallel_residual": "one_norm"},
    {"parallel_residual": "two_norms"}, {"residual_scale": 0.5}, {"attention_sinks": True}, {"qk_norm": "head"},
    {"qk_norm": "full"}, {"qk_norm": "head_separate"}, {"clip_qkv": 0.3}, {"attention_scale": 1.0},
    {"attention_softcap": 0.5}, {"attention_pattern": "wf", "window": 3}, {"attention": "mla"},
    {"mlp": "relu2"}, {"mlp": "geglu"}, {"mlp": "swiglu", "swiglu_clamp": 0.5}, {"n_experts": 4, "d_expert": 16},
    {"position": "rope", "rotary_dim": 4}, {"position": "rope", "rope_style": "interleaved"},
    {"position": "rope", "rope_scaling": "linear", "rope_factor": 2.0}, {"position": "rope", "position_pattern": "pn"},
    {"position": "alibi", "alibi_slopes": "geometric", "n_heads": 6, "d_head": 8},
]  # fmt: skip


@pytest.mark.parametrize("changes", SWITCHES, ids=str)
def test_a_plan_leaves_a_switch_to_the_model_or_computes_it(changes):
    model = make_model(**changes)
    plan = DecodePlan.of(model, KVCache(model.config))
    for end in range(1, W + 1 if plan else 0):
        assert_same(plan.step(TOKENS[end - 1]), full(model, TOKENS[:end]))


@pytest.mark.parametrize(
    ("d_in", "d_out", "is_copied"),
    [
        (8, 8, True),
        (8, COPY_UP_TO // 8 + 1, True),  # widens
        (COPY_UP_TO // 8 + 1, 8, False),
        (8, COPY_WIDENING_UP_TO // 8 + 1, False),
    ],
)
def test_a_projection_is_a_linear_map_copied_or_not(d_in, d_out, is_copied):
    linear, x = torch.nn.Linear(d_in, d_out), torch.randn(1, d_in)
    projection = ExactProjection(linear.weight, linear.bias)
    assert (projection.transposed is not None) == is_copied
    assert_same(projection(x), linear(x))
    stream = torch.ones(1, d_out)
    projection.add_to(stream, x)
    assert_same(stream, 1 + linear(x))


def test_what_a_plan_does_not_know_has_none():
    known = make_model()
    assert DecodePlan.of(known, KVCache(known.config)) is not None
    half = make_model().to(torch.bfloat16)
    assert DecodePlan.of(half, KVCache(half.config)) is None
    heard = make_model()
    heard.blocks[1].mlp.register_forward_hook(lambda *_: None)
    assert DecodePlan.of(heard, KVCache(heard.config)) is None

    class Adapter(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2

    adapted = make_model()
    adapted.blocks[0].mlp.up_proj = Adapter(32, 64)
    assert DecodePlan.of(adapted, KVCache(adapted.config)) is None


def test_a_field_that_a_plan_has_never_heard_of_must_have_its_default(monkeypatch):
    monkeypatch.setattr(decode_support, "ANY_VALUE", ANY_VALUE - {"rope_theta"})
    assert knows_config(ModelConfig(position="rope"))
    assert not knows_config(ModelConfig(position="rope", rope_theta=500.0))


def test_the_plan_knows_only_fields_that_exist_and_by_value_those_with_choices():
    fields = describe(ModelConfig)
    assert ANY_VALUE | KNOWN_VALUES.keys() <= fields.keys()
    assert not any(fields[name].choices for name in ANY_VALUE)
    assert all(set(values) <= set(fields[name].choices) for name, values in KNOWN_VALUES.items())


def test_a_plan_made_after_a_training_step_has_the_new_weights():
    model = make_model()
    DecodePlan.of(model, KVCache(model.config)).step(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    assert_same(DecodePlan.of(model, KVCache(model.config)).step(1), full(model, [1]))


def test_a_cache_forgets_its_end_and_goes_on():
    model = make_model(position="rope")
    cache = KVCache(model.config)
    last_logits(model, torch.tensor([[1, 2, 3, 4, 5]]), cache)
    cache.truncate(3)
    assert_same(last_logits(model, torch.tensor([[7]]), cache), full(model, [1, 2, 3, 7]))
    with pytest.raises(ValueError, match="holds 4 tokens; it cannot keep 5"):
        cache.truncate(5)


def test_rows_go_on_from_other_rows():
    model = make_model()
    cache = KVCache(model.config, batch=3)
    last_logits(model, torch.tensor([[1, 2], [3, 4], [5, 6]]), cache)
    cache.choose_rows(torch.tensor([2, 0, 2]))
    logits = last_logits(model, torch.tensor([[7], [8], [9]]), cache)
    for found, tokens in zip(logits, ([5, 6, 7], [1, 2, 8], [5, 6, 9]), strict=True):
        assert_same(found[None], full(model, tokens))


def test_only_the_last_position_is_scored(monkeypatch):
    model, widths = make_model(), []
    project = model.unembedding.project
    monkeypatch.setattr(model.unembedding, "project", lambda x, w: widths.append(x.shape[1]) or project(x, w))
    last_logits(model, torch.tensor([TOKENS]))
    assert widths == [1]


def test_a_projection_of_8_bits_is_off_by_half_a_step_of_its_rows_at_most():
    linear, x = torch.nn.Linear(64, 96), torch.randn(1, 64).to(torch.bfloat16).float()
    projection = Int8Projection(linear.weight, linear.bias)
    steps = linear.weight.abs().amax(dim=1) / 127
    restored = projection.whole.float() * projection.scales.float()[:, None]
    assert ((restored - linear.weight).abs() <= 0.51 * steps[:, None]).all()
    # What is left is the rounding of the result to bfloat16, 8 bits.
    torch.testing.assert_close(projection(x), restored @ x[0] + linear.bias[None], rtol=1e-2, atol=1e-2)
    stream = torch.ones(1, 96)
    projection.add_to(stream, x)
    assert_same(stream, 1 + projection(x))


def test_8_bits_change_the_logits_a_little_and_only_where_matrices_are_large():
    # 9,000 is no multiple of 16, which the kernel needs: that matrix stays as it is.
    for d_mlp, is_exact in ((9008, False), (9000, False), (64, True)):
        model = make_model(d_mlp=d_mlp)
        plan = DecodePlan.of(model, KVCache(model.config), "int8")
        found, expected = plan.step(3), full(model, [3])
        assert torch.allclose(found, expected, rtol=1e-4, atol=2e-5) == is_exact
        torch.testing.assert_close(found, expected, rtol=0, atol=0.1 * float(expected.std()))


def test_a_projection_of_16_bits_is_off_by_11_bits_of_its_result_at_most():
    linear, x = torch.nn.Linear(64, 96), torch.randn(1, 64).half().float()
    projection = Float16Projection(linear.weight, linear.bias)
    exact = x.double() @ linear.weight.half().double().T + linear.bias.double()
    assert ((projection(x) - exact).abs() <= 2.0**-11 * (exact - linear.bias).abs() + 1e-6).all()


def test_16_bits_change_the_logits_a_little_and_only_where_matrices_are_large_and_fit():
    for d_mlp, largest, is_exact in ((9000, 1.0, False), (9000, 1e5, True), (64, 1.0, True)):
        model = make_model(d_mlp=d_mlp)
        for block in model.blocks:  # 65,504 is the largest number in float16
            block.mlp.up_proj.weight[0, 0] = block.mlp.down_proj.weight[0, 0] = largest
        plan = DecodePlan.of(model, KVCache(model.config), "float16")
        found, expected = plan.step(3), full(model, [3])
        assert plan.projections.has(Float16Projection) != is_exact
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-3 * float(expected.std()))


@pytest.mark.parametrize("where", ["the row", "the result"])
def test_beyond_the_largest_number_of_16_bits_the_product_is_that_of_32(where):
    weight, x = torch.randn(96, 64), torch.randn(1, 64).half().float()
    projection = Float16Projection(weight, None)
    before = projection(x).clone()
    large = x.clone()
    if where == "the row":
        large[0, 3] = 1e5
    else:
        large *= 6e4 / float(large.abs().max())  # itself it fits
        assert large.half().isfinite().all() and float((large @ weight.T).abs().max()) > 65_504
    expected = large @ weight.half().float().T
    torch.testing.assert_close(projection(large), expected, rtol=1e-5, atol=0.5)  # 65,504 has steps of 32
    torch.testing.assert_close(projection(x), before, rtol=2e-3, atol=2e-3)  # and ordinary rows go on as before


def test_16_bits_write_the_text_of_a_model_with_activations_that_they_cannot_hold():
    model = make_model(d_mlp=9000)
    for block in model.blocks:  # one hidden number beyond 65,504, which the next matrix makes small again
        block.mlp.up_proj.bias[7] = 1e5
        block.mlp.down_proj.weight[:, 7] = 1e-5
    plan = DecodePlan.of(model, KVCache(model.config), "float16")
    assert plan.projections.has(Float16Projection)
    cache = KVCache(model.config)
    for token in TOKENS:
        found, expected = plan.step(token), model(torch.tensor([[token]]), cache=cache)[:, -1]
        torch.testing.assert_close(found, expected, rtol=0, atol=5e-3 * float(expected.std()))
