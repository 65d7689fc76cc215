"""Parameters and attention of a trained model: python -m examples.look_inside RUN [PROMPT]"""

import sys
from pathlib import Path
from typing import Any

import torch
from einops import einsum, rearrange

from components.attention_mask import attention_mask, causal
from generation.prompt import encode_prompt
from runs.folder import CHECKPOINTS, find_run
from training.checkpoint import load_model, load_tokenizer_of


def main(run: Path, prompt: str) -> None:
    """The tensors of a checkpoint, two implementations of it, and where one head of its first block looks."""
    model: Any = load_model(run, implementation="einops")  # Any: to mypy the parts of a Module are unknown
    for name, tensor in model.state_dict().items():
        print(f"{name:<40}{tuple(tensor.shape)!s:<16} spread {tensor.std().item():.3f}")
    tokenizer, attention, position = load_tokenizer_of(run), model.blocks[0].attention, model.positional_embedding
    tokens = torch.tensor([encode_prompt(tokenizer, prompt)[-model.config.n_ctx :]])  # [batch pos]
    seen: list[Any] = []
    attention.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))  # [batch pos d_model]
    difference = model(tokens) - load_model(run, implementation="fused")(tokens)
    print(f"einops and fused logits differ by at most {difference.abs().max().item():.1e}")
    # The fused kernel never forms the pattern; with the same parameters it takes the lines of components/attention.py.
    qkv = rearrange(attention.qkv_proj(seen[0]), "batch pos (head d) -> batch head pos d", d=attention.d_head)
    query, key, _ = qkv.split(attention.heads_in_qkv, dim=1)
    query, key = position.rotate(query, 0), position.rotate(key, 0).repeat_interleave(attention.group, dim=1)
    scores = einsum(query, key, "batch head query d, batch head key d -> batch head query key") * attention.scale
    length = tokens.shape[1]
    mask = attention_mask(causal(length, length, scores.device), bias=position.bias(length, length))
    for token, row in zip(tokens[0].tolist(), (scores + mask.added).softmax(dim=-1)[0, 0], strict=True):  # head 0
        print(f"{tokenizer.token_text(token):>8} |", *(f"{weight:4.2f}" for weight in row.tolist()))


if __name__ == "__main__":
    main(find_run(CHECKPOINTS, sys.argv[1]).path, sys.argv[2] if len(sys.argv) > 2 else "The king")
