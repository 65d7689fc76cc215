"""Training on prompts and responses: the loss is of responses alone, whatever the batch is cut into."""

import json
import math

import pytest
import torch

from components.model import build_model
from config.data_config import DataConfig
from config.errors import TextError
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from runs import control
from runs.state import read_status
from tests.training.conftest import steps_of
from text.packing import IGNORED, PackedPairs
from text.pair_tokens import cut_pairs
from text.pairs import read_pairs
from text.tokenizer_types import train_tokenizer
from training import loss as loss_module
from training import trainer as trainer_module
from training.checkpoint import load_model
from training.evaluate import Evaluator
from training.loss import model_loss
from training.prepare import check_trainable
from training.worker import run_worker

NAMES = ("Anna", "Otto", "Ida", "Ben")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def pairs_file(tmp_path):
    path = tmp_path / "qa.csv"
    things = ("bell", "lamp", "long yellow ring", "hat", "key")
    who = [(name, " now" * (number % 3)) for number, name in enumerate(NAMES)]
    rows = [f"Who has the {thing}?,{name} has it{when}." for name, when in who for thing in things]
    path.write_text("prompt,response\n" + "\n".join(rows) + "\n")
    return path


DATA = {"text_kind": "pairs", "tokenizer_type": "byte", "val_fraction": 0.2}
MODEL = {"n_ctx": 64, "position": "rope"}


@pytest.fixture
def batch(pairs_file):
    pairs = read_pairs(DataConfig(text_file=str(pairs_file), **DATA))
    packed = PackedPairs(cut_pairs(pairs.train, train_tokenizer("byte", "", 256)), 96)
    return packed.batch(0, batch_size=4, seed=1)


def model_for(batch, implementation="fused"):
    config = ModelConfig(d_model=16, n_layers=1, n_heads=2, d_mlp=32, n_ctx=96, d_vocab=256, tie_embeddings=False)
    return build_model(config, implementation, seed=1)


@pytest.mark.parametrize("large", [False, True], ids=["plain", "chunked"])
def test_masked_positions_have_no_loss_and_a_gradient_of_exactly_zero(batch, monkeypatch, large):
    inputs, targets, documents = batch
    model = model_for(batch)
    if large:  # as if the vocabulary were
        monkeypatch.setattr(loss_module, "LARGE_LOGITS", 0)
    streams = []
    original = model.stream
    model.stream = lambda *given, **named: streams.append(original(*given, **named).requires_grad_()) or streams[-1]
    loss = model_loss(model, inputs, targets, documents)
    (gradient,) = torch.autograd.grad(loss, streams)
    masked = targets == IGNORED
    assert 0.2 < masked.float().mean() < 0.9
    assert (gradient[masked] == 0).all() and (gradient[~masked].abs().sum(dim=-1) > 0).all()

    logits = model(inputs, documents=documents)
    by_hand = [
        -logits[row, place].log_softmax(dim=-1)[targets[row, place]] for row, place in (~masked).nonzero().tolist()
    ]
    torch.testing.assert_close(loss, torch.stack(by_hand).mean(), rtol=1e-5, atol=1e-6)


def test_what_a_masked_target_is_does_not_matter(batch):
    inputs, targets, documents = batch
    model = model_for(batch)
    loss = model_loss(model, inputs, targets, documents)
    loss.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    other = inputs.clone()
    other[documents == -1] = 7  # what nobody needs changes nothing either
    model.zero_grad()
    again = model_loss(model, other, targets, documents)
    again.backward()
    assert torch.equal(loss, again)
    assert all(torch.equal(parameter.grad, gradients[name]) for name, parameter in model.named_parameters()
               if name != "token_embedding.weight")  # fmt: skip


def test_an_evaluation_counts_tokens_and_bytes_of_responses(pairs_file):
    data = DataConfig(text_file=str(pairs_file), **DATA)
    tokenizer = train_tokenizer("byte", "", 256)
    pairs = read_pairs(data)
    packed = PackedPairs(cut_pairs(pairs.val, tokenizer), 96)
    evaluator = Evaluator(packed, tokenizer, batch_size=2, seed=1, precision=torch.no_grad())
    score = evaluator.score_split(model_for(None), limit_seconds=60)
    said = sum(len(pair.response) for pair in pairs.val)
    assert score.tokens == score.text_bytes == said
    assert score.bits_per_byte == pytest.approx(score.loss_nats / math.log(2))


# --- runs ---------------------------------------------------------------------------------------------------------


def make(make_run, pairs_file, **changes):
    training = {"max_steps": 12, "batch_size": 2} | changes.get("training", {})
    return make_run(MODEL | changes.get("model", {}), training, {"text_file": str(pairs_file)} | DATA)


def losses_of(run, key="val_loss_nats"):
    return [line[key] for line in map(json.loads, run.metrics_path.open()) if key in line]


def test_a_run_learns_responses_and_says_how_they_are_packed(make_run, pairs_file):
    run = make(make_run, pairs_file, training={"max_steps": 40, "eval_interval": 20, "save_interval": 20})
    assert run_worker(run) == 0
    losses = losses_of(run)
    assert losses[-1] < losses[0] - 2  # 256 bytes, and few of them in the responses
    log = run.log_path.read_text()
    assert "16 pairs for training in " in log and "4 pairs for validation in " in log and "% full" in log
    samples = [json.loads(line) for line in run.samples_path.read_text().splitlines()]
    assert samples[0]["prompt"] == "Prompt: Who has the key?\nResponse: "
    assert run.read_data()["inputs_per_pass"] % 64 == 0
    model = load_model(run.path)
    assert model.config.d_vocab == 256


@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_with_unequal_responses_are_the_whole_batch(make_run, pairs_file, parts):
    whole = make(make_run, pairs_file, training={"batch_size": 4})
    cut = make(make_run, pairs_file, training={"batch_size": 4, "grad_accumulation": parts})
    run_worker(whole)
    run_worker(cut)
    for key in ("train_loss_nats", "grad_norm", "val_loss_nats"):
        assert losses_of(cut, key) == pytest.approx(losses_of(whole, key), abs=2e-5)


def test_a_stopped_run_resumes_bit_for_bit_and_needs_no_file(make_run, pairs_file, monkeypatch):
    whole, cut = (make(make_run, pairs_file, model={"dropout": 0.1}) for _ in range(2))
    run_worker(whole)
    original = trainer_module.Trainer.update

    def stop_at_six(self):
        original(self)
        if self.progress.step == 6:
            control.request(cut, "stop")

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.Trainer, "update", stop_at_six)
        run_worker(cut)
    pairs_file.unlink()
    assert read_status(cut).step == 6 and run_worker(cut) == 0
    kept = [line for line in steps_of(cut) if line["step"] != 6 or "val_loss_nats" not in line]
    assert kept == steps_of(whole)
    assert (cut.step_path(12) / "model.safetensors").read_bytes() == (
        whole.step_path(12) / "model.safetensors"
    ).read_bytes()


def test_adapters_learn_responses_with_the_parents_tokenizer(make_run, begin, pairs_file):
    parent = make_run({"n_ctx": 64, "position": "rope", "init_std": 0.3}, data={"tokenizer_type": "byte"})
    run_worker(parent)
    data = {"text_file": str(pairs_file), "text_kind": "pairs", "val_fraction": 0.2}
    run = begin(parent, data=data, lora=LoraConfig(lora_rank=4), training={"max_steps": 40, "lr": 3e-2})
    assert begin.report.tokenizer == "tokenizer: the parent's (byte, 256 tokens)"
    assert run_worker(run) == 0
    assert losses_of(run)[-1] < losses_of(run)[0] - 0.1


def test_new_characters_of_pairs_are_those_of_the_text_and_not_of_the_file(make_run, begin, pairs_file):
    parent = make_run({"n_ctx": 64, "position": "rope"})
    run_worker(parent)
    begin(parent, data={"text_file": str(pairs_file), "text_kind": "pairs", "val_fraction": 0.2})
    assert "','" not in begin.report.tokenizer and "'W'" in begin.report.tokenizer


def test_pairs_without_room_are_refused_before_a_run_exists(pairs_file):
    data = DataConfig(text_file=str(pairs_file), **DATA)
    check_trainable(data, 64)
    with pytest.raises(TextError, match=r"all 16 pairs for training have prompts of more than n_ctx 16 tokens"):
        check_trainable(data, 16)
