"""Dense against experts: twins of equal work on the same batches, from either side."""

import pytest

from config.errors import ConfigError
from config.presets import load_preset
from config.run_config import RunConfig
from config.sizes import count_active_parameters, count_parameters
from config.train_config import TrainConfig
from runs import __main__ as command_line
from runs import experts, launch
from runs.folder import list_runs

DENSE = RunConfig(model=load_preset("llama", "tiny"), training=TrainConfig(seed=7, max_steps=20, warmup_steps=2),
                  preset="llama", size="tiny")  # fmt: skip


def test_a_token_uses_as_much_of_the_twin_but_for_the_router():
    dense, mixture = (entry.config for entry in experts.pair(DENSE, 16, 4))
    assert dense == DENSE and mixture.model.n_experts == 16 and mixture.model.d_expert == 128
    more = count_active_parameters(mixture.model) - count_parameters(dense.model)
    assert more == 4 * 128 * 16
    assert count_parameters(mixture.model) > 2 * count_parameters(dense.model.replace(d_vocab=65))
    assert mixture.training == dense.training and mixture.data == dense.data


def test_from_the_mixture_the_dense_twin_is_the_one_it_was_made_from():
    mixture = experts.with_experts(DENSE)
    dense, _ = experts.pair(mixture)
    assert dense.config.model == DENSE.model.replace(
        **{name: getattr(mixture.model, name) for name in ("experts_per_token", "d_expert")}
    )
    shared = mixture.model.replace(n_shared_experts=1, moe_pattern="m")
    assert experts.without_experts(RunConfig(model=shared)).model.d_mlp == 512 + 256


@pytest.mark.parametrize("make, words", [
    (lambda: experts.with_experts(DENSE, 8, 3), "d_mlp 512 cannot be shared by 3 experts: let a token visit 2"),
    (lambda: experts.with_experts(DENSE, 8, 0), "cannot be shared by 0"),
    (lambda: experts.with_experts(DENSE, 2, 4), "experts_per_token 4 is more than n_experts 2"),
    (lambda: experts.without_experts(RunConfig(
        model=DENSE.model.replace(n_experts=8, d_expert=64, moe_pattern="dm"))), "no dense model has both widths"),
])  # fmt: skip
def test_where_there_is_no_twin_a_sentence_says_why(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_the_command_queues_both_and_names_them(tmp_path, monkeypatch, capsys):
    launched = []
    monkeypatch.setattr(launch, "launch", launched.append)
    words = ["experts", "llama tiny", "--max_steps", "12", "--name", "tale", "--checkpoints", str(tmp_path)]
    assert command_line.main(words) == 0
    runs = sorted(list_runs(tmp_path), key=lambda run: run.id)
    assert [run.read_label().name for run in launched] == ["tale-dense", "tale-experts"]
    assert [run.read_config().model.n_experts for run in runs] == [None, 8]
    assert {run.read_config().training.max_steps for run in runs} == {12}
    assert "python -m runs compare tale-dense tale-experts" in capsys.readouterr().out
    assert command_line.main([*words, "--experts_per_token", "3"]) == 2
    assert len(list_runs(tmp_path)) == 2
