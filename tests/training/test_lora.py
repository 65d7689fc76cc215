"""Adapters: nothing changes at step 0, nothing but them changes in training, and all that is needed is saved."""

import json

import pytest
import torch
from safetensors.torch import load_file

from components.kv_cache import KVCache
from components.model import build_model
from config.errors import CheckpointError, ConfigError
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from runs.folder import delete_run
from runs.state import read_status
from tests.components.test_contract import CONFIGS
from tests.training.conftest import steps_of
from training import trainer as trainer_module
from training.checkpoint import load_model
from training.fork import build_run_model
from training.lora import (
    LoraLinear,
    adapter_state,
    add_adapters,
    chosen_names,
    count_adapters,
    describe_trained,
    merge,
    unmerge,
)  # fmt: skip
from training.optimizer import build_optimizer
from training.worker import run_worker

SIZES = {"d_model": 24, "n_layers": 2, "n_heads": 4, "d_mlp": 32, "n_ctx": 16, "d_vocab": 11}
LORA = LoraConfig(lora_rank=3, lora_alpha=6.0)
IMPLEMENTATIONS = ("einops", "torch", "fused")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def adapted(config: dict, implementation: str = "fused", lora: LoraConfig = LORA, *, trained: bool = True):
    """A model with adapters; `trained` ones do something."""
    model = build_model(ModelConfig(**(SIZES | config)), implementation, seed=1)
    add_adapters(model, lora, seed=2)
    if trained:
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for name, tensor in adapter_state(model).items():
                tensor.normal_(0.0, 0.1, generator=generator) if name.endswith("lora_B") else None
    return model


TOKENS = torch.randint(11, (2, 16), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_step_0_is_the_frozen_model_bit_for_bit_and_trained_adapters_change_it_alike_everywhere(config, implementation):
    plain = build_model(ModelConfig(**(SIZES | config)), implementation, seed=1).eval()
    fresh = adapted(config, implementation, trained=False).eval()
    with torch.no_grad():  # which kernel computes attention may depend on what has a gradient
        assert torch.equal(fresh(TOKENS), plain(TOKENS))
    one, reference = adapted(config, implementation).eval(), adapted(config, "torch").eval()
    assert (one(TOKENS) - plain(TOKENS)).abs().max() > 1e-3
    torch.testing.assert_close(one(TOKENS), reference(TOKENS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_merged_adapters_compute_the_same_and_unmerged_ones_exactly_what_they_did(implementation):
    for config in CONFIGS.values():
        model = adapted(config, implementation).eval()
        before, weight = model(TOKENS), model.blocks[0].attention.out_proj.weight
        taken = merge(model)
        assert not any(isinstance(module, LoraLinear) for module in model.modules()) and not adapter_state(model)
        torch.testing.assert_close(model(TOKENS), before, rtol=1e-4, atol=1e-5)
        unmerge(model, taken)
        assert torch.equal(model(TOKENS), before) and model.blocks[0].attention.out_proj.weight is weight


def test_the_formula_with_its_scale_and_dropout_on_the_adapter_alone():
    linear = torch.nn.Linear(4, 6)
    lora = LoraLinear(linear, LoraConfig(lora_rank=2, lora_alpha=3.0, lora_dropout=0.5), torch.Generator())
    torch.nn.init.normal_(lora.lora_B)
    x = torch.randn(5, 4)
    assert not lora.weight.requires_grad and not lora.bias.requires_grad
    by_hand = x @ linear.weight.T + linear.bias + 3.0 / 2 * (x @ lora.lora_A.T) @ lora.lora_B.T
    torch.testing.assert_close(lora.eval()(x), by_hand)
    torch.manual_seed(0)
    dropped = lora.train()(x)
    torch.manual_seed(0)
    narrow = torch.nn.functional.dropout(x, 0.5) @ lora.lora_A.T
    torch.testing.assert_close(dropped, x @ linear.weight.T + linear.bias + 1.5 * narrow @ lora.lora_B.T)


def test_a_begins_as_noise_of_unit_outputs_and_b_as_zero():
    model = build_model(ModelConfig(**(SIZES | {"d_model": 256, "n_heads": 4})), seed=1)
    add_adapters(model, LoraConfig(lora_rank=16), seed=2)
    linear = model.blocks[0].mlp.up_proj
    assert linear.lora_A.std().item() == pytest.approx(256**-0.5, rel=0.1) and not linear.lora_B.any()


def test_gradients_and_moments_are_of_the_adapters_alone():
    model = adapted({}, trained=False)
    optimizer = build_optimizer(model, make_training())
    loss = torch.nn.functional.cross_entropy(model(TOKENS).flatten(0, 1), TOKENS.flatten())
    loss.backward()
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient == set(adapter_state(model))
    optimizer.step()
    numbers = sum(tensor.numel() for name, tensor in optimizer.state_tensors().items() if not name.endswith("step"))
    assert numbers == 2 * count_adapters(ModelConfig(**SIZES), LORA)


def make_training():
    from config.train_config import TrainConfig

    return TrainConfig()


@pytest.mark.parametrize("targets, found", [
    ("attention", {"attention.qkv_proj", "attention.out_proj"}),
    ("mlp", {"mlp.up_proj", "mlp.down_proj"}),
    ("all-linear", {"attention.qkv_proj", "attention.out_proj", "mlp.up_proj", "mlp.down_proj"}),
    ("*.qkv_proj, *.down_proj", {"attention.qkv_proj", "mlp.down_proj"}),
    ("blocks.1.mlp.up_proj", {"mlp.up_proj"}),
])  # fmt: skip
def test_targets_are_presets_or_patterns(targets, found):
    config = ModelConfig(**SIZES)
    model = build_model(config, seed=1)
    names = chosen_names(model, targets)
    assert {name.split(".", 2)[2] for name in names} == found
    lora = LoraConfig(lora_rank=3, lora_targets=targets)
    add_adapters(model, lora, seed=0)
    numbers = sum(tensor.numel() for tensor in adapter_state(model).values())
    assert count_adapters(config, lora) == numbers
    assert describe_trained(model).startswith(f"training {numbers:,} of ")


def test_targets_that_name_nothing_are_refused_with_what_there_is():
    with pytest.raises(ConfigError, match=r"'q_proj' names no linear map: there are \*.down_proj, \*.out_proj"):
        chosen_names(build_model(ModelConfig(**SIZES), seed=1), "q_proj")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_adapted_models_write_with_a_cache_what_they_compute_without(implementation):
    for config in CONFIGS.values():
        if config.get("rope_scaling") == "dynamic":  # which cannot be cached
            continue
        model = adapted(config, implementation).eval()
        with torch.no_grad():
            cache = KVCache(model.config, batch=2)
            parts = [model(TOKENS[:, :9], cache), *(model(TOKENS[:, [place]], cache) for place in range(9, 16))]
            torch.testing.assert_close(torch.cat(parts, dim=1), model(TOKENS), rtol=1e-4, atol=1e-4)


EXPERTS = {"n_experts": 4, "experts_per_token": 2, "n_shared_experts": 1, "shared_expert_gate": True,
           "router_selection_bias": True, "router": "sigmoid", "mlp": "swiglu"}  # fmt: skip


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_experts_get_adapters_and_routers_do_not(implementation):
    fresh = adapted(EXPERTS, implementation, trained=False).eval()
    plain = build_model(ModelConfig(**(SIZES | EXPERTS)), implementation, seed=1).eval()
    assert torch.equal(fresh(TOKENS), plain(TOKENS))
    kinds = {name.rpartition(".")[0].split(".", 2)[2] for name in adapter_state(fresh)}
    experts = {f"mlp.experts.{expert}.{part}_proj" for expert in range(4) for part in ("gate", "up", "down")}
    shared = {f"mlp.shared_expert.{part}_proj" for part in ("gate", "up", "down")}
    assert kinds == experts | shared | {"attention.qkv_proj", "attention.out_proj"}
    model, reference = adapted(EXPERTS, implementation).eval(), adapted(EXPERTS, "torch").eval()
    before = model(TOKENS)
    torch.testing.assert_close(before, reference(TOKENS), rtol=1e-4, atol=1e-5)
    merge(model)
    torch.testing.assert_close(model(TOKENS), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_adapters_of_latent_attention_count_behind_a_cache_too(implementation):
    model = adapted({"attention": "mla", "position": "rope"}, implementation).eval()
    cache = KVCache(model.config, batch=len(TOKENS))
    with torch.no_grad():
        found = torch.cat([model(token, cache=cache) for token in TOKENS.split(1, dim=1)], dim=1)
        torch.testing.assert_close(found, model(TOKENS), rtol=1e-4, atol=1e-5)


# --- runs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def parent(make_run):
    run = make_run({"dropout": 0.1, "mlp": "swiglu", "n_kv_heads": 1})
    run_worker(run)
    return run


@pytest.fixture
def other(tmp_path, text_file):
    """The same characters in another order."""
    path = tmp_path / "other.txt"
    path.write_text(text_file.read_text().replace("is behind", "knows").replace("lamp", "plum".replace("plum", "palm")))
    return {"text_file": str(path)}


def test_a_run_trains_and_saves_adapters_alone(parent, begin, other):
    run = begin(parent, data=other, lora=LORA)
    assert begin.report.trained == count_adapters(run.read_config().with_vocabulary(30), LORA)
    assert run_worker(run) == 0 and read_status(run).state == "finished"
    saved = load_file(run.step_path(12) / "model.safetensors")
    assert {name.rpartition(".")[2] for name in saved} == {"lora_A", "lora_B"}
    assert sum(map(torch.numel, saved.values())) == begin.report.trained
    moments = load_file(run.step_path(12) / "optimizer.safetensors")
    assert {name.rpartition("/")[0] for name in moments} == set(saved)
    losses = [line["val_loss_nats"] for line in map(json.loads, run.metrics_path.open()) if "val_loss_nats" in line]
    assert losses[-1] < losses[0] - 0.01

    base = load_model(parent.path).state_dict()
    frozen = build_run_model(run, run.read_config())
    assert all(torch.equal(frozen.state_dict()[name], tensor) for name, tensor in base.items())
    frozen.load_state_dict(saved, strict=False)
    tokens = torch.arange(16)[None]
    torch.testing.assert_close(load_model(run.step_path(12))(tokens), frozen.eval()(tokens), rtol=1e-4, atol=1e-5)
    for implementation in IMPLEMENTATIONS:
        logits = load_model(run.step_path(12), implementation)(tokens)
        torch.testing.assert_close(logits, frozen(tokens), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [{}, EXPERTS])
def test_frozen_weights_do_not_change_by_a_bit_while_adapters_are_trained(make_run, begin, other, monkeypatch, model):
    parent = make_run(model)
    run_worker(parent)
    run = begin(parent, data=other, lora=LORA)
    kept = []
    original = trainer_module.Trainer.__init__
    monkeypatch.setattr(
        trainer_module.Trainer, "__init__", lambda self, *given: (original(self, *given), kept.append(self.model))[0]
    )
    run_worker(run)
    trained = kept[0].state_dict()
    base = load_model(parent.path).state_dict()
    assert all(torch.equal(trained[name], tensor) for name, tensor in base.items())


def test_it_opens_and_resumes_when_the_parent_is_gone(parent, begin, other):
    run = begin(parent, data=other, lora=LORA)
    delete_run(parent)
    assert run_worker(run) == 0
    assert load_model(run.path)(torch.arange(16)[None]).isfinite().all()
    child = begin(run, data={"text_file": str(run.path.parent.parent / "tale.txt")}, lora=LORA)  # adapters on adapters
    delete_run(run)
    assert run_worker(child) == 0
    assert load_model(child.path)(torch.arange(16)[None]).isfinite().all()


def test_a_damaged_base_is_refused(parent, begin, other):
    run = begin(parent, data=other, lora=LORA)
    run_worker(run)
    ((file),) = run.base_path.glob("step_*/model.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink()
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(run.path)


def test_a_run_that_dies_resumes_bit_for_bit(parent, begin, other, monkeypatch):
    lora = LORA.replace(lora_dropout=0.2)
    whole, cut = (begin(parent, data=other, lora=lora) for _ in range(2))
    run_worker(whole)
    original = trainer_module.Trainer.update

    def die_at_six(self):
        original(self)
        if self.progress.step == 6:
            raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.Trainer, "update", die_at_six)
        run_worker(cut)
    assert read_status(cut).state == "failed"
    run_worker(cut)
    assert steps_of(cut) == steps_of(whole)
    for file in ("model.safetensors", "optimizer.safetensors"):
        assert (cut.step_path(12) / file).read_bytes() == (whole.step_path(12) / file).read_bytes()


def test_an_unchanged_fork_of_adapters_goes_on_exactly(parent, begin, other):
    run = begin(parent, data=other, lora=LORA.replace(lora_dropout=0.2))
    run_worker(run)
    child = begin(run, step=4, lora=run.read_config().lora)
    assert begin.report.carried == "all"
    run_worker(child)
    assert steps_of(child) == steps_of(run)
    ends = [(each.step_path(12) / "model.safetensors").read_bytes() for each in (run, child)]
    assert ends[0] == ends[1]
    begin(run, step=4, lora=LORA.replace(lora_rank=2))
    assert begin.report.why_not_all == "the adapters are others"
    full = begin(run, step=4)
    assert begin.report.why_not_all == "all weights are trained, not adapters alone"
    tokens = torch.arange(16)[None]
    begun = build_run_model(prepared(full), full.read_config()).eval()
    torch.testing.assert_close(begun(tokens), load_model(run.step_path(4))(tokens))


def prepared(run):
    from training.prepare import prepare_text

    prepare_text(run, run.read_config())
    return run


def test_weights_that_nobody_would_train_are_refused(parent, begin, tmp_path):
    strange = tmp_path / "strange.txt"
    strange.write_text(parent.read_config().data.text_file + "€ß" * 900)
    with pytest.raises(ConfigError, match=r"token_embedding.weight has tokens that the parent does not know"):
        begin(parent, data={"text_file": str(strange)}, lora=LORA)
    with pytest.raises(ConfigError, match=r"blocks.2.* is new"):
        begin(parent, model={"n_layers": 3}, lora=LORA)
    with pytest.raises(ConfigError, match=r"names no linear map"):
        begin(parent, lora=LORA.replace(lora_targets="nothing"))
