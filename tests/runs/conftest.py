"""A run to try things on, a small worker without torch, and checkpoints made of a few bytes."""

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.model_config import ModelConfig
from config.run_config import RunConfig
from runs import checkpoints
from runs.folder import RunFolder, create_run

WORKER = Path(__file__).with_name("dummy_worker.py")
SAFETENSORS_START = (2).to_bytes(8, "little") + b"{}"


@pytest.fixture
def config() -> RunConfig:
    return RunConfig(model=ModelConfig())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


@pytest.fixture
def run(root: Path, config: RunConfig) -> RunFolder:
    return create_run(root, config, {"seed": 1})


@pytest.fixture
def wait_until() -> Callable[..., None]:
    def wait(condition: Callable[[], bool], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.01)

    return wait


@pytest.fixture
def start_worker() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a dummy worker for a run and wait until it says that it is at a given point."""
    started: list[subprocess.Popen[str]] = []

    def start(run: RunFolder, until: str | None = "running", *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(WORKER), "--run", str(run.path), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        assert process.stdout
        if until:
            lines = iter(process.stdout.readline, "")
            seen = list(itertools.takewhile(lambda line: line.strip() != until, lines))
            assert process.poll() is None, f"the worker ended: {seen}"
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def make_checkpoint() -> Callable[..., Path]:
    def make(run: RunFolder, step: int, loss: float | None = None, weights: bytes = SAFETENSORS_START * 50) -> Path:
        folder = checkpoints.make_temporary_folder(run, step)
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "trainer.json").write_text('{"metrics_bytes": 0}')
        return checkpoints.publish(run, step, folder, loss)

    return make
