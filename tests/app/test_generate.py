"""Generate, through main.py: choosing, checking the prompt, writing, and what survives."""

import json
import shutil
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.fake_runs import add_checkpoint, make_run

ROOT = Path(__file__).parents[2]
GENERATE = "pages/generate_text.py"


@pytest.fixture
def run(checkpoints):
    run = make_run(checkpoints, name="brave-otter")
    add_checkpoint(run, 200, val_loss_nats=1.6)
    add_checkpoint(run, 300, val_loss_nats=1.7)
    return run


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, [entry.value for entry in app.exception]
    return app


def open_page(run_id: str | None = None) -> AppTest:
    app = AppTest.from_file(ROOT / "main.py", default_timeout=60).run()
    app.switch_page(GENERATE)
    if run_id:
        app.query_params["run"] = run_id
    return healthy(app.run())


def text_of(app: AppTest) -> str:
    return "\n".join(str(part.value) for part in [*app.markdown, *app.caption, *app.error, *app.warning, *app.text])


def desk(app: AppTest) -> dict:
    """What the token view was given to draw."""
    (view,) = [part for part in app.get("bidi_component") if part.proto.component_name == "llm_tokens"]
    return json.loads(view.proto.json)


def written(app: AppTest) -> str:
    return "".join(token["text"] for token in desk(app)["rows"][0] if not token.get("quiet"))


def wait_until_written(app: AppTest) -> AppTest:
    """A timer polls in the browser; here we do."""
    deadline = time.monotonic() + 30
    while "stop_writing" in {button.key for button in app.button}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        healthy(app.run())
    return app


def generate(app: AppTest, tokens: int = 12) -> AppTest:
    app.number_input(key="max_new_tokens").set_value(tokens)
    healthy(app.button(key="generate").click().run())
    return wait_until_written(app)


def test_without_a_checkpoint_the_page_invites_to_train(checkpoints):
    make_run(checkpoints)
    app = open_page()
    assert "Nothing to generate from yet" in text_of(app)
    assert [button.label for button in app.button] == ["Train a tiny model"]


def test_the_best_checkpoint_comes_first_and_the_address_names_the_run(run):
    app = open_page()
    box = app.selectbox[1]
    assert box.options == ["step 200 · 1.600 · best", "step 300 · 1.700"]
    assert app.query_params["run"] == run.id
    assert "LLaMA tiny, modified" in text_of(app)


def test_the_address_chooses_the_run(run, checkpoints):
    newer = make_run(checkpoints, name="calm-heron")
    add_checkpoint(newer)
    assert open_page().selectbox(key="generate_run").value == newer.id
    assert open_page(run.id).selectbox(key="generate_run").value == run.id


@pytest.mark.parametrize("wrong", ["20200101000000", "../../etc", "**x**"])
def test_a_wrong_address_is_a_sentence(run, wrong):
    app = open_page(wrong)
    assert len(app.warning) == 1 and app.selectbox(key="generate_run").value == run.id


def test_a_damaged_checkpoint_is_marked_with_its_reason_and_refused(run):
    weights = run.step_path(200) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    app = open_page()
    box = app.selectbox[1]
    assert box.options[0] == "step 300 · 1.700 · best" and box.options[1].startswith("step 200 · damaged: ")
    assert app.selectbox(key="generate_run").options == ["brave-otter · 1.700"]  # not 1.600, which nobody can load
    assert not app.error and not app.button(key="generate").disabled
    healthy(box.select_index(1).run())
    assert "Step 200 cannot be used" in text_of(app) and app.button(key="generate").disabled


def test_a_run_with_only_damaged_checkpoints_can_be_looked_at_but_not_used(run):
    for step in (200, 300):
        (run.step_path(step) / "model.safetensors").unlink()
    app = open_page()
    assert "No checkpoint of this run can be used" in text_of(app)
    assert app.button(key="generate").disabled


def test_the_prompt_is_counted_against_the_window(run):
    app = open_page()
    app.text_area(key="prompt").set_value("First Citizen").run()
    assert "13 tokens · the model sees 32 at once" in text_of(app)
    app.text_area(key="prompt").set_value("First Citizen: we are small, and we know it.").run()
    assert "44 tokens · the model sees only the last 32 of them" in text_of(app)


def test_unknown_characters_are_named_refused_and_one_click_leaves_them_out(run):
    app = open_page()
    app.text_area(key="prompt").set_value("First ☃*Z").run()
    (problem,) = [entry.proto.body for entry in app.get("html") if "alert" in entry.proto.body]
    assert all(character in problem for character in "☃*Z") and "never seen" in problem
    assert app.button(key="generate").disabled
    healthy(app.button(key="leave_out").click().run())
    assert app.text_area(key="prompt").value == "First " and not app.button(key="generate").disabled
    generate(app)
    assert desk(app)["rows"][0][0] == {"text": "First ", "quiet": True}


def test_text_is_written_and_survives_widgets_and_pages(run):
    app = generate(open_page(), 20)
    first = written(app)
    assert len(first) == 20 and "20 tokens" in text_of(app) and "tokens/s" in text_of(app)
    assert "seed 1" in text_of(app) and "step 200" in text_of(app)
    app.number_input(key="seed").set_value(7).run()
    assert written(healthy(app)) == first and "seed 1" in text_of(app)
    app.text_area(key="prompt").set_value("First").run()
    app.switch_page("pages/train_model.py").run()
    app.switch_page(GENERATE).run()
    assert written(healthy(app)) == first
    assert app.text_area(key="prompt").value == "First" and app.number_input(key="seed").value == 7


def test_the_same_seed_writes_the_same_and_another_does_not(run):
    app = generate(open_page(), 20)
    first = written(app)
    assert written(generate(app, 20)) == first
    healthy(app.button(key="regenerate").click().run())
    assert written(wait_until_written(app)) != first and app.number_input(key="seed").value == 2


def test_continue_goes_on_from_the_text(run):
    app = generate(open_page(), 10)
    first = written(app)
    healthy(app.button(key="continue").click().run())
    wait_until_written(app)
    assert written(app).startswith(first) and len(written(app)) == 20


def test_stop_keeps_the_text(run):
    app = open_page()
    app.number_input(key="max_new_tokens").set_value(5_000)
    healthy(app.button(key="generate").click().run())
    while not written(app):
        healthy(app.run())
    healthy(app.button(key="stop_writing").click().run())
    wait_until_written(app)
    assert 0 < len(written(app)) < 5_000 and "stopped" in text_of(app)


def test_colouring_gives_every_token_its_probability(run):
    app = generate(open_page(), 5)
    healthy(app.toggle(key="by_probability").set_value(True).run())
    tokens = desk(app)["rows"][0]
    assert len(tokens) == 5 and all(0 <= token["probability"] <= 1 and "likely" in token["tooltip"] for token in tokens)


def test_sampler_presets_set_the_sliders_and_sliders_leave_the_preset(run):
    app = open_page()
    app.button_group(key="sampler").set_value("creative").run()
    assert app.slider(key="sampler_temperature").value == 1.1
    app.slider(key="sampler_temperature").set_value(0.5).run()
    assert app.session_state["sampler"] is None
    app.slider(key="sampler_temperature").set_value(1.1).run()
    assert app.session_state["sampler"] == "creative"
    app.button_group(key="sampler").set_value("greedy").run()
    assert app.slider(key="sampler_temperature").disabled


def test_greedy_does_not_depend_on_the_seed(run):
    app = open_page()
    app.button_group(key="sampler").set_value("greedy").run()
    first = written(generate(app, 10))
    app.number_input(key="seed").set_value(99)
    assert written(generate(app, 10)) == first


def test_a_retrained_checkpoint_is_not_answered_from_memory(run):
    app = open_page()
    app.button_group(key="sampler").set_value("greedy").run()
    first = written(generate(app, 10))
    shutil.rmtree(run.step_path(200))
    add_checkpoint(run, 200, val_loss_nats=1.6, seed=5)
    assert written(generate(healthy(app.run()), 10)) != first


def test_a_session_never_sees_the_text_of_another(run):
    one, two = open_page(), open_page()
    first = written(generate(one, 10))
    healthy(two.run())
    assert desk(two)["rows"] == [[{"text": "The text appears here.", "quiet": True}]]
    two.number_input(key="seed").set_value(8)
    assert written(generate(two, 10)) != first
    assert written(healthy(one.run())) == first
