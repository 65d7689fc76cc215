"""A checkpoint counts only when it is whole: damage of every kind is found, and a save may die at any call."""

import json
import os
import pickle
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from config.errors import CheckpointError, RunError
from runs import checkpoints, verification
from runs.checkpoints import WEIGHTS, choose, list_checkpoints, make_temporary_folder, prune, publish, sweep, verify
from runs.folder import RunFolder


def flip_bit(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def steps_of(run: RunFolder) -> list[int]:
    return [info.step for info in list_checkpoints(run)]


def test_a_published_checkpoint_counts(run: RunFolder, make_checkpoint):
    assert list_checkpoints(run) == []
    path = make_checkpoint(run, 500, 2.5)
    (info,) = list_checkpoints(run)
    assert path == run.path / "step_00000500" == info.path
    assert (info.step, info.ok, info.problem, info.val_loss_nats) == (500, True, "", 2.5)
    assert info.bytes == sum(file.stat().st_size for file in path.iterdir())
    record = json.loads((path / "commit.json").read_text())
    assert set(record) == {"step", "files", "val_loss_nats"}
    assert set(record["files"]) == {"model.safetensors", "trainer.json"}
    assert not list(run.path.glob(".step*"))


def test_every_single_bit_counts(run: RunFolder, make_checkpoint):
    path = make_checkpoint(run, 1)
    generator = random.Random(0)
    for name in ("model.safetensors", "trainer.json"):
        size = (path / name).stat().st_size
        for bit in generator.sample(range(8 * size), min(100, 8 * size)):
            flip_bit(path / name, bit)
            assert verify(path) is not None, f"bit {bit} of {name} is wrong and nobody noticed"
            flip_bit(path / name, bit)
    assert verify(path) is None


def test_a_damaged_commit_record_is_never_believed(run: RunFolder, make_checkpoint):
    path = make_checkpoint(run, 1)
    original = (path / "commit.json").read_bytes()
    record = json.loads(original)
    for name in ("step", "files"):
        broken = {key: value for key, value in record.items() if key != name}
        (path / "commit.json").write_text(json.dumps(broken))
        assert "damaged" in (verify(path) or "")
    for files in ({}, {"trainer.json": record["files"]["trainer.json"]}):
        (path / "commit.json").write_text(json.dumps(record | {"files": files}))
        assert "not in its commit.json" in (verify(path) or "")
    for name, values in (
        ("../../config.json", {"sha256": "0" * 64, "bytes": 1}),
        ("/etc/passwd", {"sha256": "0" * 64, "bytes": 1}),
        ("a\n", {"sha256": "0" * 64, "bytes": 1}),
        ("a", {"sha256": "0" * 63, "bytes": 1}),
        ("a", {"sha256": "0" * 64, "bytes": True}),
        ("a", "x"),
    ):
        (path / "commit.json").write_text(json.dumps(record | {"files": record["files"] | {name: values}}))
        assert "damaged" in (verify(path) or ""), name
    for length in range(len(original) - 2):  # cut anywhere, save for the final newline and brace
        (path / "commit.json").write_bytes(original[:length])
        assert verify(path) is not None
    (path / "commit.json").write_bytes(original)
    assert verify(path) is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "commit.json").unlink(), "no commit.json: its writing was never finished"),
        (lambda path: (path / "model.safetensors").unlink(), "no weights: model.safetensors is missing"),
        (lambda path: (path / "trainer.json").unlink(), "trainer.json is missing"),
        (lambda path: os.truncate(path / "model.safetensors", 300), "cut off: 300 of 500 bytes"),
        (lambda path: os.truncate(path / "model.safetensors", 5), "no safetensors file, or was cut off"),
        (lambda path: os.truncate(path / "model.safetensors", 0), "no safetensors file, or was cut off"),
        (lambda path: os.truncate(path / "model.safetensors", 501), "501 bytes instead of 500"),
        (lambda path: flip_bit(path / "model.safetensors", 2_000), "does not match the hash"),
        (lambda path: (path / "model.safetensors").write_bytes(pickle.dumps([1])), "pickle under a false name"),
        (
            lambda path: (path / "model.safetensors").write_bytes(b"PK\x03\x04" + b"x" * 496),
            "pickle under a false name",
        ),
        (lambda path: (path / "model.safetensors").write_bytes(b"x" * 500), "no safetensors file"),
        (lambda path: (path / "commit.json").write_text("[]"), "commit.json is damaged"),
        (lambda path: path.rename(path.with_name("step_00000002")), "of step 1: it was renamed"),
    ],
)
def test_damage_has_one_clear_sentence(run: RunFolder, make_checkpoint, damage: Any, message: str):
    damage(make_checkpoint(run, 1))
    (info,) = list_checkpoints(run)
    assert not info.ok and message in info.problem and "\n" not in info.problem
    for asked in (run, run.path, info.path):
        with pytest.raises(CheckpointError, match=message.replace(".", r"\.")):
            choose(asked)


def test_links_and_pipes_in_a_checkpoint_are_refused(run: RunFolder, make_checkpoint, tmp_path: Path):
    for name in ("model.safetensors", "trainer.json", "commit.json"):
        path = make_checkpoint(run, 1)
        shutil.move(path / name, tmp_path / name)
        (path / name).symlink_to(tmp_path / name)
        assert "cannot be read" in (verify(path) or "")
        (path / name).unlink()
        os.mkfifo(path / name)
        assert "cannot be read" in (verify(path) or "")
    link = run.step_path(7)
    link.symlink_to(make_checkpoint(run, 2))
    assert 7 not in steps_of(run)


def test_exchanged_files_of_the_same_size_are_found(run: RunFolder, make_checkpoint):
    start = (2).to_bytes(8, "little") + b"{}"
    first = make_checkpoint(run, 1, weights=start + b"a" * 100)
    second = make_checkpoint(run, 2, weights=start + b"b" * 100)
    shutil.copy(first / "model.safetensors", second / "model.safetensors")
    assert verify(first) is None
    assert "does not match the hash" in (verify(second) or "")


def test_a_hash_is_remembered_until_the_file_changes(run: RunFolder, make_checkpoint, monkeypatch: pytest.MonkeyPatch):
    path = make_checkpoint(run, 1)
    hashed: list[str] = []
    real = verification.hash_file
    monkeypatch.setattr(verification, "hash_file", lambda file: hashed.append(file.name) or real(file))
    assert verify(path) is None and verify(path) is None
    assert len(hashed) == 4, "a file that may still change within its time stamp was remembered"
    monkeypatch.setattr(verification, "_SETTLED_NS", -(10**18))
    assert verify(path) is None and verify(path) is None
    assert len(hashed) == 6
    times = os.stat(path / "model.safetensors")
    flip_bit(path / "model.safetensors", 3_000)
    os.utime(path / "model.safetensors", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "does not match the hash" in (verify(path) or ""), "a time that was set back hid a change"


def test_the_memory_for_hashes_is_bounded(run: RunFolder, make_checkpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verification, "_SETTLED_NS", -(10**18))
    monkeypatch.setattr(verification, "_CACHE_LIMIT", 3)
    for step in range(4):
        make_checkpoint(run, step)
    list_checkpoints(run)
    assert len(verification._hashes) == 3


def test_the_best_that_verifies_is_chosen_else_the_newest_that_does(run: RunFolder, make_checkpoint):
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        choose(run)
    for step, loss in ((1, 3.0), (2, 1.0), (3, float("nan")), (4, 2.0), (5, 1.0), (6, None)):
        make_checkpoint(run, step, loss)
    assert choose(run).name == "step_00000005"  # of two equals the newer one
    flip_bit(run.step_path(5) / "model.safetensors", 900)
    assert choose(str(run.path)).name == "step_00000002"
    for step in (1, 2, 4):
        (run.step_path(step) / "trainer.json").unlink()
    assert choose(run).name == "step_00000006"
    (run.step_path(6) / "commit.json").unlink()
    assert choose(run).name == "step_00000003"
    (run.step_path(3) / "commit.json").unlink()
    with pytest.raises(CheckpointError, match=r"None of the 6 checkpoints .* can be used\. step_00000005: Its model"):
        choose(run)


def test_a_step_or_its_weights_name_the_checkpoint(run: RunFolder, make_checkpoint, tmp_path: Path, monkeypatch):
    path = make_checkpoint(run, 1)
    assert choose(path) == choose(path / "model.safetensors") == path
    monkeypatch.chdir(path)
    assert choose("model.safetensors").resolve() == choose(".").resolve() == path
    elsewhere = tmp_path / "my favourite"
    shutil.copytree(path, elsewhere)
    assert choose(elsewhere) == elsewhere


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.pt", b"PK\x03\x04", "is a pickle, which can run code"),
        ("weights", pickle.dumps({"a": 1}), "is a pickle, which can run code"),
        ("old.pth", b"", "is a pickle, which can run code"),
        ("notes.txt", b"hello", "is not a checkpoint: name a run folder"),
        ("model.safetensors", b"hello", "is not a checkpoint: name a run folder"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        choose(tmp_path / name)


def test_places_without_a_checkpoint_are_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "missing", "There is no checkpoint at"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path, "neither a run nor a checkpoint"),
        ("a\0b", "NUL"),
        ("x" * 5_000, "cannot be read: File name too long"),
    ):
        with pytest.raises(CheckpointError, match=message):
            choose(path)


def test_a_pickle_is_never_executed(run: RunFolder, make_checkpoint, tmp_path: Path):
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(canary),))

    (tmp_path / "model.pt").write_bytes(pickle.dumps(Bomb()))
    path = make_checkpoint(run, 1)
    (path / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    checkpoints.write_commit(path, step=1)  # even with a matching hash
    for asked in (tmp_path / "model.pt", path):
        with pytest.raises(CheckpointError, match="pickle"):
            choose(asked)
    assert not canary.exists()


def test_pruning_keeps_the_last_ones_and_the_best(run: RunFolder, make_checkpoint):
    for step, loss in enumerate((3.0, 1.0, 2.0, 2.5, 2.6, 2.7)):
        make_checkpoint(run, step, loss)
    os.truncate(run.step_path(5) / "model.safetensors", 100)
    (run.step_path(0) / "commit.json").unlink()
    assert [path.name for path in prune(run, keep=2)] == ["step_00000002"]
    assert steps_of(run) == [0, 1, 3, 4, 5]  # 1 is the best, 3 and 4 the last that count
    assert prune(run) == []
    with pytest.raises(RunError, match="At least 2 checkpoints are kept, not 1"):
        prune(run, keep=1)


def test_pruning_takes_the_promise_back_before_the_data(
    run: RunFolder, make_checkpoint, monkeypatch: pytest.MonkeyPatch
):
    for step in range(3):
        make_checkpoint(run, step)

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        prune(run)
    assert not (run.step_path(0) / "commit.json").exists()
    assert (run.step_path(0) / "model.safetensors").exists()


def test_a_sweep_takes_what_killed_saves_left(run: RunFolder, make_checkpoint):
    make_checkpoint(run, 1)
    make_temporary_folder(run, 2)
    shutil.copytree(run.step_path(1), run.step_path(3))
    (run.step_path(3) / "commit.json").unlink()
    replaced = make_checkpoint(run, 4)
    shutil.copytree(replaced, run.path / ".step_00000004.old")
    lost = make_checkpoint(run, 5)
    lost.rename(run.path / ".step_00000005.old")
    sweep(run)
    assert steps_of(run) == [1, 4, 5] and all(info.ok for info in list_checkpoints(run))
    assert not list(run.path.glob(".step*"))


SAVE_CALLS = ("sync_file", "sync_folder", "write_json", "hash_file", "os.rename")


@pytest.mark.parametrize("how", ["error", "kill"])
@pytest.mark.parametrize("again", [False, True], ids=["new step", "step again"])
def test_a_save_that_dies_at_any_call_costs_no_other_checkpoint(
    run: RunFolder, make_checkpoint, monkeypatch: pytest.MonkeyPatch, how: str, again: bool
):
    """Fail at call 1, 2, 3 … of a publish until one comes through; after each, what was there before must load."""
    make_checkpoint(run, 1, 3.0)
    if again:
        make_checkpoint(run, 2, 2.0)
    before = steps_of(run)
    fail_at = 0
    while True:
        fail_at += 1
        died = publish_with_fault(run, monkeypatch, fail_at, how)
        if not died:
            break
        if how == "kill":
            for info in list_checkpoints(run):
                assert info.ok or info.step == 2
            assert choose(run)
            sweep(run)
        assert [info.step for info in list_checkpoints(run) if info.ok] == before
        assert steps_of(run) == before and not list(run.path.glob(".step*"))
    assert fail_at > 7 + again, "the faults were not reached"
    assert all(info.ok for info in list_checkpoints(run)) and steps_of(run) == [1, 2]


def publish_with_fault(run: RunFolder, monkeypatch: pytest.MonkeyPatch, fail_at: int, how: str) -> bool:
    """Publish step 2 with a fault at its call number `fail_at`; whether the fault was reached."""
    temporary = make_temporary_folder(run, 2)
    (temporary / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}" + b"new")
    (temporary / "trainer.json").write_text("{}")
    child = os.fork() if how == "kill" else 0
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    calls = [0]

    def guard(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            calls[0] += 1
            if calls[0] == fail_at:
                if how == "kill":
                    os._exit(9)
                raise OSError(28, "No space left on device")
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for name in SAVE_CALLS:
            target = f"runs.checkpoints.{name}"
            real = os.rename if name == "os.rename" else getattr(checkpoints, name)
            patch.setattr(target, guard(real))
        try:
            publish(run, 2, temporary, 1.0)
        except OSError:
            return True
        finally:
            if how == "kill":
                os._exit(0)
    return False


def test_listing_again_is_cheap(run: RunFolder, make_checkpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verification, "_SETTLED_NS", -(10**18))
    for step in range(3):
        make_checkpoint(run, step, 1.0, weights=(2).to_bytes(8, "little") + b"{}" + bytes(20_000_000))
    list_checkpoints(run)
    start = time.process_time()
    list_checkpoints(run)
    assert time.process_time() - start < 0.02


def test_a_damaged_best_is_passed_over_aloud(run: RunFolder, make_checkpoint):
    said: list[str] = []
    best, other = make_checkpoint(run, 1, 0.5), make_checkpoint(run, 2, 0.9)
    assert choose(run, said.append) == best and said == []
    (best / WEIGHTS).write_bytes(b"x")
    assert choose(run, said.append) == other
    (sentence,) = said
    assert sentence.startswith("passed over damaged checkpoints, step_00000002 is used instead. step_00000001: ")
    assert "bytes" in sentence
