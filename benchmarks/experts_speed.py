"""What experts cost beside a dense model of equal active size: python -m benchmarks.experts_speed.

A step (forward, backward, AdamW) of a dense LLaMA and of mixtures of experts of which a token uses as many parameters,
in each implementation, in one process: one step of every side in turn, again and again. Printed are medians of
milliseconds a step, and the median of the ratios to the dense model of the same round. "dense again" is the dense model
a second time: it reads 1.00, give or take the noise.

    python -m benchmarks.experts_speed --clock cpu          on a machine that others use: counts processor time
    python -m benchmarks.experts_speed --device cuda --size full --batch_size 16 --dtype bfloat16
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from components.model import build_model
from config.model_config import ModelConfig
from config.presets import SIZES, load_preset
from config.run_config import RunConfig
from config.train_config import TrainConfig
from runs.experts import with_experts
from training.loss import LossFunction
from training.optimizer import build_optimizer
from training.precision import autocast

WARM_UP = 3
D_VOCAB = 65


def main() -> None:
    """One line for each side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--n_experts", type=int, default=8)
    parser.add_argument("--experts_per_token", type=int, default=2)
    parser.add_argument("--batch_size", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    dense = load_preset("llama", arguments.size).replace(d_vocab=D_VOCAB)
    mixture = with_experts(RunConfig(model=dense), arguments.n_experts, arguments.experts_per_token).model
    sides = {"dense": (dense, "fused"), "dense again": (dense, "fused")}
    sides |= {f"experts, {way}": (mixture, way) for way in ("fused", "torch", "einops")}
    steps = {name: make_step(*side, arguments) for name, side in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(WARM_UP + arguments.rounds):
        for name, step in steps.items():
            started = clock()
            step()
            if number >= WARM_UP:
                times[name].append(clock() - started)
    for name, found in times.items():
        ratio = statistics.median(one / base for one, base in zip(found, times["dense"], strict=True))
        print(f"{name:16} {1e3 * statistics.median(found):8.1f} ms a step  x {ratio:5.2f}")


def make_step(config: ModelConfig, implementation: str, arguments: argparse.Namespace) -> Callable[[], None]:
    """A function that makes one training step and waits for the device."""
    device = torch.device(arguments.device)
    model = build_model(config, implementation, seed=1).to(device)
    optimizer = build_optimizer(model, TrainConfig())
    tokens = torch.randint(D_VOCAB, (arguments.batch_size, config.n_ctx), device=device)
    loss_of = LossFunction((arguments.batch_size, config.n_ctx))
    precision = autocast(device, getattr(torch, arguments.dtype))

    def step() -> None:
        with precision:
            loss = loss_of(model, tokens, tokens)
        loss.backward()
        optimizer.gradient_norm().item()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


if __name__ == "__main__":
    main()
