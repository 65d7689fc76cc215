"""Tokens per second of a training here, beside a plain loop, and as a share of what the machine can multiply.

    python -m benchmarks.train_speed                          (both shapes, eager; about 5 minutes on two cores)
    python -m benchmarks.train_speed --compile --shapes tiny --rounds 40
    python -m benchmarks.train_speed --threads 1 --clock cpu  (on a machine that others use: counts processor time)

"ours" is what `train.py` runs: the loop of training/trainer.py with its metrics, and between two steps the worker's
look at messages, state and log. "plain" is benchmarks/plain_gpt.py. Every side has a process of its own, as it would
have in life: the plain loop's has nothing of ours, whose processes ask for memory otherwise (training/memory.py). They
run in turn, a few steps each, in rotating order, while the others wait. A ratio is the median of the ratios of the
rounds, so that a machine that is busy for a while disturbs both sides.

The same code differs by up to 6 % from process to process, for good: where its memory happens to lie. So the plain loop
has two processes, "plain" and "plain again", and what all are compared with is the mean of these two.
"""

import argparse
import itertools
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from benchmarks.plain_gpt import PlainLoop
from components.model import build_model
from config.data_config import DataConfig
from config.model_config import ModelConfig
from config.run_config import RunConfig
from config.sizes import flops_per_token
from config.train_config import TrainConfig
from runs.folder import RunFolder, create_run
from training.prepare import PreparedText, prepare_text
from training.report import Reporter
from training.trainer import Trainer, train
from training.worker import Worker

BATCH = 12
SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"n_layers": 4, "n_heads": 4, "d_model": 128, "d_mlp": 512, "n_ctx": 64},
    "small": {"n_layers": 6, "n_heads": 6, "d_model": 384, "d_mlp": 1536, "n_ctx": 256},
}
# The model of the plain loop in our settings, and others that are worth a row of their own.
SAME = {"qkv_bias": False, "attention_out_bias": False, "mlp_bias": False, "norm_bias": False, "gelu_form": "exact"}
MODELS: dict[str, dict[str, object]] = {
    "same model": SAME,
    "GPT-2 preset": {},
    "LLaMA-like": SAME | {"norm": "rmsnorm", "position": "rope", "mlp": "swiglu", "gelu_form": "tanh"},
}
PLAIN = "plain"
STEPS = {"tiny": 10, "small": 1}  # of a side in a round: about half a second
MATMUL = 1024
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def prepare(folder: Path, shape: str, name: str, compiled: bool) -> tuple[RunFolder, RunConfig, PreparedText]:
    """A run that never evaluates or saves by itself, and its text."""
    settings = TrainConfig(
        batch_size=BATCH, max_steps=10**6, warmup_steps=100, eval_interval=10**6, save_interval=10**6,
        device="cpu", compile=compiled, baselines=False,
    )  # fmt: skip
    model = ModelConfig(**(SHAPES[shape] | MODELS[name]))  # type: ignore[arg-type]
    config = RunConfig(model=model, training=settings, data=DataConfig())
    run = create_run(folder, config, {"command": ["benchmark"]})
    return run, config, prepare_text(run, config, lambda: None)


class OurRun:
    """A run folder with its worker and trainer, as train.py makes them."""

    def __init__(self, folder: Path, shape: str, name: str, compiled: bool):
        run, config, text = prepare(folder, shape, name, compiled)
        self.model_config = run.read_model_config()
        self.worker = Worker(run, Reporter(run))
        self.worker.state.set("starting")
        built = build_model(self.model_config, seed=config.training.seed)
        self.trainer = self.worker.trainer = Trainer(run, config, built, text, lambda line: None)
        self.trainer.progress.evaluated_step = self.worker._spoken_evaluation = 0  # none before the first step
        self.worker.state.set("running", step=0, max_steps=self.trainer.max_steps)

    def steps(self, count: int) -> None:
        """So many steps of the real loop."""
        last = self.trainer.progress.step + count
        train(self.trainer, lambda: self.worker._attend() and self.trainer.progress.step < last, lambda: False)

    def surroundings(self) -> tuple[float, float, float]:
        """Seconds of the logging of one step, of an evaluation with its sample, and of a checkpoint."""
        steps, started = 200, time.perf_counter()
        for _ in range(steps):
            self.worker._attend()
            self.trainer._record(1.0, 1.0, 1e-3, 1, started, [])
        logging = (time.perf_counter() - started) / steps
        return logging, median_seconds(self.trainer.evaluate, 3), median_seconds(self.trainer.save, 3)


class PlainRun(PlainLoop):
    """The plain loop on the tokens of one of our runs."""

    def __init__(self, folder: Path, shape: str, compiled: bool):
        run, _, text = prepare(folder, shape, "same model", compiled)
        config = self.model_config = run.read_model_config()
        file = Path(text.train.tokens.filename)  # type: ignore[attr-defined]
        super().__init__(file, config.d_vocab, config.d_model, config.n_layers, config.n_heads, config.n_ctx, BATCH)
        if compiled:
            self.model = torch.compile(self.model)  # type: ignore[assignment]


def serve(connection: Connection, folder: Path, shape: str, name: str, compiled: bool, threads: int) -> None:
    """A side's process: does the steps it is told to do and says how long they took on both clocks."""
    torch.set_num_threads(threads)
    run = PlainRun(folder, shape, compiled) if name.startswith(PLAIN) else OurRun(folder, shape, name, compiled)
    connection.send(flops_per_token(run.model_config))
    while (count := connection.recv()) is not None:
        if count == 0:
            assert isinstance(run, OurRun)
            connection.send(run.surroundings())
            continue
        before = {key: clock() for key, clock in CLOCKS.items()}
        run.steps(count)
        connection.send({key: (clock() - before[key]) / count for key, clock in CLOCKS.items()})


class Side:
    """One thing to measure, in its process."""

    def __init__(self, folder: Path, shape: str, name: str, compiled: bool, threads: int):
        self.title = f"{'' if name.startswith(PLAIN) else 'ours, '}{name}{', compiled' * compiled}"
        self.seconds_per_step: list[float] = []
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        arguments = (other, folder, shape, name, compiled, threads)
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        other.close()  # so that a side that dies is noticed
        self.flops_per_token: int = self.connection.recv()

    def ask(self, count: int) -> dict[str, float]:
        """Seconds for each step."""
        self.connection.send(count)
        answer: dict[str, float] = self.connection.recv()
        return answer

    def close(self) -> None:
        """End the process."""
        self.connection.send(None)
        self.process.join()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_speed", description="Speed of training.")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["same model", "GPT-2 preset"])
    parser.add_argument("--rounds", type=int, default=24, help="how often each side runs")
    parser.add_argument("--compile", action="store_true", help="also compiled, both ours and the plain loop")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"torch {torch.__version__}, {arguments.threads} of {os.cpu_count()} processors, load {load}")
    for shape in arguments.shapes:
        with tempfile.TemporaryDirectory() as folder:
            measure(shape, Path(folder), arguments)
    return 0


def measure(shape: str, folder: Path, arguments: argparse.Namespace) -> None:
    """One shape: all sides in turn, then what surrounds the steps of ours."""
    forms = (False, True) if arguments.compile else (False,)
    wanted = [(PLAIN, False), (f"{PLAIN} again", False), *[(PLAIN, True)][: len(forms) - 1]]
    wanted += itertools.product(arguments.models, forms)
    sides = [Side(folder, shape, name, compiled, arguments.threads) for name, compiled in wanted]
    peak = compare(sides, STEPS[shape], arguments.rounds, arguments.clock)
    print(
        f"\n{shape}: {SHAPES[shape]}, batch {BATCH}; float32 products {peak / 1e9:,.0f} GFLOP/s; {arguments.clock} time"
    )
    tokens = BATCH * SHAPES[shape]["n_ctx"]
    plain = [statistics.mean(both) for both in zip(*(side.seconds_per_step for side in sides[:2]), strict=True)]
    for side in sides:
        ratios = [a / b for a, b in zip(plain, side.seconds_per_step, strict=True)]
        seconds = statistics.median(side.seconds_per_step)
        print(
            f"  {side.title:32} {1000 * seconds:8.1f} ms  {tokens / seconds:9,.0f} tokens/s "
            f"{100 * side.flops_per_token * tokens / seconds / peak:4.0f} % of peak "
            f"{statistics.median(ratios):6.2f} x plain"
        )
    ours = sides[2 + arguments.compile]
    print_surroundings(ours, statistics.median(ours.seconds_per_step), tokens)
    for side in sides:
        side.close()


def compare(sides: list[Side], steps: int, rounds: int, clock: str) -> float:
    """Run all sides in turn, first to warm up; the matrix products' speed in FLOP/s."""
    square = torch.randn(MATMUL, MATMUL)
    speeds = []
    for side in sides:
        side.ask(3)
    for index in range(rounds):
        for offset in range(len(sides)):
            side = sides[(index + offset) % len(sides)]
            side.seconds_per_step.append(side.ask(steps)[clock])
        started = CLOCKS[clock]()
        square @ square
        speeds.append(2 * MATMUL**3 / (CLOCKS[clock]() - started))
    return max(speeds)  # what the machine can do; others may use it at times


def print_surroundings(ours: Side, seconds_per_step: float, tokens: int) -> None:
    """What logging, evaluation and checkpoints add to a step, at the default intervals."""
    defaults = TrainConfig()
    ours.connection.send(0)
    logging, evaluation, saving = ours.connection.recv()
    overhead = logging + saving / defaults.save_interval
    whole = seconds_per_step + evaluation / defaults.eval_interval + saving / defaults.save_interval
    print(
        f"  logging {1e6 * logging:,.0f} us a step, evaluation with sample {evaluation:.2f} s, saving {saving:.2f} s\n"
        f"  logging, metrics and checkpoints take {100 * overhead / whole:.1f} % of a run;"
        f" with evaluation every {defaults.eval_interval} steps {tokens / whole:,.0f} tokens/s"
    )


def median_seconds(action: Callable[[], object], times: int) -> float:
    """How long an action takes."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


if __name__ == "__main__":
    sys.exit(main())
