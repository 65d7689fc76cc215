"""Compare's tab about experts: sizes, loss, speed and load side by side, and the twin that one click trains."""

import json

import pytest

from runs import launch
from runs.experts import with_experts
from runs.folder import list_runs
from tests.app.compare_page import html_of, make, open_page, plots, show_tab, text_of, tick
from ui import picked, racing

EVEN, UNEVEN = [0.25, 0.25, 0.25, 0.25], [0.4, 0.1, 0.25, 0.25]
SHARES = {"step": 300, "val_loss_nats": 1.7, "val_bits_per_byte": 2.4, "expert_shares": [UNEVEN, EVEN],
          "router_entropy_nats": [1.0, 1.1]}  # fmt: skip


@pytest.fixture
def dense(checkpoints):
    return make(checkpoints, "plain-wren")


@pytest.fixture
def mixture(checkpoints):
    run = make(checkpoints, "many-wrens", change=lambda config: with_experts(config, 4, 2))
    with run.metrics_path.open("a") as file:
        file.write(json.dumps(SHARES) + "\n")
    return run


def test_both_are_shown_with_what_a_token_uses_and_who_works(dense, mixture):
    app = show_tab(tick(open_page(reference=dense.id), dense, mixture), "Dense or experts")
    shown = html_of(app)
    assert "A token uses" in shown and "1.60 ×" in shown and "0.400 ×" in shown and "twin" not in text_of(app)
    (figure,) = [figure for title, figure in plots(app).items() if title.startswith("Visits of many-wrens")]
    assert figure["data"][0]["z"][0] == [40.0, 10.0, 25.0, 25.0]


def test_the_missing_twin_is_trained_on_the_same_batches(dense, checkpoints, monkeypatch):
    launched = []
    monkeypatch.setattr(launch, "launch", launched.append)
    app = show_tab(tick(open_page(), dense), "Dense or experts")
    assert "What would experts do for" in text_of(app)
    app.number_input(key="twin-experts").set_value(16)
    app.button(key="train-twin").click().run()
    assert not app.exception
    (twin,) = [run for run in list_runs(checkpoints) if run != dense]
    config, before = twin.read_config(), dense.read_config()
    assert launched == [twin] and twin.read_label().name == "plain-wren-experts"
    assert (config.model.n_experts, config.model.d_expert) == (16, before.model.d_mlp // 2)
    assert config.training == before.training and config.data == before.data
    assert set(app.session_state[picked.TICKED]) == {dense.id, twin.id}


def test_of_a_mixture_the_dense_twin_is_trained(mixture, checkpoints, monkeypatch):
    monkeypatch.setattr(launch, "launch", lambda run: None)
    app = show_tab(tick(open_page(), mixture), "Dense or experts")
    assert "without experts" in text_of(app)
    app.button(key="train-twin").click().run()
    (twin,) = [run for run in list_runs(checkpoints) if run != mixture]
    assert twin.read_config().model.n_experts is None and twin.read_label().name == "many-wrens-dense"


def test_what_cannot_be_has_a_sentence_and_starts_nothing(dense, checkpoints, monkeypatch):
    monkeypatch.setattr(launch, "launch", lambda run: None)
    app = show_tab(tick(open_page(), dense), "Dense or experts")
    app.number_input(key="twin-visits").set_value(7)
    app.button(key="train-twin").click().run()
    assert "cannot be shared by 7 experts" in text_of(app) and list_runs(checkpoints) == [dense]
    assert racing.PROBLEM not in app.session_state


def test_a_twin_whose_process_does_not_start_is_there_all_the_same(dense, checkpoints, monkeypatch):
    def launch_nothing(run):
        raise OSError("no process is left")

    monkeypatch.setattr(launch, "launch", launch_nothing)
    app = show_tab(tick(open_page(), dense), "Dense or experts")
    app.button(key="train-twin").click().run()
    assert len(list_runs(checkpoints)) == 2
    assert "not all of them could be started: no process is left" in text_of(app)
    assert "Nothing was started" not in text_of(app)


def test_a_configuration_that_cannot_be_read_is_left_out(dense, mixture):
    mixture.config_path.write_text("{}")
    app = show_tab(tick(open_page(reference=dense.id), dense, mixture), "Dense or experts")
    assert "What would experts do for" in text_of(app)


def test_an_example_on_train_makes_a_mixture_of_equal_work(checkpoints):
    app = open_page()
    app.switch_page("pages/train_model.py").run()
    app.button(key="example-3").click().run()
    assert app.session_state["model-n_experts"] == 8 and app.session_state["model-d_expert"] == 256
    assert not app.exception
