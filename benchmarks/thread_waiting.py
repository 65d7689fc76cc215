"""How long threads should spin before they sleep: python -m benchmarks.thread_waiting.

A training step has some hundred parallel regions, and at the end of each the threads wait for one another. libgomp, the
OpenMP of torch's Linux builds, spins 300,000 times before it lets the system have the core. That is right on an idle
machine; where another program wants a core, the thread that is waited for cannot run while the others spin.

Training steps of GPT-2 tiny in one process after the other, for each setting of GOMP_SPINCOUNT in turn, on the machine
as it is and beside one busy program. Printed are medians of milliseconds a step, and their ratio to the default.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ("default", "100", "1000", "10000", "100000")
BUSY = "while True: pass"


def main() -> int:
    """One line for each setting and condition."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="Of each measurement. Default 2.")
    parser.add_argument("--measure", action="store_true", help="Only print the step time of this process.")
    arguments = parser.parse_args()
    if arguments.measure:
        print(measure(arguments.seconds))
        return 0
    for condition, beside in (("alone", 0), ("beside a busy program", 1)):
        times: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
        with busy_programs(beside):
            for _ in range(arguments.rounds):
                for setting in SETTINGS:
                    times[setting].append(in_child(setting, arguments.seconds))
        base = statistics.median(times["default"])
        for setting, found in times.items():
            median = statistics.median(found)
            print(
                f"{condition:22} GOMP_SPINCOUNT {setting:8} {median:8.1f} ms a step  x {median / base:5.2f}"
                f"   from {min(found):.1f} to {max(found):.1f}",
                flush=True,
            )
    return 0


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Programs that want a core each."""
    programs = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def in_child(setting: str, seconds: float) -> float:
    """Milliseconds a step in a process with this setting."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "OMP_"))}
    if setting != "default":
        environment["GOMP_SPINCOUNT"] = setting
    command = [sys.executable, "-m", "benchmarks.thread_waiting", "--measure", "--seconds", str(seconds)]
    return float(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout)


def measure(seconds: float) -> float:
    """Median time of a training step, with as many threads as torch takes by itself."""
    import torch
    import torch.nn.functional as F

    from components.model import build_model
    from config.presets import load_preset

    model = build_model(load_preset("gpt2", "tiny").replace(d_vocab=65), seed=1)
    tokens = torch.randint(65, (12, model.config.n_ctx))
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        F.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()).backward()
        model.zero_grad()
        times.append(time.perf_counter() - started)
    return 1_000 * statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
