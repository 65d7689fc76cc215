"""Generate, through main.py: choosing, checking the prompt, writing, and what survives."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.app import fake_runs
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


def written(app: AppTest, row: int = 0) -> str:
    return "".join(token["text"] for token in desk(app)["rows"][row] if not token.get("quiet"))


def next_token(app: AppTest) -> list[dict]:
    """The panels that show what may come next; none while their box is closed."""
    views = [part for part in app.get("bidi_component") if part.proto.component_name == "llm_stages"]
    return [stage for view in views for stage in json.loads(view.proto.json)["stages"]]


def choose(app: AppTest, at: int, choice: int = -1, row: int = 0) -> AppTest:
    """As the browser says it when a token is clicked and an entry of its menu is taken."""
    app.session_state["cut"] = {"row": row, "at": at, "choice": choice}
    return wait_until_written(healthy(app.run()))


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


def with_the_words(app: AppTest, **said: str) -> AppTest:
    """Run as a browser does: it goes on to say the words that it has, not those that AppTest would look up anew."""
    words = {app.selectbox(key=key).proto.id: value for key, value in said.items()}
    run_script = app._run

    def run_with_words(states, **more):
        for state in states.widgets:
            if state.id in words:
                state.string_value = words[state.id]
        return run_script(states, **more)

    app._run = run_with_words
    try:
        return healthy(app.run())
    finally:
        app._run = run_script


def test_what_was_chosen_stays_while_a_training_renames_it(run, checkpoints):
    newer = make_run(checkpoints, name="calm-heron")
    add_checkpoint(newer)
    app = open_page(run.id)
    best = f"checkpoint_{run.id}"
    words = {"generate_run": "brave-otter · 1.600", best: "step 200 · 1.600 · best"}
    add_checkpoint(run, 250, val_loss_nats=1.1)  # a better one, from the worker
    for _ in range(3):
        with_the_words(app, **words)
        assert app.selectbox(key="generate_run").value == run.id == app.query_params["run"]
        assert app.selectbox(key=best).value == 200
    assert app.selectbox(key="generate_run").options[1] == "brave-otter · 1.100"
    with_the_words(app, generate_run="calm-heron · 1.700")
    assert app.selectbox(key="generate_run").value == newer.id


def test_runs_of_one_name_can_be_told_apart(run, checkpoints):
    other = make_run(checkpoints)
    other.write_label(name="brave-otter")
    add_checkpoint(other)
    options = open_page().selectbox(key="generate_run").options
    assert len(set(options)) == 2 and all(line.startswith("brave-otter · ") and ":" in line for line in options)


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
    assert box.options[0] == "step 300 · 1.700 · best" and box.options[1] == "⊘ step 200 · damaged"
    assert app.selectbox(key="generate_run").options == ["brave-otter · 1.700"]  # not 1.600, which nobody can load
    assert not app.error and not app.button(key="generate").disabled
    healthy(box.select_index(1).run())
    assert "Step 200 cannot be used" in text_of(app) and app.button(key="generate").disabled


def test_a_run_with_only_damaged_checkpoints_can_be_looked_at_but_not_used(run):
    for step in (200, 300):
        (run.step_path(step) / "model.safetensors").unlink()
    app = open_page()
    (problem,) = app.error  # one box for one thing
    assert problem.value.startswith("No checkpoint of this run can be used. Step 300 cannot be used.")
    assert app.selectbox(key="generate_run").options == ["⊘ brave-otter · no usable checkpoint"]
    assert app.button(key="generate").disabled


def test_a_run_that_can_write_is_offered_before_a_newer_one_that_cannot(run, checkpoints):
    newer = make_run(checkpoints, name="calm-heron")
    (add_checkpoint(newer) / "model.safetensors").unlink()
    app = open_page()
    assert app.selectbox(key="generate_run").options == ["brave-otter · 1.600", "⊘ calm-heron · no usable checkpoint"]
    assert app.selectbox(key="generate_run").value == run.id and not app.error


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


def test_a_text_that_ends_while_the_page_is_drawn_leaves_no_stop(run):
    app = generate(open_page(), 10)
    done = app.session_state["sheet"].writing.look()
    looks = iter([replace(done, state="writing")])  # so it is at the first look, and finished at every other
    app.session_state["sheet"].writing.look = lambda: next(looks, done)
    assert "generate" in {button.key for button in healthy(app.run()).button}


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


# --- depth ----------------------------------------------------------------------------------------------------------


def coloured(app: AppTest, tokens: int = 12) -> AppTest:
    app = generate(app, tokens)
    return healthy(app.toggle(key="by_probability").set_value(True).run())


def test_a_token_offers_what_else_was_likely_and_is_replaced_by_it(run):
    app = coloured(open_page())
    before = desk(app)["rows"][0]
    assert len(before[4]["choices"]) == 5 and "likeliest here" in before[4]["tooltip"]
    wanted, _ = next(
        choice for choice in before[4]["choices"] if choice[0] != before[4]["text"] and choice[0].isalpha()
    )
    index = [text for text, _ in before[4]["choices"]].index(wanted)
    after = desk(choose(app, 4, index))["rows"][0]
    assert [token["text"] for token in after[:4]] == [token["text"] for token in before[:4]]
    assert after[4]["text"] == wanted and len(after) == 5 + 12
    assert [token["probability"] for token in after[:4]] == [token["probability"] for token in before[:4]]


def test_a_text_is_written_on_from_a_token(run):
    app = coloured(open_page())
    first = written(app)
    again = written(choose(app, 6))
    assert again[:6] == first[:6] and again[6:12] != first[6:] and len(again) == 6 + 12


@pytest.mark.parametrize(
    "said",
    [{"row": 0, "at": 99, "choice": -1}, {"row": 7, "at": 0, "choice": 0}, {"row": 0, "at": 1, "choice": 99},
     {"row": True, "at": 0, "choice": 0}, {"at": 0}, "0", None],
)  # fmt: skip
def test_a_place_that_does_not_exist_changes_nothing(run, said):
    app = coloured(open_page())
    first = written(app)
    app.session_state["cut"] = said
    healthy(app.run())
    assert written(wait_until_written(app)) == first and "cut" not in app.session_state


def test_samples_stand_side_by_side_each_with_its_seed(run):
    app = open_page()
    alone = [written(generate(app, 15)), ""]
    app.number_input(key="seed").set_value(2)
    alone[1] = written(generate(app, 15))
    app.number_input(key="seed").set_value(1)
    app.number_input(key="samples").set_value(2)
    generate(app, 15)
    assert desk(app)["beside"] and desk(app)["names"] == ["seed 1", "seed 2"]
    assert [written(app, 0), written(app, 1)] == alone and "seeds 1 to 2" in text_of(app)
    healthy(app.button(key="continue").click().run())
    wait_until_written(app)
    assert all(written(app, row).startswith(alone[row]) and len(written(app, row)) == 30 for row in (0, 1))
    healthy(app.button(key="regenerate").click().run())
    wait_until_written(app)
    assert desk(app)["names"] == ["seed 3", "seed 4"]


def test_a_stop_string_ends_the_text_before_it(run):
    app = open_page()
    whole = written(generate(app, 40))
    stop = whole[10:12]
    app.text_area(key="stop_strings").set_value(stop)
    assert written(generate(app, 40)) == whole[: whole.index(stop)]


def test_the_order_of_the_stages_is_printed(run):
    app = open_page()
    assert "Order: temperature 0" in text_of(app)
    app.slider(key="sampler_repetition_penalty").set_value(1.2)
    app.slider(key="sampler_min_p").set_value(0.05)
    healthy(app.run())
    order = text_of(app).replace("\\", "")
    assert "Order: repetition penalty 1.2 → temperature 0.8 → top-p 0.9 → min-p 0.05" in order
    assert app.session_state["sampler"] == "balanced"


def test_what_may_come_next_is_shown_from_stage_to_stage(run):
    app = open_page()
    assert next_token(app) == []
    app.session_state["what_next"] = True
    panels = next_token(healthy(app.run()))
    assert [panel["name"] for panel in panels] == ["the model's own distribution", "temperature 0.8", "top-p 0.9"]
    assert [len(panel["bars"]) for panel in panels] == [12] * 3
    own, sharper, narrower = ([bar["now"] for bar in panel["bars"]] for panel in panels)
    assert own == sorted(own, reverse=True) and sharper[0] > own[0] and narrower[0] > sharper[0]
    assert [bar["before"] for bar in panels[2]["bars"]] == sharper
    app.button_group(key="sampler").set_value("greedy").run()
    assert [bar["share"] for bar in next_token(app)[-1]["bars"]] == ["100.0 %"] + ["–"] * 11


def test_what_may_come_next_follows_the_text(run):
    app = open_page()
    app.session_state["what_next"] = True
    at_first = next_token(healthy(app.run()))
    generate(app, 6)
    after = next_token(healthy(app.run()))
    assert after[0]["bars"] != at_first[0]["bars"]
    app.button_group(key="sampler").set_value("greedy").run()
    likeliest = next_token(app)[-1]["bars"][0]["text"]
    healthy(app.button(key="continue").click().run())
    wait_until_written(app)
    assert written(app)[6].replace("\n", "↵").replace(" ", "␣") == likeliest


def test_the_window_says_how_full_it_is_and_what_has_left_it(run):
    def bar(app):
        return next(part.proto.body for part in app.get("html") if 'class="window"' in part.proto.body)

    app = open_page()
    app.text_area(key="prompt").set_value("First").run()
    assert "25 of 32 tokens<" in bar(generate(app, 20))
    assert "27 of 32 tokens, the first 17 are out of sight" in bar(generate(app, 39))


def test_the_text_of_another_run_is_neither_continued_nor_cut(run, checkpoints):
    newer = make_run(checkpoints, name="calm-heron")
    add_checkpoint(newer)
    app = coloured(open_page(run.id))
    first = written(app)
    app.selectbox(key="generate_run").set_value(newer.id)
    assert healthy(app.run()).button(key="continue").disabled
    assert written(choose(app, 3)) == first and "another run" in text_of(app)


def test_a_text_is_shown_as_it_is_whatever_it_looks_like(run, monkeypatch):
    hostile = "<script>alert(1)</script> $x$ :red[x] ![](http://example.org/x.png) **b** `c` &lt; </div>"
    monkeypatch.setattr(fake_runs, "TEXT", fake_runs.TEXT + hostile)
    shutil.rmtree(run.step_path(200))
    add_checkpoint(run, 200, val_loss_nats=1.6)
    app = open_page()
    app.text_area(key="prompt").set_value(hostile)
    app.session_state["what_next"] = True
    generate(app, 5)
    assert desk(app)["rows"][0][0]["text"] == hostile
    shown = text_of(app) + "".join(part.proto.body for part in app.get("html"))
    assert "<script>" not in shown and "![](" not in shown and ":red[" not in shown
