"""Texts packed into one row: none sees another, and each is read as if it stood alone."""

import pytest
import torch

from components.model import build_model, positions_in_documents
from config.catalog import IMPLEMENTATIONS
from config.model_config import ModelConfig
from tests.components.conftest import spread_parameters
from tests.components.test_contract import CONFIGS

SIZES = {"d_model": 24, "n_layers": 2, "n_heads": 4, "d_mlp": 32, "n_ctx": 16, "d_vocab": 11}
# Where angles grow with the text, a document is turned by the length of the row that it is packed into.
APART = {name: config for name, config in CONFIGS.items() if config.get("rope_scaling") != "dynamic"}
DOCUMENTS = torch.tensor([[0] * 5 + [1] * 4 + [2] * 5 + [-1] * 2, [0] * 9 + [1] * 7])


def build(config: dict, implementation: str):
    model = build_model(ModelConfig(**(SIZES | config)), implementation, seed=3).eval()
    spread_parameters(model)
    return model.requires_grad_(False)


def test_positions_count_from_the_start_of_each_document():
    assert positions_in_documents(torch.tensor([[4, 4, 4, 0, 0, 7], [1, 1, 1, 1, 1, 1]])).tolist() == [
        [0, 1, 2, 0, 1, 0], [0, 1, 2, 3, 4, 5],
    ]  # fmt: skip


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("config", APART.values(), ids=APART)
def test_a_packed_document_is_read_as_if_it_stood_alone(config, implementation):
    model = build(config, implementation)
    tokens = torch.randint(11, (2, 16), generator=torch.Generator().manual_seed(0))
    packed = model(tokens, documents=DOCUMENTS)
    for row, first, last in ((0, 0, 5), (0, 5, 9), (0, 9, 14), (1, 0, 9), (1, 9, 16)):
        alone = model(tokens[row : row + 1, first:last])[0]
        torch.testing.assert_close(packed[row, first:last], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_changed_document_changes_nothing_of_the_others(implementation):
    for config in CONFIGS.values():
        model = build(config, implementation)
        tokens = torch.randint(11, (2, 16), generator=torch.Generator().manual_seed(0))
        changed = tokens.clone()
        changed[0, 5:9] = (changed[0, 5:9] + 1) % 11
        before, after = model(tokens, documents=DOCUMENTS), model(changed, documents=DOCUMENTS)
        others = DOCUMENTS[0] != 1
        # Up to the rounding of matrix kernels, which depends on where in memory a tensor lies.
        torch.testing.assert_close(after[0, others], before[0, others], rtol=0, atol=1e-6)
        torch.testing.assert_close(after[1], before[1], rtol=0, atol=1e-6)
        assert not torch.equal(before[0, ~others], after[0, ~others])


def test_gradients_of_one_document_reach_no_other():
    model = build(CONFIGS["gpt2"], "fused")
    tokens = torch.randint(11, (2, 16), generator=torch.Generator().manual_seed(0))
    vectors = model.token_embedding.weight[tokens].requires_grad_(True)
    model.token_embedding.forward = lambda tokens: vectors
    model(tokens, documents=DOCUMENTS)[0, 9:14].square().sum().backward()
    touched = vectors.grad.abs().sum(dim=-1) > 0
    assert touched[0].tolist() == (DOCUMENTS[0] == 2).tolist() and not touched[1].any()
