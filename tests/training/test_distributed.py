"""Several processes train one run as one process does: torchrun with two gloo processes, on tiny models."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from config.errors import ConfigError
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from config.run_config import RunConfig
from config.sizes import TrainingMemory
from config.train_config import TrainConfig
from runs import control
from runs.folder import RunFolder
from runs.state import read_status
from training.distributed import ALONE, Ranks, ranks_from
from training.gate import read_tensors
from training.shares import check_shareable, memory_here
from training.worker import run_worker

ROOT = Path(__file__).parent.parent.parent
TRAIN = ROOT / "train.py"
AGREEMENT = 1e-4  # promised by docs/scaling.md; sums in another order differ by about 1e-6 here
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
ENVIRONMENT |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
# Two micro-batches of four rows: each process has two rows of each.
TOGETHER = {"batch_size": 8, "grad_accumulation": 2, "eval_iters": 1}


def torchrun(*flags: str, script: Path = TRAIN, processes: int = 2) -> subprocess.Popen[str]:
    """Start it, with a free port of its own."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "--"]
    return subprocess.Popen(
        [*command, str(script), *flags], env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[str], timeout: float = 120) -> tuple[int, str, str]:
    """Wait for its end: status, stdout, stderr."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return process.returncode, out, err


def train_together(run: RunFolder, *flags: str, script: Path = TRAIN, expected: int = 0) -> str:
    """Train a prepared run in two processes to its end; what they said."""
    status, out, err = finish(torchrun("--run", str(run.path), *flags, script=script))
    assert status == expected, err[-3000:]
    assert expected or out.split() == [str(run.path)]  # of one process only
    return err


def train_alone(run: RunFolder) -> None:
    assert run_worker(run) == 0


def lines(run: RunFolder) -> list[dict]:
    return [json.loads(line) for line in run.metrics_path.read_text().splitlines()]


def assert_same_curve(one: RunFolder, other: RunFolder) -> None:
    left, right = lines(one), lines(other)
    assert [line["step"] for line in left] == [line["step"] for line in right]
    assert [set(line) for line in left] == [set(line) for line in right]
    for before, after in zip(left, right, strict=True):
        # Each process measures the balance of experts on its own rows.
        for name in before.keys() - {"elapsed_seconds", "tokens_per_second", "expert_balance"}:
            expected = np.array(before[name])
            assert np.array(after[name]) == pytest.approx(expected, rel=0, abs=AGREEMENT), (before["step"], name)


def tensors(run: RunFolder, step: int, file: str) -> dict:
    path = run.step_path(step) / file
    length = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + length])
    return read_tensors(path, {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"})


def assert_same_checkpoint(one: RunFolder, other: RunFolder, step: int) -> None:
    for file in ("model.safetensors", "optimizer.safetensors"):
        left, right = tensors(one, step, file), tensors(other, step, file)
        assert left.keys() == right.keys() and left
        for name, tensor in left.items():
            assert tensor.shape == right[name].shape and (tensor - right[name]).abs().max() < AGREEMENT, name


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


# --- one process looks at itself ----------------------------------------------------------------------------------


def recipe(**training) -> RunConfig:
    return RunConfig(model=ModelConfig(), training=TrainConfig(**training))


def test_without_torchrun_there_is_one_process():
    assert ranks_from({}) is ALONE and ranks_from({"WORLD_SIZE": "1", "RANK": "0"}) is ALONE
    for environment in ({}, {"WORLD_SIZE": "1", "RANK": "0"}):
        with pytest.raises(ConfigError, match="--parallel fsdp is for several processes: start with torchrun"):
            ranks_from(environment, "fsdp")
    told = {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "8"}
    assert ranks_from(told) == Ranks(9, 16, 1, 8, "ddp")


@pytest.mark.parametrize("size, parts", [(2, 1), (2, 3), (4, 2), (3, 4)])
def test_the_rows_of_all_ranks_are_the_batch_micro_batch_by_micro_batch(size, parts):
    batch_size = 24
    shares = [Ranks(rank, size).rows_of_batch(batch_size, parts).reshape(parts, -1) for rank in range(size)]
    for part in range(parts):
        rows = [row for share in shares for row in share[part]]
        assert rows == list(range(part * batch_size // parts, (part + 1) * batch_size // parts))


def test_a_batch_that_cannot_be_shared_is_refused_with_one_that_can():
    check_shareable(recipe(batch_size=12, grad_accumulation=2), Ranks(0, 3))
    with pytest.raises(
        ConfigError, match=r"batch_size of 12 in 4 parts cannot be shared by 2 processes: take a .* 16,"
    ):
        check_shareable(recipe(batch_size=12, grad_accumulation=4), Ranks(0, 2))
    check_shareable(recipe(optimizer="muon"), Ranks(0, 2, parallel="ddp"))
    with pytest.raises(ConfigError, match="take --parallel ddp, or --optimizer adamw"):
        check_shareable(recipe(optimizer="muon"), Ranks(0, 2, parallel="fsdp"))
    adapters = replace(recipe(), lora=LoraConfig(lora_rank=2))
    check_shareable(adapters, Ranks(0, 2, parallel="ddp"))
    with pytest.raises(ConfigError, match="LoRA trains few: take --parallel ddp"):
        check_shareable(adapters, Ranks(0, 2, parallel="fsdp"))


def test_each_rank_draws_dropout_of_its_own_and_the_first_as_one_process():
    torch.manual_seed(1)
    ALONE.seed_dropout(1337, 0)
    assert torch.initial_seed() == 1
    seeds = set()
    for rank, step in [(1, 0), (2, 0), (1, 1)]:
        Ranks(rank, 3).seed_dropout(1337, step)
        seeds.add(torch.initial_seed())
    assert len(seeds) == 3 and 1 not in seeds


def test_memory_counts_what_each_process_of_this_machine_holds():
    one = TrainingMemory(weights=100, gradients=100, optimizer=200, activations=7, runtime=1)
    assert memory_here(one, ALONE) == one.total == 408
    assert memory_here(one, Ranks(0, 4, 0, 2, "ddp")) == 2 * (408 + 100)  # and what DDP sends
    assert memory_here(one, Ranks(0, 4, 0, 2, "fsdp")) == 2 * (100 + 8)


# --- two processes ------------------------------------------------------------------------------------------------

PLANTED = """
import atexit, os, signal, sys
from pathlib import Path
import train
from runs import control
from runs.folder import RunFolder
from training.distributed import end_process
from training.trainer import Trainer

RANK, RUN = int(os.environ.get("RANK", 0)), RunFolder(Path(sys.argv[sys.argv.index("--run") + 1]))
update = Trainer.update

def planted(self):
    update(self)
    if self.progress.step == {step} and RANK == {rank}:
        {deed}

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

def watch(event, given):
    writes = event in ("os.mkdir", "os.rename", "os.remove") or (event == "open" and given[2] & WRITING)
    if writes and str(RUN.path.parent) in str(given[0]):
        print(f"rank {{RANK}} writes {{given[0]}}", file=sys.stderr)

if RANK:
    sys.addaudithook(watch)
if "RANK" in os.environ:
    atexit.register(os.abort)  # what torch does now and then at an interpreter's end
Trainer.update = planted
end_process(train.main())
"""


@pytest.fixture
def program(tmp_path: Path):
    """A function that writes train.py with a deed planted after a step in one of its processes."""

    def write(deed: str, step: int = 4, rank: int = 0) -> Path:
        path = tmp_path / "planted.py"
        path.write_text(PLANTED.format(deed=deed, step=step, rank=rank), encoding="utf-8")
        return path

    return write


EXPERTS = {"n_experts": 4, "router": "sigmoid", "router_selection_bias": True, "balance_loss": 0.0}
STOP = "control.request(RUN, 'stop')"


def stop_alone(run: RunFolder, script: Path) -> None:
    """Train in one process until the planted stop."""
    command = [sys.executable, str(script), "--run", str(run.path)]
    assert subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=120).returncode == 0


@pytest.mark.parametrize(
    "parallel, began, changes",
    [
        ("ddp", "together", {}),
        ("fsdp", "alone", {"model": {"tie_embeddings": False, "n_heads": 1}}),
        pytest.param("ddp", "alone", {"training": {"optimizer": "muon"}}, marks=pytest.mark.slow),
        pytest.param("fsdp", "together", {"training": {"optimizer": "sgd"}}, marks=pytest.mark.slow),
        pytest.param("ddp", "alone", {"training": {"optimizer": "adamw_plain"}}, marks=pytest.mark.slow),
        pytest.param("fsdp", "alone", {"training": {"optimizer": "adamw_plain"}}, marks=pytest.mark.slow),
        pytest.param("ddp", "together", {"training": {"grad_accumulation": 4}}, marks=pytest.mark.slow),
        pytest.param("fsdp", "together", {"model": {"position": "rope", "mlp": "swiglu", "norm": "rmsnorm"}},
                     marks=pytest.mark.slow),
        pytest.param("fsdp", "alone", {"implementation": "einops"}, marks=pytest.mark.slow),
        # Without the penalty, which every process computes on its own rows; biases follow the visits of all.
        pytest.param("ddp", "together", {"model": EXPERTS}, marks=pytest.mark.slow),
        pytest.param("fsdp", "alone", {"model": EXPERTS}, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_the_curve_is_that_of_one_process_also_across_a_resume(make_run, program, parallel, began, changes):
    """Four steps in two processes and eight in one, or the other way round, beside twelve in one."""
    changes = changes | {"training": TOGETHER | changes.get("training", {})}
    undisturbed, run = make_run(**changes), make_run(**changes)
    train_alone(undisturbed)
    if began == "together":
        said = train_together(run, "--parallel", parallel, script=program(STOP))
        assert f"training on 2 x cpu ({parallel}) in float32, from step 0" in said
        assert said.count("stopped at step 4 and saved") == 1 and "Warning" not in said
        assert "rank 1 writes" not in said
        train_alone(run)
    else:
        stop_alone(run, program(STOP))
        said = train_together(run, "--parallel", parallel)
        assert "resumed with processes 2, was 1" in said and "from step 4" in said
        assert said.count("finished at step 12") == 1 and "Warning" not in said
    assert_same_curve(undisturbed, run)
    assert_same_checkpoint(undisturbed, run, 12)
    assert [line["step"] for line in samples(run)] == [0, 4, 8, 12]
    assert read_status(run).state == "finished"


def samples(run: RunFolder) -> list[dict]:
    return [json.loads(line) for line in run.samples_path.read_text().splitlines()]


def test_a_signal_to_torchrun_ends_both_with_one_clean_save(make_run, program):
    run = make_run(training=TOGETHER | {"max_steps": 100_000, "eval_interval": 100_000, "save_interval": 100_000})
    said = train_together(run, script=program("os.kill(os.getppid(), signal.SIGTERM)"), expected=1)
    status = read_status(run)
    assert status.state == "stopped" and said.count("and saved; resume with") == 1
    assert [path.name for path in sorted(run.path.glob("step_*"))] == [status.last_checkpoint]
    assert f"step_{status.step:08}" == status.last_checkpoint and status.step >= 4


def test_the_failure_of_one_process_fails_the_run_with_its_reason(make_run, program):
    run = make_run(training=TOGETHER)
    said = train_together(run, script=program("raise MemoryError('planted')", step=5, rank=1), expected=1)
    status = read_status(run)
    assert (status.state, status.reason) == ("failed", "process 1 of 2 failed: MemoryError: planted")
    assert said.count("failed: process 1 of 2") == 1
    assert status.last_checkpoint == "step_00000004"


def test_a_batch_that_cannot_be_shared_leaves_no_run(tmp_path, text_file):
    flags = ["--checkpoints", str(tmp_path / "runs"), "--text_file", str(text_file), "--batch_size", "3"]
    status, out, err = finish(torchrun(*flags))
    assert status == 1 and not out and not (tmp_path / "runs").exists()
    assert err.count("train.py: a batch_size of 3 cannot be shared by 2 processes: take a batch_size of 4, or") == 1
    assert "exitcode  : 2" in err
    assert 'Traceback (most recent call last):\n  File "' + str(ROOT) not in err


# --- longer -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.slow
def test_pairs_and_adapters_have_the_curve_of_one_process(make_run, begin, tmp_path):
    """Responses of unequal length: each rank's part of the loss counts by its own number of targets."""
    parent = make_run(model={"n_ctx": 64, "position": "rope"}, data={"tokenizer_type": "byte"})
    train_alone(parent)
    rows = "".join(f"{number}?,{'so ' * (number % 9)}it is\n" for number in range(40))
    (tmp_path / "qa.csv").write_text("prompt,response\n" + rows)
    data = {"text_file": str(tmp_path / "qa.csv"), "text_kind": "pairs"}
    changes = {"data": data, "lora": LoraConfig(lora_rank=4), "training": {"grad_accumulation": 2}}
    alone, together = begin(parent, **changes), begin(parent, **changes)
    train_alone(alone)
    train_together(together)
    assert_same_curve(alone, together)
    assert_same_checkpoint(alone, together, 12)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_with_dropout_a_resume_in_as_many_processes_is_exact(make_run, program, parallel):
    changes = {"training": TOGETHER, "model": {"dropout": 0.2}}
    undisturbed, run = make_run(**changes), make_run(**changes)
    train_together(undisturbed, "--parallel", parallel)
    train_together(run, "--parallel", parallel, script=program(STOP))
    train_together(run, "--parallel", parallel)
    losses = [
        [line["train_loss_nats"].hex() for line in lines(one) if "grad_norm" in line] for one in (undisturbed, run)
    ]
    assert losses[0] == losses[1] and len(losses[0]) == 12


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_and_the_run_resumes(make_run, program, rank):
    run = make_run(training=TOGETHER)
    deed = "os.kill(os.getpid(), signal.SIGKILL)"
    train_together(run, script=program(deed, step=6, rank=rank), expected=1)
    status = read_status(run)
    assert status.state == ("orphaned" if rank == 0 else "failed")
    assert rank == 0 or "one of the 2 processes ended without a word" in status.reason
    train_together(run)
    assert read_status(run).state == "finished"


@pytest.mark.slow
def test_pause_save_and_stop_reach_both(make_run):
    run = make_run(training=TOGETHER | {"max_steps": 100_000, "eval_interval": 100_000, "save_interval": 100_000})
    process = torchrun("--run", str(run.path), "--parallel", "fsdp")
    try:
        wait_until(lambda: read_status(run).step > 0)
        control.request(run, "save")
        wait_until(lambda: read_status(run).last_checkpoint)
        first = read_status(run).last_checkpoint
        control.request(run, "pause")
        wait_until(lambda: read_status(run).state == "paused")
        paused_at = read_status(run).step
        control.clear(run, "pause")
        wait_until(lambda: read_status(run).state == "running" and read_status(run).step > paused_at)
        control.request(run, "stop")
        status, _, err = finish(process)
    finally:
        process.kill()
    assert status == 0 and read_status(run).state == "stopped", err[-2000:]
    assert first < f"step_{paused_at:08}" < read_status(run).last_checkpoint
