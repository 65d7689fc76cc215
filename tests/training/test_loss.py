"""The chunked loss equals the plain one, in value and gradients, and is taken where logits would be large."""

import pytest
import torch
from torch import nn

from components.model import build_model
from config.model_config import ModelConfig
from training import loss as loss_module
from training.loss import LossFunction, chunked_loss, model_loss, next_token_loss


def operands(dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 7, 12, generator=generator).to(dtype).requires_grad_()
    matrix = torch.randn(29, 12, generator=generator).requires_grad_()
    return x, matrix, torch.randint(29, (3, 7), generator=generator)


@pytest.mark.parametrize("chunk", [1, 4, 7, 20, 21, 100])
@pytest.mark.parametrize("factor", [1.0, 0.25, 1024.0])
def test_chunks_of_any_size_give_the_plain_loss_and_its_gradients(chunk, factor):
    x, matrix, targets = operands()
    plain = next_token_loss(x @ matrix.T, targets)
    chunked = chunked_loss(x, matrix, targets, chunk)
    torch.testing.assert_close(chunked, plain, rtol=1e-6, atol=0)
    expected = torch.autograd.grad(plain * factor, (x, matrix))
    for got, wanted in zip(torch.autograd.grad(chunked * factor, (x, matrix)), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-7 * factor)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_sixteen_bits_it_is_as_exact_as_the_plain_loss(dtype):
    x, matrix, targets = operands()
    exact = torch.autograd.grad(next_token_loss(x @ matrix.T, targets), (x, matrix))
    errors = []
    for loss_of in (lambda: next_token_loss(nn.functional.linear(x, matrix), targets),
                    lambda: chunked_loss(x, matrix, targets, 4)):  # fmt: skip
        with torch.autocast("cpu", dtype):
            loss = loss_of()
        assert loss.dtype == torch.float32
        found = torch.autograd.grad(loss, (x, matrix))
        errors.append([(got - wanted).norm() / wanted.norm() for got, wanted in zip(found, exact, strict=True)])
    assert all(chunked < 1.5 * plain for plain, chunked in zip(*errors, strict=True)), errors


def test_only_what_is_trained_gets_a_gradient():
    x, matrix, targets = operands()
    chunked_loss(x, matrix.detach(), targets, 4).backward()
    assert x.grad is not None and matrix.grad is None
    chunked_loss(x.detach(), matrix, targets, 4).backward()
    assert matrix.grad is not None
    with torch.no_grad():
        assert not chunked_loss(x, matrix, targets, 4).requires_grad


HEADS = {
    "tied": {},
    "untied": {"tie_embeddings": False},
    "bias and scale": {"unembedding_bias": True, "logit_scale": 3.0},
    "bias and cap": {"unembedding_bias": True, "logit_softcap": 0.5, "tie_embeddings": False},
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("implementation", ["einops", "torch", "fused"])
def test_a_model_with_many_logits_learns_the_same_in_chunks(head, implementation, monkeypatch):
    config = ModelConfig(d_vocab=31, d_model=16, n_layers=1, n_heads=2, d_mlp=32, n_ctx=8, **HEADS[head])
    model = build_model(config, implementation, seed=1)
    if model.unembedding.bias is not None:
        torch.nn.init.normal_(model.unembedding.bias, generator=torch.Generator().manual_seed(2))
    tokens = torch.randint(31, (2, 9), generator=torch.Generator().manual_seed(0))
    arguments = model, tokens[:, :-1], tokens[:, 1:]
    results, used = [], []
    original = loss_module.chunked_loss
    monkeypatch.setattr(loss_module, "chunked_loss", lambda *given: (used.append(1), original(*given))[1])
    for limit in (loss_module.LARGE_LOGITS, 16 * 31 - 1):
        monkeypatch.setattr(loss_module, "LARGE_LOGITS", limit)
        monkeypatch.setattr(loss_module, "CHUNK_LOGITS", 5 * 31)
        loss = model_loss(*arguments)
        results.append([loss, *torch.autograd.grad(loss, list(model.parameters()))])
    assert used == [1]
    for plain, chunked in zip(*results, strict=True):
        torch.testing.assert_close(chunked, plain, rtol=1e-4, atol=1e-7)


def test_only_batches_of_the_training_shape_go_to_compiled_code(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: lambda *arguments: (torch.tensor(-1.0), None))
    model = build_model(ModelConfig(d_vocab=31, d_model=16, n_layers=1, n_heads=2, d_mlp=32, n_ctx=8), seed=1)
    tokens = torch.zeros(4, 8, dtype=torch.long)
    loss_of = LossFunction((4, 8), compiled=True)
    assert loss_of(model, tokens, tokens) == -1.0
    assert loss_of(model, tokens[:3], tokens[:3]) > 0 and loss_of(model, tokens[:, :5], tokens[:, :5]) > 0
    assert LossFunction((4, 8))(model, tokens, tokens) > 0
