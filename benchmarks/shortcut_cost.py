"""What the shortcuts of writing cost in quality: fewer bits to a weight, a compiled kernel, a cache that rolls.

    python -m benchmarks.shortcut_cost CHECKPOINT                    (a trained run; a minute for a small model)
    python -m benchmarks.shortcut_cost CHECKPOINT --tokens 2000 --prompts 20

Two things, each beside the exact way: the perplexity of the end of the run's own text, one token after the other and
past the window; and how many greedy texts of 200 tokens, begun at places of that text, are the same to the last token.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from config.model_config import ModelConfig
from generation.generate import generate
from generation.samplers import build_samplers
from generation.window import ROLLING, Window
from runs.checkpoints import choose
from runs.folder import RunFolder
from text.tokenizer_types import load_tokenizer
from training.checkpoint import load_model

WAYS: dict[str, dict[str, Any]] = {
    "exact": {},
    "compiled": {"compiled": True},
    "float16": {"weights": "float16"},
    "int8": {"weights": "int8"},
    "roll": {"sliding": "roll"},
}
PROMPT_TOKENS, NEW_TOKENS = 16, 200


def main() -> int:
    """One line for each way that the model can go."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shortcut_cost", description="Quality of shortcuts.")
    parser.add_argument("checkpoint", help="a run, or one of its step folders")
    parser.add_argument("--text_file", help="what to read; default the run's own text")
    parser.add_argument("--tokens", type=int, default=1_000, help="how many tokens at its end are scored")
    parser.add_argument("--prompts", type=int, default=10, help="how many greedy texts are written")
    arguments = parser.parse_args()
    checkpoint = choose(Path(arguments.checkpoint), print)
    run = RunFolder(checkpoint.parent)
    text = Path(arguments.text_file or run.read_config().data.text_file).read_text(encoding="utf-8")
    tokens = load_tokenizer(run.tokenizer_path).encode(text[-20 * arguments.tokens :])[-arguments.tokens :]
    model = load_model(checkpoint)
    exact: list[list[int]] = []
    for way, settings in WAYS.items():
        if way == "roll" and cast(ModelConfig, model.config).position not in ROLLING:
            continue
        nats = loss_nats(model, tokens, settings)
        texts = greedy_texts(model, tokens, arguments.prompts, settings)
        exact = exact or texts
        same = sum(a == b for a, b in zip(texts, exact, strict=True))
        print(
            f"{way:>8}  {nats:.5f} nats, perplexity {math.exp(nats):.4f}; {same} of {len(texts)} greedy texts the same"
        )
    return 0


@torch.inference_mode()
def loss_nats(model: nn.Module, tokens: list[int], settings: dict[str, Any]) -> float:
    """Mean over the tokens behind the first, each predicted from what the window holds before it."""
    n_ctx = cast(ModelConfig, model.config).n_ctx
    window = Window(model, [tokens[:1]], n_ctx, use_plan=True, **{"sliding": "reencode"} | settings)
    total = 0.0
    for token in tokens[1:]:
        total -= float(window.next_logits().log_softmax(dim=-1)[0, token])
        window.append([token])
    return total / (len(tokens) - 1)


def greedy_texts(model: nn.Module, tokens: list[int], count: int, settings: dict[str, Any]) -> list[list[int]]:
    """So many texts, begun at evenly spread places."""
    starts = range(0, len(tokens) - PROMPT_TOKENS, max(1, (len(tokens) - PROMPT_TOKENS) // count))[:count]
    greedy = build_samplers(greedy=True)
    return [
        [step.token for step in generate(
            model, tokens[start : start + PROMPT_TOKENS], max_new_tokens=NEW_TOKENS, samplers=greedy, seed=0, **settings
        )]
        for start in starts
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
