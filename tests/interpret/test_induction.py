"""Two layers learn induction heads on repeated random tokens and the score says so; one layer never does.

The text repeats after 8 to 16 tokens, differently each time: with one period, a single layer is perfect with heads that
look a fixed number of tokens back. Positions are rotary: with learned ones, two layers found another way (loss 0.01
nats, every score below 0.1), which is no mistake of the score.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from components.model import Transformer, build_model
from config.model_config import ModelConfig
from interpret.attention_patterns import attention_patterns
from interpret.head_scores import HeadScores, head_scores, induction_scores

LENGTH, D_VOCAB, TEXTS, STEPS = 32, 32, 32, 700


def repeating(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Texts, and the positions whose next token can be known."""
    texts, known = torch.empty(TEXTS, LENGTH, dtype=torch.long), torch.zeros(TEXTS, LENGTH - 1, dtype=torch.bool)
    for row in range(TEXTS):
        period = int(torch.randint(LENGTH // 4, LENGTH // 2 + 1, (), generator=generator))
        once = torch.randperm(D_VOCAB, generator=generator)[:period]
        texts[row] = once.repeat(LENGTH // period + 1)[:LENGTH]
        known[row, period - 1 :] = True
    return texts, known


def trained(n_layers: int) -> tuple[Transformer, float]:
    """A model whose MLPs have one neuron, so that attention has to do it, and its last loss in nats."""
    config = ModelConfig(
        d_model=64, n_layers=n_layers, n_heads=4, d_mlp=1, n_ctx=LENGTH, d_vocab=D_VOCAB, position="rope",
        tie_embeddings=False,
    )  # fmt: skip
    model = build_model(config, "fused", seed=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        texts, known = repeating(generator)
        loss = F.cross_entropy(model(texts)[:, :-1][known], texts[:, 1:][known])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    opened = build_model(config, "einops").eval()
    opened.load_state_dict(model.state_dict())
    return opened, loss.item()


def best(scores: list[HeadScores], layer: int, name: str) -> float:
    return max(getattr(score, name) for score in scores if score.layer == layer)


@pytest.mark.slow
def test_two_layers_learn_induction_heads_and_one_layer_never_does():
    text = torch.randperm(D_VOCAB, generator=torch.Generator().manual_seed(5))
    model, loss = trained(2)
    scores = head_scores(attention_patterns(model, text), induction_scores(model))
    assert loss < 0.2
    assert best(scores, 1, "induction") > 0.8
    assert best(scores, 0, "induction") < 0.2
    assert best(scores, 0, "previous_token") > 0.8  # the head that tells every token what stood before it
    model, loss = trained(1)
    scores = head_scores(attention_patterns(model, text), induction_scores(model))
    assert loss > 1.0
    assert best(scores, 0, "induction") < 0.2
