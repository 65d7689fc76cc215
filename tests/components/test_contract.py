"""What every line of the catalogue promises: one set of parameters, three ways to compute, the same answer.

A component added to the catalogue is tested here without a new test; one whose slot is new has to be given a call.
"""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from components.attention_mask import attention_mask, causal
from components.kv_cache import KVCache
from components.model import build_model
from components.position import Position
from components.registry import resolve
from config.catalog import CATALOG, Entry
from config.errors import ConfigError
from config.fields import describe
from config.model_config import ModelConfig
from config.sizes import kv_cache_bytes, parameters_by_component
from tests.components.conftest import spread_parameters

IDS = [f"{line.slot}-{line.name}" for line in CATALOG]
# Largest allowed difference, relative to the largest value. bfloat16 has 8 bits: 2^-8 = 0.4 % for each rounding.
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 0.04}
CONFIGS = {
    "gpt2": {},
    "gpt2-exact-plain": {"gelu_form": "exact", "norm_bias": False, "qkv_bias": False, "attention_out_bias": False,
                         "mlp_bias": False, "tie_embeddings": False},
    "llama-gqa": {"norm": "rmsnorm", "position": "rope", "mlp": "swiglu", "n_kv_heads": 2, "mlp_bias": False},
    "olmo": {"position": "alibi", "mlp": "swiglu", "tie_embeddings": False},
    "post-sinusoidal-mqa": {"norm_placement": "post", "position": "sinusoidal", "n_kv_heads": 1},
    "no-position": {"position": "none", "norm": "rmsnorm"},
    "sinks-gqa-clamped": {"attention_sinks": True, "n_kv_heads": 2, "position": "alibi", "mlp": "swiglu",
                          "swiglu_clamp": 3.0},
    "latent": {"attention": "mla", "kv_rank": 5, "d_head_rope": 6, "d_head_value": 7, "position": "rope"},
    "latent-queries-alibi": {"attention": "mla", "q_rank": 10, "position": "alibi", "norm": "rmsnorm",
                             "attention_sinks": True},
    "sinks-windows-clamped": {"attention_sinks": True, "attention_pattern": "wf", "window": 5, "n_kv_heads": 2,
                              "position": "rope", "norm": "rmsnorm", "mlp": "swiglu", "swiglu_clamp": 20.0},
    "deepseek": {"attention": "mla", "position": "rope", "rope_style": "interleaved", "q_rank": 10, "norm": "rmsnorm",
                 "attention_pattern": "fw", "window": 6, "mlp": "swiglu", "moe_pattern": "dm", "n_experts": 6,
                 "router": "sigmoid", "n_shared_experts": 1},
    "mixture": {"n_experts": 5, "d_expert": 12, "mlp": "swiglu", "position": "rope", "moe_pattern": "dm"},
    "mixture-sigmoid-shared": {"n_experts": 8, "router": "sigmoid", "router_selection_bias": True, "router_bias": True,
                               "expert_groups": 4, "groups_per_token": 2, "n_shared_experts": 2, "router_scale": 2.5,
                               "shared_expert_gate": True, "router_renormalize": False, "experts_per_token": 3},
    "windows-capped": {"attention_pattern": "wf", "window": 4, "position": "rope", "attention_softcap": 2.0,
                       "attention_scale": 0.7, "n_kv_heads": 2, "rope_local_theta": 50.0, "norm": "rmsnorm"},
    "windows-alibi": {"attention_pattern": "w", "window": 3, "position": "alibi", "position_pattern": "pn",
                      "alibi_slopes": "geometric", "qk_norm": "head", "norm": "rmsnorm"},
    "full-norm-yarn": {"qk_norm": "full", "position": "rope", "rope_scaling": "yarn", "d_head": 8,
                       "n_kv_heads": 2, "norm": "rmsnorm", "rope_factor": 4.0},
    "interleaved-partial": {"rope_style": "interleaved", "rotary_dim": 4, "d_head": 6, "position": "rope",
                            "position_pattern": "pn", "qk_norm": "head_separate", "n_kv_heads": 2,
                            "rope_scaling": "llama3", "norm_unit_offset": True},
    "half-partial": {"rotary_dim": 4, "d_head": 6, "position": "rope", "rope_scaling": "linear"},
    "dynamic": {"position": "rope", "rope_scaling": "dynamic", "rope_factor": 2.0, "rope_original_ctx": 11,
                "d_head": 8},
    "sandwich-scaled": {"norm": "rmsnorm", "norm_unit_offset": True, "norm_placement": "sandwich", "mlp": "geglu",
                        "position": "rope", "embedding_scale": 4.9, "logit_softcap": 3.0, "residual_scale": 0.6},
    "output": {"norm": "rmsnorm", "norm_placement": "output", "position": "rope", "mlp": "swiglu"},
    "two-norms": {"parallel_residual": "two_norms", "position": "rope", "norm_unit_offset": True, "gelu_form": "exact"},
    "one-norm": {"parallel_residual": "one_norm", "position": "rope", "norm_bias": False, "logit_scale": 0.3,
                 "unembedding_bias": True, "mlp": "silu"},
    "bare-norms": {"norm_gain": False, "norm_bias": False, "embedding_norm": True, "position": "alibi", "mlp": "relu2"},
    "bare-rmsnorm": {"norm": "rmsnorm", "norm_gain": False, "position": "none", "tie_embeddings": False,
                     "unembedding_bias": True},
}  # fmt: skip


def call(line: Entry, module: nn.Module, config: ModelConfig, x: Tensor) -> Tensor:
    """Run one component alone on a residual stream x."""
    positions = torch.arange(2, 2 + x.shape[1])[None]
    width = config.rope_head_dim if config.attention == "mla" else config.head_dim
    heads = x.new_tensor(1.0) * x.repeat(1, 1, config.n_heads)[:, :, : config.n_heads * width]
    heads = heads.unflatten(-1, (config.n_heads, width)).transpose(1, 2)
    match line.slot:
        case "embedding":
            return module(torch.arange(x.shape[1])[None])
        case "position":
            added = module.bias(3, x.shape[1])
            parts = [module.embed(x, positions), module.rotate(heads, 2), torch.zeros(1) if added is None else added]
            return torch.cat([part.flatten() for part in parts])
        case "norm" | "mlp" | "experts":
            return module(x)
        case "routing":
            choice = module(x)
            return torch.cat([choice.scores, choice.weights], dim=-1)
        case "attention" | "block":
            return module(x, Position(config))
        case "unembedding":
            return module(x, torch.ones(config.d_vocab, config.d_model))
    raise AssertionError(f"no call written for slot {line.slot!r}")


def fitting(line: Entry, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a config that has the component."""
    if line.slot in describe(ModelConfig):
        fields = fields | {line.slot: line.name}
    if line.slot in ("experts", "routing"):
        fields = {"n_experts": 4} | fields
    if line.name == "mla":  # it shares nothing between heads, and knows no switch of queries and keys that it has not
        foreign = ("n_kv_heads", "qk_norm", "attention_softcap", "rotary_dim")
        fields = {name: value for name, value in fields.items() if name not in foreign}
    return fields


def gradients(output: Tensor, module: nn.Module, x: Tensor) -> list[Tensor]:
    """Of a weighted sum of the output, by the input and by every parameter; zeros where there is no path."""
    weights = torch.linspace(-1.0, 1.0, output.numel()).view(output.shape)
    wanted = [x, *module.parameters()]
    if not output.requires_grad:
        return []
    found = torch.autograd.grad((output.float() * weights).sum(), wanted, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]


def assert_near(got: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    scale = expected.abs().max().clamp(min=1e-3)
    worst = ((got.float() - expected.float()).abs().max() / scale).item()
    assert worst <= tolerance, f"{what}: differs by {worst:.2e} of the largest value, allowed {tolerance:.0e}"


@pytest.mark.parametrize("line", CATALOG, ids=IDS)
@pytest.mark.parametrize("change", CONFIGS, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_component_implementations_agree(line: Entry, change: str, dtype: torch.dtype, small_config) -> None:
    config = small_config(**fitting(line, CONFIGS[change]))
    modules = [resolve(line.slot, line.name, implementation)(config) for implementation in line.implementations]
    spread_parameters(modules[0])
    reference = None
    for implementation, module in zip(line.implementations, modules, strict=True):
        module.load_state_dict(modules[0].state_dict(), strict=True)
        generator = torch.Generator().manual_seed(7)
        x = torch.randn(2, 7, config.d_model, generator=generator).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            output = call(line, module, config, x)
        results = [output, *gradients(output, module, x)]
        reference = reference or results
        for index, (got, expected) in enumerate(zip(results, reference, strict=True)):
            assert_near(got, expected, TOLERANCE[dtype], f"{implementation} result {index}")


NORMS = [line for line in CATALOG if line.slot == "norm"]


@pytest.mark.parametrize("line", NORMS, ids=[line.name for line in NORMS])
def test_norms_take_a_stream_in_any_order_of_memory(line: Entry, small_config) -> None:
    config = small_config()
    for implementation in line.implementations:
        module = resolve(line.slot, line.name, implementation)(config)
        spread_parameters(module)
        transposed = torch.randn(5, 3, config.d_model).transpose(0, 1)
        results = []
        for x in (transposed, transposed.contiguous()):
            x = x.detach().requires_grad_()
            results.append([output := module(x), *gradients(output, module, x)])
        for index, (got, expected) in enumerate(zip(*results, strict=True)):
            assert_near(got, expected, TOLERANCE[torch.float32], f"{implementation} result {index}")


@pytest.mark.parametrize("line", CATALOG, ids=IDS)
def test_only_the_base_class_defines_init(line: Entry, small_config) -> None:
    shapes, config = [], small_config(**fitting(line, {}))
    for implementation in line.implementations:
        cls = resolve(line.slot, line.name, implementation)
        assert cls.__name__ == line.class_name + implementation.capitalize()
        assert "__init__" not in vars(cls)
        assert cls.__mro__[1].__name__ == line.class_name
        shapes.append({key: value.shape for key, value in cls(config).state_dict().items()})
    assert all(first == second for first, second in pairwise(shapes))


@pytest.mark.parametrize("change", CONFIGS)
def test_same_seed_same_values_and_strict_load(change: str, small_config, tokens: Tensor) -> None:
    config = small_config(**CONFIGS[change])
    einops, torch_, fused = (build_model(config, name, seed=11) for name in ("einops", "torch", "fused"))
    for other in (torch_, fused):
        assert list(other.state_dict()) == list(einops.state_dict())
        for key, value in einops.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key
    different = build_model(config, "fused", seed=12)
    assert not torch.equal(different(tokens), fused(tokens))
    different.load_state_dict(einops.state_dict(), strict=True)
    assert torch.equal(different(tokens), fused(tokens))


@pytest.mark.parametrize("change", CONFIGS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_model_implementations_agree(change: str, dtype: torch.dtype, small_model, tokens: Tensor) -> None:
    reference = None
    for implementation in ("einops", "torch", "fused"):
        model = small_model(implementation, **CONFIGS[change]).train()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = model(tokens)
        loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), tokens.roll(-1, dims=1).flatten())
        results = [logits, *torch.autograd.grad(loss, list(model.parameters()))]
        reference = reference or results
        # Two layers and a softmax pile up roundings: bfloat16 gradients are compared as whole vectors.
        if dtype == torch.float32:
            for index, (got, expected) in enumerate(zip(results, reference, strict=True)):
                assert_near(got, expected, TOLERANCE[dtype], f"{implementation} result {index}")
        else:
            for got, expected in zip(map(torch.cat, flat(results)), map(torch.cat, flat(reference)), strict=True):
                assert torch.nn.functional.cosine_similarity(got, expected, dim=0) > 0.995


def flat(results: list[Tensor]) -> list[list[Tensor]]:
    """The logits as one vector, all gradients as another."""
    return [[results[0].float().flatten()], [gradient.float().flatten() for gradient in results[1:]]]


@pytest.mark.parametrize("change", CONFIGS)
@pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
@pytest.mark.parametrize("chunks", [(1,) * 11, (5, 1, 5), (10, 1), (1, 10), (11,)], ids=str)
def test_cache_equals_full_forward(change, implementation, chunks, small_model, tokens) -> None:
    model = small_model(implementation, **CONFIGS[change])
    cache = KVCache(model.config, batch=3)
    for _ in range(2):  # the second time with buffers full of old values
        parts = [model(part, cache=cache) for part in tokens.split(list(chunks), dim=1)]
        assert cache.length == 11
        assert_near(torch.cat(parts, dim=1), model(tokens), 2e-5, "cached")
        cache.reset()


@pytest.mark.parametrize("change", CONFIGS)
@pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
def test_padding_before_the_text_changes_nothing(change, implementation, small_model, tokens) -> None:
    model = small_model(implementation, **CONFIGS[change])
    real = torch.ones(3, 11, dtype=torch.bool)
    real[1, :4] = False
    padded = model(tokens, padding_mask=real)
    assert_near(padded[1:2, 4:], model(tokens[1:2, 4:]), 2e-5, "padded row")
    assert_near(padded[::2], model(tokens)[::2], 2e-5, "other rows")
    cache = KVCache(model.config, batch=3)
    first = model(tokens[:, :6], cache=cache, padding_mask=real[:, :6])
    assert_near(torch.cat([first, model(tokens[:, 6:], cache=cache)], dim=1)[1, 4:], padded[1, 4:], 2e-5, "cache")
    cache.reset()
    assert cache.add_padding(None, 6) is None  # reset forgot that there ever was padding
    first = model(tokens[:, :6], cache=cache)
    second = model(tokens[:, 6:], cache=cache, padding_mask=real.new_ones(3, 5))
    assert_near(torch.cat([first, second], dim=1), model(tokens), 2e-5, "after reset")


@pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_blind_query_gets_zeros_and_no_nan(implementation: str, dtype: torch.dtype, small_config) -> None:
    config = small_config(n_kv_heads=2)
    attention = resolve("attention", "multi_head", implementation)(config)
    spread_parameters(attention)
    real = torch.ones(2, 5, dtype=torch.bool)
    real[0, :2] = False
    x = torch.randn(2, 5, config.d_model, requires_grad=True)
    mask = attention_mask(causal(5, 5, x.device), real)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        output = attention(x, Position(config), mask).float()
    # The heads give zero, so that only the bias of the output projection is left.
    assert_near(output[0, :2], attention.out_proj.bias.expand(2, -1), TOLERANCE[dtype], "blind rows")
    assert (output[0, 2:] - attention.out_proj.bias).abs().max() > 0.1
    output.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in attention.parameters())


@pytest.mark.parametrize("change", CONFIGS)
def test_sizes_are_those_of_the_built_model(change, small_config) -> None:
    config = small_config(**CONFIGS[change])
    with torch.device("meta"):
        model = build_model(config)
    counted = parameters_by_component(config)
    found = dict.fromkeys(counted, 0)
    for name, parameter in model.named_parameters():
        parts = name.removesuffix(".weight").removesuffix(".bias").split(".")
        part = parts[2] if parts[0] == "blocks" else parts[0]
        part = "experts" if part == "mlp" and config.expert_layers[int(parts[1])] else part
        found["norms" if part.endswith("norm") else part] += parameter.numel()
    assert found == counted
    cache = KVCache(config, batch=2)
    built = sum(layer.numel() * layer.element_size() for layer in cache.keys + cache.values)
    assert built == kv_cache_bytes(config, batch=2)


def test_unknown_implementation_is_refused(small_config) -> None:
    with pytest.raises(ConfigError, match="'jax' does not exist; choose one of einops, torch, fused"):
        build_model(small_config(), "jax")
