"""Runs from start to end inside this process: files, states, messages, exact resume, failures."""

import json
import math
import os
import shutil
import signal
import threading

import pytest
import torch

from config.errors import CheckpointError, RunError
from runs import control
from runs.checkpoints import list_checkpoints, write_commit
from runs.files import write_json
from runs.folder import RunFolder
from runs.state import read_status
from tests.training.conftest import TEXT
from training import trainer as trainer_module
from training.checkpoint import find_latest, load_model, load_tokenizer_of
from training.prepare import prepare_text
from training.worker import run_worker

STEP_KEYS = {
    "step",
    "tokens_seen",
    "elapsed_seconds",
    "train_loss_nats",
    "learning_rate",
    "grad_norm",
    "tokens_per_second",
    "batch_hash",
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def lines_of(run: RunFolder) -> list[dict]:
    return [json.loads(line) for line in run.metrics_path.read_text().splitlines()]


def curve(run: RunFolder) -> list[tuple]:
    """Everything in the metrics but the clock and the evaluations that a stop adds, bit for bit."""
    return [
        tuple(sorted((key, value.hex() if isinstance(value, float) else value) for key, value in line.items()
                     if key not in ("elapsed_seconds", "tokens_per_second")))
        for line in lines_of(run)
        if "val_loss_nats" not in line or line["step"] % 4 == 0
    ]  # fmt: skip


def test_a_run_ends_finished_with_every_file_a_reader_expects(make_run):
    run = make_run()
    assert run_worker(run) == 0
    status = read_status(run)
    assert (status.state, status.step, status.max_steps) == ("finished", 12, 12)
    steps = [line for line in lines_of(run) if "train_loss_nats" in line]
    evaluations = [line for line in lines_of(run) if "val_loss_nats" in line]
    assert [line["step"] for line in steps] == list(range(1, 13)) and set(steps[0]) == STEP_KEYS
    assert [line["step"] for line in evaluations] == [0, 4, 8, 12]
    assert steps[-1]["tokens_seen"] == 12 * 4 * 16
    assert steps[-1]["train_loss_nats"] < steps[0]["train_loss_nats"] - 0.3
    assert [json.loads(line)["step"] for line in run.samples_path.read_text().splitlines()] == [0, 4, 8, 12]
    assert run.figure_path.exists() and "../plotly.min.js" in run.figure_path.read_text()
    assert (run.path.parent / "plotly.min.js").exists()
    assert "finished at step 12" in run.log_path.read_text()
    assert status.last_checkpoint == "step_00000012" and status.best_checkpoint
    best = min(evaluations, key=lambda line: line["val_loss_nats"])
    assert status.best_checkpoint == f"step_{best['step']:08d}"


def test_the_first_losses_are_those_of_a_model_that_knows_nothing(make_run):
    run = make_run()
    run_worker(run)
    vocabulary = run.read_data()["d_vocab"]
    first = next(line for line in lines_of(run) if "val_loss_nats" in line)
    assert first["val_loss_nats"] == pytest.approx(math.log(vocabulary), abs=0.1)
    assert first["val_bits_per_byte"] == pytest.approx(
        first["val_loss_nats"] / math.log(2), rel=1e-6
    )  # ASCII characters


@pytest.mark.parametrize("implementation", ["einops", "torch"])
def test_every_implementation_learns_the_same_curve(make_run, implementation):
    reference, other = make_run(), make_run(implementation=implementation)
    run_worker(reference)
    run_worker(other)
    for one, two in zip(lines_of(reference), lines_of(other), strict=True):
        for key in ("train_loss_nats", "val_loss_nats"):
            if key in one:
                assert two[key] == pytest.approx(one[key], abs=1e-4)


def test_accumulated_micro_batches_are_the_whole_batch(make_run):
    whole, cut = make_run(), make_run(training={"grad_accumulation": 4})
    run_worker(whole)
    run_worker(cut)
    for one, two in zip(lines_of(whole), lines_of(cut), strict=True):
        for key in ("train_loss_nats", "grad_norm", "val_loss_nats", "val_bits_per_byte"):
            if key in one:
                assert two[key] == pytest.approx(one[key], abs=2e-5)


@pytest.mark.parametrize("model, training, data", [
    ({"position": "learned", "dropout": 0.2}, {}, {}),
    ({"position": "rope", "norm": "rmsnorm", "mlp": "swiglu", "dropout": 0.1}, {"grad_accumulation": 2},
     {"tokenizer_type": "bpe", "vocab_size": 280}),
    ({"position": "alibi", "mlp": "swiglu"}, {"grad_accumulation": 4, "grad_clip": 0.0}, {}),
    ({"n_experts": 4, "router": "sigmoid", "router_selection_bias": True, "expert_capacity": 1.0},
     {"grad_accumulation": 2}, {}),
])  # fmt: skip
def test_a_stopped_run_resumes_bit_for_bit(make_run, monkeypatch, model, training, data):
    undisturbed, disturbed = make_run(model, training, data), make_run(model, training, data)
    run_worker(undisturbed)

    original = trainer_module.Trainer.update

    def update_and_ask_for_a_stop(self):
        original(self)
        if self.progress.step in (3, 6):
            control.request(disturbed, "stop")

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.Trainer, "update", update_and_ask_for_a_stop)
        assert run_worker(disturbed) == 0
        assert (read_status(disturbed).state, read_status(disturbed).step) == ("stopped", 3)
        assert run_worker(disturbed) == 0
    assert read_status(disturbed).step == 6
    assert run_worker(disturbed) == 0
    assert curve(disturbed) == curve(undisturbed)
    for file in ("model.safetensors", "optimizer.safetensors"):
        ends = [(run.step_path(12) / file).read_bytes() for run in (undisturbed, disturbed)]
        assert ends[0] == ends[1]


def test_a_killed_run_forgets_what_came_after_its_last_checkpoint_and_repeats_it(make_run, monkeypatch):
    undisturbed, killed = make_run(), make_run()
    run_worker(undisturbed)
    original = trainer_module.Trainer.update

    def update_then_die(self):
        original(self)
        if self.progress.step == 7:
            self.metrics.flush()
            raise SystemExit  # as abrupt as a test can be: nothing is saved, no last state written

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.Trainer, "update", update_then_die)
        with pytest.raises(SystemExit):
            run_worker(killed)
    assert read_status(killed).state == "orphaned"
    assert lines_of(killed)[-1]["step"] == 7
    run_worker(killed)
    assert curve(killed) == curve(undisturbed)
    assert read_status(killed).attempt == 2


def test_resume_needs_neither_the_text_file_nor_its_unchanged_content(make_run, text_file, monkeypatch):
    run = make_run()
    original = trainer_module.Trainer.update
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.Trainer, "update", lambda self: (original(self), control.request(run, "stop")))
        run_worker(run)
    text_file.unlink()
    assert run_worker(run) == 0 and read_status(run).state == "finished"


def test_a_resume_whose_token_files_are_gone_makes_them_again_from_the_same_text(make_run, text_file, monkeypatch):
    undisturbed, run = make_run(), make_run()
    run_worker(undisturbed)
    stop_at(run, 7, monkeypatch)
    shutil.rmtree(run.path.parent / ".tokens")
    text_file.rename(text_file.with_suffix(".old"))
    text_file.write_text(TEXT.replace("Anna", "Emma"))
    before = (run.tokenizer_path / "tokenizer.json").read_bytes()
    assert run_worker(run) == 2
    assert "is not the text that run" in read_status(run).reason
    assert (run.tokenizer_path / "tokenizer.json").read_bytes() == before
    text_file.with_suffix(".old").rename(text_file)
    assert run_worker(run) == 0 and curve(run) == curve(undisturbed)


@pytest.mark.parametrize("name", [7, None, "", "..", "../.tokens", ["a"]])
def test_token_files_that_cannot_be_a_folder_are_a_sentence(make_run, name):
    run = make_run()
    assert run_worker(run) == 0
    write_json(run.data_path, run.read_data() | {"token_files": name})
    with pytest.raises(RunError, match=rf"data.json of run {run.id} is damaged: token_files is"):
        prepare_text(run, run.read_config())


def damage(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def stop_at(run: RunFolder, step: int, monkeypatch):
    """Train until `step`, then stop as a person would."""
    original = trainer_module.Trainer.update

    def update(self):
        original(self)
        if self.progress.step == step:
            control.request(run, "stop")

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.Trainer, "update", update)
        assert run_worker(run) == 0
    assert (read_status(run).state, read_status(run).step) == ("stopped", step)


def test_a_resume_passes_over_a_damaged_checkpoint_and_says_so(make_run, monkeypatch):
    undisturbed, run = make_run(), make_run()
    run_worker(undisturbed)
    stop_at(run, 7, monkeypatch)
    damage(run.step_path(7) / "optimizer.safetensors")
    assert run_worker(run) == 0
    assert "step_00000007 is damaged and is passed over" in run.log_path.read_text()
    assert "from step 4" in run.log_path.read_text() and curve(run) == curve(undisturbed)


def test_a_resume_looks_only_at_step_folders(make_run, monkeypatch):
    run = make_run()
    stop_at(run, 6, monkeypatch)
    (run.path / "step_best").mkdir()
    (run.path / "step_00000099").write_text("a file")
    (run.path / "step_00000098").symlink_to(run.step_path(6), target_is_directory=True)
    said = []
    assert find_latest(run, said.append) == run.step_path(6)
    assert said == []


def test_a_resume_takes_the_very_folder_that_verified(make_run, monkeypatch):
    run = make_run(training={"eval_interval": 100, "save_interval": 100})
    stop_at(run, 6, monkeypatch)
    run.step_path(6).rename(run.path / "step_0000000006")
    assert run_worker(run) == 0
    assert "from step 6" in run.log_path.read_text()


@pytest.mark.parametrize("change, words", [
    (lambda state: state["progress"].update(more=1), "it should have"),
    (lambda state: state["progress"].pop("step"), "it should have"),
    (lambda state: state["progress"].update(step="3"), "step is '3'"),
    (lambda state: state["progress"].update(step=True), "step is 'True'"),
    (lambda state: state.update(metrics_bytes=-1), "metrics_bytes is '-1'"),
    (lambda state: state.update(rng={"cpu": "?"}), "not base64"),
    (lambda state: state.update(rng={"cpu": "AAAA"}), "random state"),
    (lambda state: state.update(rng={}), "random state"),
    (lambda state: state.update(progress=[]), "not a table"),
])  # fmt: skip
def test_a_foreign_trainer_state_is_refused_in_a_sentence(make_run, capsys, change, words):
    run = make_run()
    run_worker(run)
    folder = run.step_path(12)
    state = json.loads((folder / "trainer.json").read_text())
    change(state)
    (folder / "trainer.json").write_text(json.dumps(state))
    write_commit(folder, step=12, val_loss_nats=1.0)
    (run.path / "state.json").unlink()
    assert run_worker(run) == 2
    assert words in read_status(run).reason and "Traceback" not in capsys.readouterr().err


def test_a_run_whose_checkpoints_are_all_damaged_is_not_started_over(make_run, monkeypatch):
    run = make_run()
    stop_at(run, 7, monkeypatch)
    for checkpoint in list_checkpoints(run):
        damage(checkpoint.path / "model.safetensors")
    before = run.metrics_path.read_bytes()
    assert run_worker(run) == 2
    assert "delete its step folders" in read_status(run).reason and run.metrics_path.read_bytes() == before


def test_a_save_that_fails_leaves_nothing_half_written(make_run, monkeypatch):
    run = make_run()
    from training import checkpoint

    original, saved = checkpoint.save_file, []

    def full(tensors, path):
        saved.append(path)
        if len(saved) > 3:  # the first checkpoint has two files
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        original(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    assert run_worker(run) == 1
    assert read_status(run).state == "failed" and "No space left on device" in read_status(run).reason
    assert list(run.path.glob(".step_*")) == [] and [info.ok for info in list_checkpoints(run)] == [True]


def test_weights_that_an_update_broke_are_never_saved(make_run, monkeypatch):
    run = make_run(training={"eval_interval": 5})
    original = trainer_module.Trainer.update

    def update_then_break(self):
        original(self)
        if self.progress.step == 5:
            next(self.model.parameters()).data.fill_(math.nan)

    monkeypatch.setattr(trainer_module.Trainer, "update", update_then_break)
    assert run_worker(run) == 1
    assert "validation loss became nan at step 5" in read_status(run).reason
    assert [info.step for info in list_checkpoints(run)] == [4]


def test_a_stop_during_the_last_evaluation_can_be_resumed_and_finishes_it(make_run, monkeypatch):
    undisturbed, run = make_run(), make_run()
    run_worker(undisturbed)
    stop_at(run, 12, monkeypatch)
    assert [line["step"] for line in lines_of(run) if "val_loss_nats" in line] == [0, 4, 8]
    assert run_worker(run) == 0
    assert read_status(run).state == "finished" and curve(run) == curve(undisturbed)


def test_a_finished_run_stays_finished(make_run, text_file):
    run = make_run()
    run_worker(run)
    text_file.unlink()
    before = run.metrics_path.read_bytes()
    assert run_worker(run) == 0
    assert read_status(run).state == "finished" and run.metrics_path.read_bytes() == before


def test_a_queued_run_says_behind_which(make_run, capsys):
    from runs.lock import wait_for_slot

    first, second = make_run(), make_run()
    slot = wait_for_slot(first.path.parent, lambda ahead: None, run_id=first.id)
    timer = threading.Timer(1.0, slot.release)
    timer.start()
    assert run_worker(second) == 0
    assert f"queued behind {first.read_label().name}" in second.log_path.read_text()


def test_a_damaged_best_checkpoint_is_not_loaded(make_run):
    run = make_run(training={"max_steps": 9})
    run_worker(run)
    damage(run.step_path(9) / "model.safetensors")
    assert [info.ok for info in list_checkpoints(run)][-1] is False
    assert load_model(run.path).config.d_model == 16  # the best that verifies
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_model(run.step_path(9))


def test_a_loaded_model_continues_text_in_every_implementation(make_run):
    run = make_run()
    run_worker(run)
    tokenizer = load_tokenizer_of(run.path)
    tokens = torch.tensor([tokenizer.encode("The bell")])
    logits = [load_model(run.path, implementation)(tokens) for implementation in ("einops", "torch", "fused")]
    torch.testing.assert_close(logits[0], logits[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits[0], logits[2], atol=1e-5, rtol=1e-5)
    assert not load_model(run.path).training


def test_a_loss_that_is_not_finite_fails_the_run_before_it_does_harm(make_run, monkeypatch):
    run = make_run()
    original = trainer_module.Trainer.loss

    def poisoned(self, *batch):
        return original(self, *batch) * (math.nan if self.progress.step == 5 else 1.0)

    monkeypatch.setattr(trainer_module.Trainer, "loss", poisoned)
    assert run_worker(run) == 1
    status = read_status(run)
    assert status.state == "failed" and "the loss became nan at step 6" in status.reason and "--lr" in status.reason
    assert [info.step for info in list_checkpoints(run) if info.ok][-1] == 4
    assert [line["step"] for line in lines_of(run) if "train_loss_nats" in line] == [1, 2, 3, 4, 5]


def test_a_disk_without_room_fails_the_run_and_leaves_its_checkpoints(make_run, monkeypatch):
    run = make_run()
    free = iter([10**12, 10, 10, 10])
    usage = shutil.disk_usage(run.path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=next(free)))
    assert run_worker(run) == 1
    status = read_status(run)
    assert status.state == "failed" and "free some space and resume" in status.reason
    assert [info.ok for info in list_checkpoints(run)] == [True]


def test_a_text_that_is_too_short_fails_with_the_numbers(make_run, text_file):
    text_file.write_text("Too short to learn from.")
    run = make_run()
    assert run_worker(run) == 2
    assert read_status(run).state == "failed" and "n_ctx" in read_status(run).reason


def test_pause_saves_waits_and_goes_on(make_run, monkeypatch):
    run = make_run()
    original, seen = trainer_module.Trainer.update, []

    def update_and_pause(self):
        original(self)
        if self.progress.step == 3:
            control.request(run, "pause")

    def wake(seconds):
        seen.append(read_status(run).state)
        assert run.step_path(3).exists()
        control.clear(run, "pause")

    monkeypatch.setattr(trainer_module.Trainer, "update", update_and_pause)
    monkeypatch.setattr("training.worker.time.sleep", wake)
    assert run_worker(run) == 0
    assert "paused" in seen and read_status(run).state == "finished"


def test_save_is_done_when_asked(make_run, monkeypatch):
    run = make_run()
    original = trainer_module.Trainer.update
    monkeypatch.setattr(
        trainer_module.Trainer, "update",
        lambda self: (original(self), self.progress.step == 3 and control.request(run, "save")),
    )  # fmt: skip
    run_worker(run)
    assert run.step_path(3).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_as_stopped(make_run, monkeypatch, number):
    run = make_run()
    original, before = trainer_module.Trainer.update, signal.getsignal(number)

    def update_and_signal(self):
        original(self)
        if self.progress.step == 3:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(trainer_module.Trainer, "update", update_and_signal)
    assert run_worker(run) == 0
    assert (read_status(run).state, read_status(run).step) == ("stopped", 3)
    assert signal.getsignal(number) is before


def test_a_stop_during_evaluation_is_no_evaluation(make_run, monkeypatch):
    run = make_run()
    monkeypatch.setattr("training.loss.next_token_loss", _then_stop(run))
    assert run_worker(run) == 0
    assert read_status(run).state == "stopped" and lines_of(run) == []


def _then_stop(run):
    from training.loss import next_token_loss

    def loss(logits, targets):
        control.request(run, "stop")
        return next_token_loss(logits, targets)

    return loss


def test_two_workers_cannot_train_one_run(make_run):
    from runs.lock import RunLock

    run = make_run()
    with RunLock(run), pytest.raises(RunError, match="already being trained"):
        run_worker(run)


def test_epochs_decide_the_number_of_steps(make_run):
    run = make_run(training={"epochs": 0.1})
    run_worker(run)
    expected = math.ceil(0.1 * run.read_data()["train_tokens"] / (4 * 16))
    assert read_status(run).step == expected


def test_checkpoints_beyond_the_ones_to_keep_go(make_run):
    run = make_run(training={"save_interval": 1, "keep_checkpoints": 2})
    run_worker(run)
    steps = [info.step for info in list_checkpoints(run)]
    assert steps[-2:] == [11, 12] and len(steps) <= 3
