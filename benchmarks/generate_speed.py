"""How fast one text is written here, beside Hugging Face's `generate` on the same weights.

    python -m benchmarks.generate_speed                               (all shapes; 15 minutes on two quiet cores)
    python -m benchmarks.generate_speed --shapes 4x128 --new_tokens 100 --rounds 3 --threads 1

Four ways of ours, each beside theirs in float32: as the model is, with `--compile` of infer.py, and with its
`--quantize float16` and `int8`. All write in turn, in one process with the same number of threads, so that a busy
machine slows all of them; each round's ratio compares neighbours in time, and the median over the rounds counts.
Temperature 0.8 and top-k 50, batch 1. The weights are ours, copied into a GPT2LMHeadModel. The aims are those of the
first way for the two small shapes, of float16 for the large one, and of compiled products. Needs the development group
(`transformers`).
"""

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from components.kv_cache import KVCache
from components.model import build_model
from config.model_config import ModelConfig
from generation.compiled import kernel
from generation.generate import generate
from generation.reading import last_logits
from generation.samplers import build_samplers

SHAPES = {"4x128": (4, 128, 4, 65), "6x384": (6, 384, 6, 65), "gpt2": (12, 768, 12, 50257)}
WAYS: dict[str, dict[str, Any]] = {
    "float32": {},
    "compiled": {"compiled": True},
    "float16": {"weights": "float16"},
    "int8": {"weights": "int8"},
}
# Times their speed.
AIMS = {
    ("4x128", "float32"): 2.5, ("6x384", "float32"): 1.4, ("gpt2", "float16"): 2.0,
    ("4x128", "compiled"): 3.5, ("6x384", "compiled"): 2.0, ("gpt2", "compiled"): 2.0,
}  # fmt: skip
N_CTX, PREFILL = 1024, 1000
PROMPT = [1, 2, 3, 4]
THEIRS = "theirs"


def main() -> int:
    """Run the shapes; 0 if every aim is reached, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generate_speed", description="Tokens per second.")
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=list(SHAPES), help="layers x width")
    parser.add_argument("--new_tokens", type=int, default=500, help="how long each text is")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side writes it")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="for all sides")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    kernel()  # built before anybody writes
    reached = [compare(shape, arguments) for shape in arguments.shapes]
    return 0 if all(reached) else 1


def compare(shape: str, arguments: argparse.Namespace) -> bool:
    """One table of one shape: a line for each way, and one for the prompt."""
    n_layers, d_model, n_heads, d_vocab = SHAPES[shape]
    config = ModelConfig(
        n_layers=n_layers, d_model=d_model, n_heads=n_heads, d_mlp=4 * d_model, d_vocab=d_vocab, n_ctx=N_CTX
    )
    model = build_model(config, seed=1).eval()
    theirs = as_hugging_face(model)
    ours = {way: functools.partial(write_ours, model, **settings) for way, settings in WAYS.items()}
    seconds = in_turn({THEIRS: functools.partial(write_theirs, theirs), **ours}, arguments.new_tokens, arguments.rounds)
    reached = [report(shape, way, seconds, arguments.new_tokens) for way in ours]
    prefill = in_turn(
        {THEIRS: functools.partial(read_theirs, theirs), "ours": functools.partial(read_ours, model)}, PREFILL, 3
    )
    took = statistics.median(prefill["ours"])
    faster = median_ratio(prefill[THEIRS], prefill["ours"])
    print(f"{shape:>6}  a prompt of {PREFILL:,} tokens in {took:.2f} s: {faster:.2f} x", flush=True)
    return all(reached)


def report(shape: str, way: str, seconds: dict[str, list[float]], count: int) -> bool:
    """One line: tokens per second of both sides, the median ratio, and whether the aim is reached, if there is one."""
    ratio, aim = median_ratio(seconds[THEIRS], seconds[way]), AIMS.get((shape, way))
    theirs_speed, our_speed = (count / statistics.median(seconds[side]) for side in (THEIRS, way))
    line = f"{shape:>6}  theirs {theirs_speed:6,.0f}, {way:>8} {our_speed:6,.0f} tokens/s: {ratio:.2f} x"
    print(line + (f" (aim {aim})" if aim else ""), flush=True)
    return aim is None or ratio >= aim


def median_ratio(slower: list[float], faster: list[float]) -> float:
    """The median of the rounds' own ratios."""
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))


def in_turn(sides: dict[str, Callable[[int], None]], count: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round of each side, after one short run that nobody counts."""
    for side in sides.values():
        side(min(count, 8))
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            started = time.perf_counter()
            side(count)
            seconds[name].append(time.perf_counter() - started)
    return seconds


def write_ours(model: nn.Module, count: int, **way: Any) -> None:
    samplers = build_samplers(temperature=0.8, top_k=50, top_p=None)
    steps = generate(model, PROMPT, max_new_tokens=count, samplers=samplers, seed=1, **way)
    assert sum(1 for _ in steps) == count


def write_theirs(model: Any, count: int) -> None:
    prompt = torch.tensor([PROMPT])
    with torch.inference_mode():
        written: Any = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=True, temperature=0.8, top_k=50, top_p=1.0,
            min_new_tokens=count, max_new_tokens=count, pad_token_id=0,
        )  # fmt: skip
    assert written.shape[1] == len(PROMPT) + count


def read_ours(model: nn.Module, count: int) -> None:
    with torch.inference_mode():
        last_logits(model, torch.ones(1, count, dtype=torch.long), KVCache(cast(ModelConfig, model.config)))


def read_theirs(model: GPT2LMHeadModel, count: int) -> None:
    with torch.inference_mode():
        model(torch.ones(1, count, dtype=torch.long), use_cache=True, logits_to_keep=1)


def as_hugging_face(model: nn.Module) -> GPT2LMHeadModel:
    """The same model in their class; refuses to go on if the logits differ."""
    config = cast(ModelConfig, model.config)  # nn.Module's attributes have no type
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.d_vocab, n_positions=config.n_ctx, n_embd=config.d_model, n_layer=config.n_layers,
            n_head=config.n_heads, bos_token_id=None, eos_token_id=None,
        )
    ).eval()  # fmt: skip
    ours = model.state_dict()
    names = {"token_embedding": "wte", "positional_embedding": "wpe", "final_norm": "ln_f", "blocks": "h",
             "attention_norm": "ln_1", "mlp_norm": "ln_2", "attention": "attn", "qkv_proj": "c_attn",
             "out_proj": "c_proj", "up_proj": "c_fc", "down_proj": "c_proj"}  # fmt: skip
    renamed = {}
    for name, tensor in ours.items():
        parts = [names.get(part, part) for part in name.split(".")]
        # Their linear maps hold the matrix the other way round.
        renamed["transformer." + ".".join(parts)] = tensor.T if name.endswith("proj.weight") else tensor
    renamed["lm_head.weight"] = ours["token_embedding.weight"]
    theirs.load_state_dict(renamed)
    tokens = torch.tensor([PROMPT])
    with torch.inference_mode():
        torch.testing.assert_close(theirs(tokens).logits, model(tokens), rtol=1e-3, atol=1e-4)
    return theirs


if __name__ == "__main__":
    sys.exit(main())
