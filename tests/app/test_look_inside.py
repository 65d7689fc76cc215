"""Look inside, through main.py: what is looked at, every tab, bad input, and the Proof panel on Train."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.fake_runs import add_checkpoint, make_run, write_state

ROOT = Path(__file__).parents[2]
PAGE = "pages/look_inside.py"
TABS = ("Attention", "Logit lens", "Next token", "Embeddings", "Activations", "Switch parts off")


@pytest.fixture
def run(checkpoints):
    run = make_run(checkpoints, name="brave-otter")
    add_checkpoint(run, 200, val_loss_nats=1.6, seed=1)
    add_checkpoint(run, 300, val_loss_nats=1.7, seed=2)
    return run


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, [entry.value for entry in app.exception]
    return app


def open_page(tab: str = "Attention", text: str | None = None) -> AppTest:
    app = AppTest.from_file(ROOT / "main.py", default_timeout=60).run()
    app.session_state["inside_tab"] = tab
    healthy(app.switch_page(PAGE).run())
    return app if text is None else healthy(app.text_area(key="inside_text").set_value(text).run())


def text_of(app: AppTest) -> str:
    html = [part.proto.body for part in app.get("html") if "<style" not in part.proto.body]
    return "\n".join([*(str(part.value) for part in [*app.markdown, *app.caption, *app.error, *app.text]), *html])


def drawn(app: AppTest, name: str) -> list[dict]:
    """What the components of this name were given to draw."""
    views = [part for part in app.get("bidi_component") if part.proto.component_name == name]
    return [json.loads(view.proto.json) for view in views]


def figures(app: AppTest) -> list[dict]:
    return [json.loads(data["figure"]) for data in drawn(app, "llm_plot")]


def test_without_a_checkpoint_the_page_invites_to_train(checkpoints):
    make_run(checkpoints)
    app = open_page()
    assert "Nothing to look into yet" in text_of(app)
    assert [button.label for button in app.button] == ["Train a tiny model"]


def test_the_best_step_comes_first_and_the_slider_goes_to_earlier_ones(run):
    app = open_page(text="First Citizen")
    assert "brave\\-otter, step 200 · 13 tokens" in text_of(app)
    before = drawn(app, "llm_heads")
    healthy(app.select_slider(key=f"inside_step_{run.id}").set_value(300).run())
    assert "step 300" in text_of(app)
    assert drawn(app, "llm_heads") != before
    assert app.query_params["run"] == run.id


def test_a_run_that_still_trains_is_not_the_first_choice(run, checkpoints):
    newer = make_run(checkpoints, name="late-wren", state="running")
    add_checkpoint(newer)
    assert open_page(text="First").query_params["run"] == run.id
    write_state(run, "failed")
    assert open_page(text="First").query_params["run"] == newer.id  # none is finished: the newest


def test_every_head_is_a_picture_and_a_click_makes_it_large(run):
    app = open_page(text="First Citizen")
    (grid,) = drawn(app, "llm_heads")
    assert [len(layer["heads"]) for layer in grid["layers"]] == [2, 2]
    assert (grid["size"], grid["chosen"]) == (13, "0/0")
    app.session_state["inside_head"] = (1, 1)
    (zoom,) = figures(healthy(app.run()))
    assert "Layer 1, head 1" in zoom["layout"]["title"]["text"]
    assert zoom["layout"]["xaxis"]["ticktext"] == list("First␣Citizen")
    rows = zoom["data"][1]["z"]
    for query, row in enumerate(rows):
        assert sum(row[: query + 1]) == pytest.approx(1, abs=1e-5)
        assert row[query + 1 :] == [None] * (12 - query)  # the future, which the other trace paints grey
    app.session_state["inside_scores"] = True
    table = healthy(app.run()).dataframe[0].value
    assert len(table) == 4 and table["induction"].between(0, 1).all()


def test_the_lens_ends_where_the_next_token_begins(run):
    app = open_page("Logit lens", "First Citizen")
    (table,) = drawn(app, "llm_lens")
    assert table["columns"] == ["after", "embedding", "layer 0", "layer 1", "then comes"]
    assert [row["name"] for row in table["rows"]] == list("First␣Citizen")
    assert table["rows"][0]["truth"] == "i" and "i comes: rank" in table["rows"][0]["cells"][0]["hover"]
    app.session_state["inside_tab"] = "Next token"
    (stages,) = drawn(healthy(app.run()), "llm_stages")
    assert stages["stages"][-1]["bars"][0]["text"] == table["rows"][-1]["cells"][-1]["text"]


def test_vectors_in_two_and_three_dimensions(run):
    app = open_page("Embeddings", "First")
    (figure,) = figures(app)
    assert sum(len(trace["x"]) for trace in figure["data"]) > 20
    assert "of the variance" in figure["layout"]["xaxis"]["title"]["text"]
    healthy(app.button_group(key="inside_dimensions").set_value(3).run())
    assert figures(app)[0]["data"][0]["type"] == "scatter3d"
    healthy(app.button_group(key="inside_matrix").set_value("position").run())
    assert "its positions are not learned" in text_of(app)


def test_norms_and_neurons(run):
    app = open_page("Activations", "First Citizen")
    by_layer, by_token = figures(app)
    assert [len(line["y"]) for line in by_layer["data"]] == [3, 2, 2]
    assert len(by_token["data"][0]["z"][0]) == 13
    (view,) = drawn(app, "llm_tokens")
    assert len(view["rows"]) == 12 and max(abs(token["strength"]) for token in view["rows"][0]) == 1
    healthy(app.number_input(key="inside_neuron").set_value(999).run())
    (view,) = drawn(app, "llm_tokens")
    assert view["names"] == ["63"] and "64 neurons, 0 to 63" in text_of(app)


def test_parts_are_measured_and_switched_off(run):
    app = open_page("Switch parts off", "First Citizen")
    (grid,) = drawn(app, "llm_parts")
    assert grid["columns"] == ["head 0", "head 1", "attention", "MLP", "whole layer"]
    assert {cell["text"] for row in grid["rows"] for cell in row["cells"]} == {"on"}
    healthy(app.button(key="inside_measure").click().run())
    (grid,) = drawn(app, "llm_parts")
    mlp = grid["rows"][0]["cells"][3]
    app.session_state["inside_off"] = {(0, "mlp", None)}
    healthy(app.run())
    whole, without = (metric.value for metric in app.metric)
    assert app.metric[1].label == "Without layer 0 MLP"
    # Four digits on one side, two on the other.
    difference = float(without.split()[0]) - float(whole.split()[0])
    assert difference == pytest.approx(float(mlp["text"]), abs=0.011)
    healthy(app.button(key="inside_all_on").click().run())
    assert len(app.metric) == 1


@pytest.mark.parametrize("tab", TABS)
def test_what_cannot_be_read_is_a_sentence_on_every_tab(run, tab):
    app = open_page(tab, "Ω")
    assert "has never seen &#x27;Ω&#x27;" in text_of(app)
    assert not app.tabs


@pytest.mark.parametrize("tab", TABS)
def test_one_token_is_enough_or_says_why_not(run, tab):
    app = open_page(tab, "F")
    assert "1 token" in text_of(app)
    assert ("at least two tokens" in text_of(app)) == (tab == "Switch parts off")


def test_a_long_text_is_cut_and_told(run):
    text = "First Citizen: speak on, friend; the night is long."
    assert f"the first 32 of {len(text)} tokens" in text_of(open_page(text=text))


def test_the_offered_text_follows_the_run_until_it_is_changed(run, checkpoints):
    app = open_page()
    offered = app.text_area(key="inside_text").value
    assert 40 < len(offered) < 65  # the beginning of what it wrote last
    other = make_run(checkpoints, name="calm-heron", steps=0)
    add_checkpoint(other)
    healthy(app.run())
    healthy(app.selectbox(key="generate_run").set_value(other.id).run())
    assert app.text_area(key="inside_text").value != offered
    healthy(app.text_area(key="inside_text").set_value("we know").run())
    healthy(app.selectbox(key="generate_run").set_value(run.id).run())
    assert app.text_area(key="inside_text").value == "we know"


def test_a_damaged_checkpoint_is_passed_over_or_told(run):
    (run.step_path(200) / "model.safetensors").write_bytes(b"nothing")
    assert "step 300" in text_of(open_page(text="First"))
    (run.step_path(300) / "model.safetensors").write_bytes(b"nothing")
    assert "No checkpoint of this run can be used" in text_of(open_page())


def test_the_proof_is_about_the_model_in_the_form(checkpoints, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training.txt").write_text("First Citizen: we are small.\n" * 400, encoding="utf-8")
    app = AppTest.from_file(ROOT / "main.py", default_timeout=60).run()
    app.session_state["panel-tab"] = "Proof"
    healthy(app.switch_page("pages/train_model.py").run())
    assert "class='proof'" not in text_of(app)
    app.number_input(key="model-n_layers").set_value(1)
    healthy(app.run())
    healthy(app.button(key="prove").click().run())
    assert text_of(app).count("class='holds'") == 5 and "All five hold" in text_of(app)
    assert app.button(key="prove").disabled
    app.number_input(key="model-n_layers").set_value(2)
    healthy(app.run())
    assert "class='proof'" not in text_of(app)
    assert app.button(key="prove").label == "Prove it again: the model has changed"
