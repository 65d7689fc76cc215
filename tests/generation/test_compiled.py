"""The kernel of --compile computes what torch does, and its absence is one sentence."""

import os
import shutil

import pytest
import torch

from components.kv_cache import KVCache
from components.model import build_model
from config.errors import ConfigError
from config.model_config import ModelConfig
from generation import compiled
from generation.compiled import CompiledProjection
from generation.decode_plan import DecodePlan
from generation.generate import generate
from generation.samplers import build_samplers

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, [os.environ["CC"]] if "CC" in os.environ else compiled.COMPILERS)),
    reason="there is no C compiler here",
)


@pytest.fixture
def fresh_kernel():
    compiled.kernel.cache_clear()
    yield
    compiled.kernel.cache_clear()


@needs_compiler
@pytest.mark.parametrize(("d_in", "d_out"), [(1, 1), (7, 5), (130, 33), (512, 600)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_the_kernel_equals_a_linear_map(d_in, d_out, has_bias):
    linear, x, stream = torch.nn.Linear(d_in, d_out, bias=has_bias), torch.randn(1, d_in), torch.randn(1, d_out)
    with torch.inference_mode():
        projection = CompiledProjection(linear.weight, linear.bias)
        torch.testing.assert_close(projection(x), linear(x), rtol=1e-4, atol=1e-5)
        expected = stream + linear(x)
        projection.add_to(stream, x)
    torch.testing.assert_close(stream, expected, rtol=1e-4, atol=1e-5)


@needs_compiler
@pytest.mark.parametrize("changes", [{}, {"norm": "rmsnorm", "mlp": "swiglu", "position": "rope"}])
def test_compiled_text_is_the_eager_text(changes):
    # d_mlp 9,000: matrices that are large enough to be compiled.
    config = ModelConfig(d_model=32, n_layers=2, d_mlp=9000, n_ctx=16, d_vocab=50, init_std=0.3, **changes)
    model = build_model(config, seed=1).eval()

    assert DecodePlan.of(model, KVCache(config), compiled=True).projections.has(CompiledProjection)

    def written(seed, is_compiled):
        samplers = build_samplers()
        steps = generate(model, [1, 2], max_new_tokens=40, samplers=samplers, seed=seed, compiled=is_compiled)
        return [step.token for step in steps]

    for seed in range(3):
        assert written(seed, is_compiled=True) == written(seed, is_compiled=False)


@pytest.mark.usefixtures("fresh_kernel")
@pytest.mark.parametrize(
    ("compiler", "message"),
    [
        ("no-such-compiler", "needs a C compiler that works, and there is none"),
        ("false", "cannot build matvec.c"),
    ],
)
def test_without_a_compiler_that_works_it_is_refused_in_a_sentence(monkeypatch, compiler, message):
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(ConfigError, match=message):
        compiled.kernel()


@needs_compiler
@pytest.mark.usefixtures("fresh_kernel")
def test_a_compiler_without_openmp_builds_it_too(monkeypatch):
    monkeypatch.setattr(compiled, "FLAGS", (("-fno-such-flag",), ()))
    linear, x = torch.nn.Linear(40, 30), torch.randn(1, 40)
    torch.testing.assert_close(CompiledProjection(linear.weight.detach(), linear.bias.detach())(x), linear(x))
