"""Home, through main.py: the demo, the three architectures, the latest runs, and what is shown when there are none."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from config.demos import load_demo
from config.presets import PRESET_NAMES
from runs import folder
from tests.app.fake_runs import make_run
from ui import builder, run_cards

ROOT = Path(__file__).parents[2]


def open_home() -> AppTest:
    return healthy(AppTest.from_file(ROOT / "main.py", default_timeout=30).run())


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, [entry.value for entry in app.exception]
    return app


def cards(app: AppTest) -> list[str]:
    return [link.label for link in app.get("page_link") if link.label.startswith("**")]


def test_no_runs_invite(checkpoints):
    app = open_home()
    assert app.title[0].value == "LLM From Scratch"
    assert any("No runs yet" in text.value for text in app.markdown)
    assert len(app.get("bidi_component")) == len(PRESET_NAMES)


def test_demo_starts_what_the_command_line_starts(checkpoints, monkeypatch):
    launched = []
    monkeypatch.setattr("runs.launch.launch", launched.append)
    app = healthy(open_home().button(key="demo").click().run())
    (run,) = launched
    assert run.read_config().to_dict() == load_demo("quick").to_dict()
    assert app.query_params["run"] == run.id


def test_demo_that_cannot_start_says_why(checkpoints, monkeypatch):
    def no_room(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("runs.launch.launch", no_room)
    app = healthy(open_home().button(key="demo").click().run())
    assert "no space left on device" in app.error[0].value


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_each_architecture_leads_to_its_form(checkpoints, name):
    app = healthy(open_home().button(key=f"build-{name}").click().run())
    assert app.title[0].value == "Build a model"
    assert app.session_state["preset"] == name


def test_latest_runs_newest_first_and_the_rest_behind_an_expander(checkpoints):
    names = [f"run number {n}" for n in range(run_cards.SHOWN + 2)]
    for name in names:
        make_run(checkpoints, steps=20, name=name)
    app = open_home()
    shown = [label.strip("*") for label in cards(app)]
    assert len(shown) == run_cards.SHOWN
    assert "run number 5" in shown[0] and "run number 2" in shown[-1]
    (older,) = [entry for entry in app.expander if "older" in entry.label]
    assert older.label == "2 older runs"
    assert [link.label.split(" · ")[0] for link in older.get("page_link")] == ["run number 1", "run number 0"]


def test_card_tells_state_steps_and_best_loss(checkpoints):
    make_run(checkpoints, steps=300, state="finished")
    app = open_home()
    assert any("300 of 300 steps" in text.value for text in app.caption)
    assert any("finished" in text.value for text in app.markdown)
    assert app.metric[0].value == "1.781"  # 1.55 + 2.2·exp(-300/120) + 0.05, the last and lowest evaluation


def test_card_of_a_run_that_was_stopped_early_shows_the_newest_loss_it_knows(checkpoints):
    make_run(checkpoints, steps=40, evaluate_every=100, state="stopped")
    run = folder.list_runs(checkpoints)[0]
    lines = [
        line
        for line in run.metrics_path.read_text().splitlines()
        if '"val_loss_nats"' not in line or '"step": 0' in line
    ]
    run.metrics_path.write_text("\n".join(lines) + "\n")
    (metric,) = open_home().metric
    assert (metric.label, metric.delta) == ("Train loss", "at step 40")


def test_readme_is_folded_and_its_opening_is_not(checkpoints):
    app = open_home()
    folded = {entry.label for entry in app.expander}
    assert {"Start", "What works", "Words"} <= folded
    opening = next(text.value for text in app.markdown if "press Start and watch it learn" in text.value)
    assert "uv run" not in opening


def test_drawings_count_what_train_counts(checkpoints):
    home = open_home()
    train = healthy(home.switch_page("pages/train_model.py").run())
    assert train.session_state["last-model"].d_vocab == builder.first_vocabulary() == 65


def test_name_of_a_run_is_never_markdown(checkpoints):
    make_run(checkpoints, steps=20, name="![x](http://example.com/a.png) :red[hi]")
    (label,) = cards(open_home())
    assert "![" not in label and ":red[" not in label


def test_damaged_run_does_not_break_the_page(checkpoints):
    run = make_run(checkpoints, steps=20)
    run.config_path.write_text("{")
    run.state_path.write_text("no json")
    app = open_home()
    assert any("configuration unreadable" in text.value for text in app.caption)
