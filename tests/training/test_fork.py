"""New runs from checkpoints: what is carried over, bit for bit, and what becomes of each tensor."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from components.model import build_model
from config.errors import CheckpointError, ConfigError
from config.model_config import ModelConfig
from runs.checkpoints import choose
from runs.folder import create_run, delete_run, list_runs
from runs.state import read_status
from tests.training.conftest import TEXT, steps_of
from text.byte_pair import BytePairTokenizer
from text.character import CharacterTokenizer
from training.checkpoint import load_model
from training.fork import build_run_model, fork
from training.prepare import prepare_text
from training.transfer import compare, match_tokens, shapes_of_config, transfer
from training.worker import run_worker


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def other_text(tmp_path):
    """Another text, with the characters of the first and three more."""
    path = tmp_path / "other.txt"
    path.write_text(TEXT.replace("house", "höuße").replace("bell", "bell €")[:2_000], encoding="utf-8")
    return path


LONG = {"max_steps": 60, "save_interval": 10, "eval_interval": 20}


@pytest.mark.parametrize("training", [{}, {"optimizer": "muon"}, {"grad_accumulation": 2, "optimizer": "sgd"}])
def test_an_unchanged_fork_repeats_its_parent_for_fifty_steps_bit_for_bit(make_run, begin, training):
    parent = make_run({"dropout": 0.2}, LONG | training)
    run_worker(parent)
    child = begin(parent, step=10)
    assert begin.report.carried == "all" and begin.report.why_not_all == ""
    assert {tensor.fate for tensor in begin.report.tensors} == {"kept"}
    assert max(line["step"] for line in steps_of(child)) == 10  # what the page shows until the worker comes
    assert run_worker(child) == 0
    assert steps_of(child) == steps_of(parent)
    for file in ("model.safetensors", "optimizer.safetensors"):
        assert (child.step_path(60) / file).read_bytes() == (parent.step_path(60) / file).read_bytes()
    assert child.samples_path.read_bytes() == parent.samples_path.read_bytes()


def test_a_fork_with_another_rate_goes_on_from_the_parents_moments(make_run, begin):
    parent = make_run(training=LONG)
    run_worker(parent)
    child = begin(parent, step=10, training={"lr": 5e-3})
    assert begin.report.carried == "all"
    run_worker(child)
    ours, theirs = steps_of(child), steps_of(parent)
    assert ours[:11] == theirs[:11]  # the curve up to the fork, with the evaluation at step 0
    assert ours[11]["train_loss_nats"] == theirs[11]["train_loss_nats"]  # the same batch on the same weights
    assert ours[11]["learning_rate"] != theirs[11]["learning_rate"] and ours[12] != theirs[12]


def test_the_best_checkpoint_of_a_fork_is_one_that_it_has(make_run, begin):
    parent = make_run(training={"lr": 1e-2, "max_steps": 12})
    run_worker(parent)
    child = begin(parent, step=8, training={"lr": 3.0, "min_lr": 1.0})  # it only gets worse from here
    run_worker(child)
    grandchild = begin(child, step=12, training={"max_steps": 16})
    run_worker(grandchild)
    assert read_status(child).best_checkpoint == "step_00000008"
    assert read_status(grandchild).best_checkpoint is None  # that of its parent is the best of the curve


def test_another_text_begins_at_step_0_with_the_parents_weights(make_run, begin, other_text):
    parent = make_run()
    run_worker(parent)
    child = begin(parent, data={"text_file": str(other_text)})
    report = begin.report
    assert (report.carried, report.why_not_all) == ("weights", "the text is another one")
    assert "'ß', 'ö', '€'" in report.tokenizer
    fates = {tensor.name: tensor.fate for tensor in report.tensors}
    assert fates["token_embedding.weight"] == "resized" and fates["blocks.0.mlp.up_proj.weight"] == "kept"

    text = prepare_text(child, child.read_config())
    model = build_run_model(child, child.read_config())
    before = load_model(parent.path)
    old, new = text.tokenizer.characters, CharacterTokenizer.train(TEXT).characters
    for character in new:  # rows by the token's text, not by its id
        row = before.token_embedding.weight[new.index(character)]
        assert torch.equal(model.token_embedding.weight[old.index(character)], row)
    assert torch.equal(model.blocks[1].mlp.up_proj.weight, before.blocks[1].mlp.up_proj.weight)
    fresh = build_model(child.read_model_config(), seed=child.read_config().training.seed)
    assert torch.equal(model.token_embedding.weight[old.index("€")], fresh.token_embedding.weight[old.index("€")])

    assert run_worker(child) == 0
    lines = [json.loads(line) for line in child.metrics_path.read_text().splitlines()]
    assert lines[0]["step"] == 0 and lines[0]["val_loss_nats"] < 3.0  # chance is ln 37 = 3.6
    assert child.read_data()["d_vocab"] == len(old)


def test_other_heads_out_of_the_same_matrix_are_told(make_run, begin):
    parent = make_run()
    run_worker(parent)
    begin(parent, model={"n_heads": 4})
    fates = {tensor.name: tensor.fate for tensor in begin.report.tensors}
    assert fates["blocks.0.attention.qkv_proj.weight"] == "kept"
    assert "otherwise than in the parent: n_heads 2 → 4. What is kept is now read so" in begin.report.sentences()
    begin(parent)
    assert not begin.report.changed_sentences()


def test_a_run_with_a_parent_needs_nothing_of_it(make_run, begin, other_text):
    parent = make_run()
    run_worker(parent)
    last = choose(parent)
    child = begin(parent, data={"text_file": str(other_text)})
    weights = child.base_path / last.name / "model.safetensors"
    assert weights.stat().st_ino == (last / "model.safetensors").stat().st_ino  # no second copy on the disk
    logits = load_model(parent.path)(torch.arange(16)[None])
    delete_run(parent)
    assert torch.equal(load_model(child.base_path)(torch.arange(16)[None]), logits)
    assert run_worker(child) == 0
    assert load_model(child.path).token_embedding.weight.shape[0] == child.read_data()["d_vocab"]


def test_a_stopped_fine_tuning_resumes_bit_for_bit(make_run, begin, other_text, monkeypatch):
    parent = make_run()
    run_worker(parent)
    whole, cut = (begin(parent, data={"text_file": str(other_text)}) for _ in range(2))
    run_worker(whole)
    from runs import control
    from training import trainer as module

    original = module.Trainer.update

    def stop_at_six(self):
        original(self)
        if self.progress.step == 6:
            control.request(cut, "stop")

    with monkeypatch.context() as patch:
        patch.setattr(module.Trainer, "update", stop_at_six)
        run_worker(cut)
    assert read_status(cut).step == 6
    run_worker(cut)
    assert (cut.step_path(12) / "model.safetensors").read_bytes() == (
        whole.step_path(12) / "model.safetensors"
    ).read_bytes()


def test_what_stands_against_going_on_is_said(make_run, begin):
    parent = make_run()
    run_worker(parent)
    for changes, reason in (
        ({"training": {"optimizer": "sgd"}}, "the optimizer is sgd, not adamw"),
        ({"model": {"d_mlp": 48}}, "blocks.0.mlp.up_proj.weight is resized"),
        ({"model": {"n_layers": 3}}, "blocks.2.attention_norm.weight is new"),
        ({"data": {"tokenizer_type": "byte"}}, "the tokenizer is another one"),
        ({"data": {"data_size": "0.9"}}, "the text is another one"),
        ({"training": {"max_steps": 8}}, "its 8 steps are all of max_steps 8"),
    ):
        begin(parent, step=8, **changes)
        assert begin.report.carried == "weights" and begin.report.why_not_all.startswith(reason)
        with pytest.raises(ConfigError, match="not all of step_00000008 can be carried over"):
            begin(parent, step=8, carry="all", **changes)


def test_weights_alone_can_be_asked_for(make_run, begin):
    parent = make_run()
    run_worker(parent)
    child = begin(parent, step=8, carry="weights")
    run_worker(child)
    assert child.base_path.is_dir() and steps_of(child)[0]["step"] == 0
    assert [line["step"] for line in steps_of(child) if "train_loss_nats" in line] == list(range(1, 13))


def test_a_parent_that_changes_or_goes_before_start_is_refused_and_leaves_no_run(make_run, begin, tmp_path):
    parent = make_run()
    run_worker(parent)
    config, _ = fork(replace(parent.read_config()), choose(parent.step_path(8)))
    before = list_runs(tmp_path / "checkpoints")
    file = parent.step_path(8) / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"\x01")
    with pytest.raises(CheckpointError, match=r"model.safetensors is damaged"):
        create_run(tmp_path / "checkpoints", config, {})
    file.unlink()
    with pytest.raises(CheckpointError, match="is gone"):
        create_run(tmp_path / "checkpoints", config, {})
    assert list_runs(tmp_path / "checkpoints") == before


def test_tokens_are_matched_by_their_text_and_special_ones_among_themselves():
    old = CharacterTokenizer("abc", ("<|endoftext|>",))
    new = CharacterTokenizer("bcd", ("<|endoftext|>",))
    assert match_tokens(old, new).tolist() == [1, 2, -1, 3]
    learned = BytePairTokenizer.train("abc abc abc abc", 257)
    matched = match_tokens(old, learned)
    assert matched[ord("a")] == 0 and matched[ord("z")] == -1 and (matched >= 0).sum() == 3


def test_tensors_of_other_shapes_keep_what_means_the_same():
    old_config = ModelConfig(d_model=8, n_layers=2, n_heads=2, d_mlp=16, n_ctx=8, d_vocab=5)
    new_config = old_config.replace(n_ctx=12, d_mlp=20, n_layers=3, d_vocab=4, mlp="swiglu")
    tokens = np.array([3, -1, 0, 4])
    old, new = build_model(old_config, seed=1), build_model(new_config, seed=2)
    fresh = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    changes = compare(shapes_of_config(old_config), shapes_of_config(new_config), tokens)
    transfer(old.state_dict(), new, tokens)
    assert torch.equal(new.token_embedding.weight[[0, 2, 3]], old.token_embedding.weight[[3, 0, 4]])
    assert torch.equal(new.token_embedding.weight[1], fresh["token_embedding.weight"][1])
    assert torch.equal(new.positional_embedding.weight[:8], old.positional_embedding.weight)
    assert torch.equal(new.positional_embedding.weight[8:], fresh["positional_embedding.weight"][8:])
    down = new.blocks[0].mlp.down_proj.weight
    assert torch.equal(down[:, :16], old.blocks[0].mlp.down_proj.weight)
    assert torch.equal(down[:, 16:], fresh["blocks.0.mlp.down_proj.weight"][:, 16:])
    assert torch.equal(new.blocks[2].mlp.up_proj.weight, fresh["blocks.2.mlp.up_proj.weight"])
    fates = {change.name: (change.fate, change.kept) for change in changes}
    assert fates["token_embedding.weight"] == ("resized", 3 * 8)
    assert fates["blocks.0.mlp.gate_proj.weight"] == ("new", 0)
    assert fates["blocks.1.attention.qkv_proj.weight"] == ("kept", 8 * 24)


def test_another_width_or_number_of_heads_keeps_no_part_of_a_matrix():
    old = shapes_of_config(ModelConfig(d_model=8, n_heads=2, n_layers=1, d_vocab=5))
    wider = compare(old, shapes_of_config(ModelConfig(d_model=16, n_heads=2, n_layers=1, d_vocab=5)), np.arange(5))
    assert {change.fate for change in wider if "bias" not in change.name} == {"new"}
    shallow = compare(
        shapes_of_config(ModelConfig(n_layers=2)), shapes_of_config(ModelConfig(n_layers=1)), np.arange(9)
    )
    assert {change.name.split(".")[1] for change in shallow if change.fate == "left behind"} == {"1"}


# --- forgetting ---------------------------------------------------------------------------------------------------


def evaluations_of(run):
    return [line for line in map(json.loads, run.metrics_path.open()) if "val_loss_nats" in line]


def test_the_parents_text_is_scored_beside_the_new_one_whatever_its_tokenizer(make_run, begin, other_text):
    parent = make_run()
    run_worker(parent)
    last = evaluations_of(parent)[-1]
    same = begin(parent, step=12, data={"text_file": str(other_text), "data_size": "1500"}, training={"lr": 0.3})
    run_worker(same)
    # Three characters are new, so the text is cut anew; they take as much probability as any that is not known.
    first, *_, end = evaluations_of(same)
    assert last["val_loss_nats"] <= first["parent_val_loss_nats"] <= last["val_loss_nats"] + 0.15
    assert end["parent_val_loss_nats"] > first["parent_val_loss_nats"] + 0.1  # at this rate it forgets
    assert first["parent_val_bits_per_byte"] == pytest.approx(first["parent_val_loss_nats"] / np.log(2), rel=1e-6)
    assert "on the parent" in same.figure_path.read_text()


def test_of_a_kept_tokenizer_the_very_token_files_are_scored(make_run, begin, tmp_path):
    parent = make_run()
    run_worker(parent)
    other = tmp_path / "plain.txt"
    other.write_text(TEXT.replace("house", "bell"))
    child = begin(parent, step=12, data={"text_file": str(other)})
    run_worker(child)
    assert evaluations_of(child)[0]["parent_val_loss_nats"] == evaluations_of(parent)[-1]["val_loss_nats"]
    assert child.read_config().parent.token_files == parent.read_data()["token_files"]
    delete_run(parent)  # the text stays as long as the child names it
    grandchild = begin(child, step=8, carry="all")
    assert run_worker(grandchild) == 0 and steps_of(grandchild) == steps_of(child)
    third = begin(child, step=8, carry="weights")
    run_worker(third)
    assert not any("parent_val_loss_nats" in line for line in evaluations_of(third))  # its parent read the same text
