"""`python -m runs` in processes of its own: results on stdout, the rest on stderr, exit status 0, 2 or 1."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runs import __main__ as command_line
from runs import control
from runs.folder import RunFolder, create_run
from runs.state import StateWriter, read_status

ROOT = Path(__file__).resolve().parents[2]


def call(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runs", *arguments, "--checkpoints", str(root)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30)


def test_listing_shows_every_run_with_its_state(root: Path, config, run: RunFolder):
    run.write_label(name="brave-otter")
    StateWriter(run).set("failed", "loss is nan at step 7\x1b[31m", step=7, max_steps=10)
    other = create_run(root, config, {}, name="calm-robin")
    StateWriter(other).set("queued", queued_behind=run.id)
    good = create_run(root, config, {}, name="fine-wren")
    StateWriter(good).set("finished", step=10, max_steps=10, best_val_loss_nats=1.23456)
    result = call(root, "list")
    assert result.returncode == 0 and result.stderr == ""
    header, *lines = result.stdout.splitlines()
    assert header.split() == ["RUN", "NAME", "STATE", "STEPS", "REMARK"]
    assert [line.split()[:4] for line in lines] == [
        [good.id, "fine-wren", "finished", "10/10"],
        [other.id, "calm-robin", "queued", "0/2000"],
        [run.id, "brave-otter", "failed", "7/10"],
    ]
    assert lines[0].endswith("best validation loss 1.2346 nats")
    assert lines[1].endswith("queued behind brave-otter")
    assert lines[2].endswith("loss is nan at step 7 [31m")


def test_no_runs_is_no_error(tmp_path: Path):
    result = call(tmp_path / "none", "list")
    assert (result.returncode, result.stdout) == (0, "") and "There are no runs" in result.stderr


def test_messages_reach_a_live_worker(root: Path, run: RunFolder, start_worker):
    run.write_label(name="brave-otter")
    worker = start_worker(run)
    assert call(root, "pause", "brave-otter").stdout == f"{run.id} (brave-otter): asked to pause\n"
    assert control.requested(run) == {"pause"}
    assert call(root, "resume", run.id).stdout.endswith("goes on\n")
    assert control.requested(run) == set()
    again = call(root, "resume", run.id)
    assert (again.returncode, again.stdout) == (2, "") and "is running, not paused" in again.stderr
    assert call(root, "save", str(run.path)).returncode == 0
    refused = call(root, "delete", "brave")
    assert refused.returncode == 2 and "stop it before you delete it" in refused.stderr
    assert call(root, "stop", run.id[:10]).stdout.endswith("asked to save and stop\n")
    assert worker.wait(10) == 0
    assert read_status(run).state == "stopped"
    unasked = call(root, "delete", "brave-otter")
    assert (unasked.returncode, unasked.stdout) == (2, "") and unasked.stderr.endswith("add --yes.\n")
    assert unasked.stderr.count("\n") == 1 and run.path.exists()
    (run.path / "ballast").write_bytes(bytes(3_000_000))
    deleted = call(root, "delete", "brave-otter", "--yes")
    assert deleted.returncode == 0 and deleted.stdout.endswith("deleted, 3.0 MB freed\n")
    assert not run.path.exists()


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\n", 1), ("no\n", 1), ("", 1)])
def test_deleting_asks_on_a_terminal(root: Path, run: RunFolder, monkeypatch, capsys, answer: str, status: int):
    StateWriter(run).set("finished", step=1_200)
    stdin = io.StringIO(answer)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert command_line.main(["delete", run.id, "--checkpoints", str(root)]) == status
    assert "finished, step 1,200, 0.0 MB) for ever? [y/N]" in capsys.readouterr().err
    assert run.path.exists() == bool(status)


def test_a_long_reason_is_wrapped_on_a_terminal_and_whole_elsewhere(root: Path, run: RunFolder, monkeypatch, capsys):
    reason = " ".join(f"word{number}" for number in range(60))
    StateWriter(run).set("failed", reason)
    assert command_line.main(["list", "--checkpoints", str(root)]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith(reason)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    assert command_line.main(["list", "--checkpoints", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert max(map(len, lines)) <= 100 and " ".join(" ".join(lines).split()).endswith(reason)


def test_wrong_use_has_one_sentence_and_status_two(root: Path, run: RunFolder, capsys: pytest.CaptureFixture[str]):
    StateWriter(run).set("finished")
    for arguments, message in (
        (["stop"], "`stop` needs a run"),
        (["stop", "nobody"], "There is no run 'nobody'"),
        (["stop", "../../etc"], "'../../etc' is no run"),
        (["pause", run.id], "is finished: there is no worker to ask"),
        (["resume", run.id], "there is nothing to resume"),
    ):
        assert command_line.main([*arguments, "--checkpoints", str(root)]) == 2
        output = capsys.readouterr()
        assert output.out == "" and message in output.err and output.err.count("\n") == 1
    result = call(root, "explode", run.id)
    assert (result.returncode, result.stdout) == (2, "")
    assert "'explode' is not one of list, stop," in result.stderr and result.stderr.count("\n") == 1


def test_a_live_run_is_steered_in_process_too(root: Path, run: RunFolder, capsys: pytest.CaptureFixture[str]):
    StateWriter(run).set("starting")
    for action in ("pause", "resume", "save", "stop"):
        assert command_line.main([action, run.id, "--checkpoints", str(root)]) == 0
    assert control.requested(run) == {"save", "stop"}
    assert command_line.main(["delete", run.id, "--checkpoints", str(root)]) == 2
    StateWriter(run).set("failed", "no space left")
    assert command_line.main(["list", "--checkpoints", str(root)]) == 0
    assert command_line.main(["delete", run.id, "--yes", "--checkpoints", str(root)]) == 0
    output = capsys.readouterr()
    assert output.out.endswith("freed\n") and "no space left" in output.out and "starting: stop it" in output.err
    assert command_line.main(["list", "--checkpoints", str(root)]) == 0
    assert "There are no runs" in capsys.readouterr().err


def test_a_broken_system_is_status_one(root: Path, run: RunFolder, monkeypatch, capsys):
    def fail(run: RunFolder) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(command_line.ACTIONS, "delete", fail)
    assert command_line.main(["delete", run.id, "--yes", "--checkpoints", str(root)]) == 1
    assert capsys.readouterr().err == "delete did not work: Permission denied.\n"


def test_resuming_starts_a_worker(root: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys):
    StateWriter(run).set("failed")
    started: list[RunFolder] = []
    monkeypatch.setattr(command_line.launch, "resume", started.append)
    assert command_line.main(["resume", run.id, "--checkpoints", str(root)]) == 0
    assert started == [run] and capsys.readouterr().out.endswith("started again\n")


def test_a_reader_that_has_seen_enough_is_no_error(root: Path, run: RunFolder):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "runs", "list", "--checkpoints", str(root)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    result = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=buffered, timeout=30
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_label_is_shown_and_changed_by_parts(root: Path, run: RunFolder):
    run.write_label(name="brave-otter", color=2)
    assert call(root, "label", "brave").stdout == f"{run.id}: brave-otter, colour 2\n"
    changed = call(root, "label", run.id, "--note", "with ALiBi", "--star", "on", "--color", "5")
    assert changed.stdout == f"{run.id}: brave-otter ★, colour 5\nwith ALiBi\n"
    renamed = call(root, "label", "brave-otter", "--name", "deep\x1b[31m", "--star", "off", "--note", "")
    assert renamed.stdout == f"{run.id}: deep [31m, colour 5\n"
    label = run.read_label()
    assert (label.name, label.note, label.star, label.color) == ("deep [31m", "", False, 5)
    for arguments, sentence in (
        (("label", "nobody"), "There is no run 'nobody'"),
        (("label", run.id, "--color", "7"), "--color 7 is not one of"),
        (("label", run.id, "--colour", "1"), "did you mean --color?"),
    ):
        refused = call(root, *arguments)
        assert (refused.returncode, refused.stdout) == (2, "") and sentence in refused.stderr
