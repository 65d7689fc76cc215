"""A run on the Train page, through main.py: what each state shows, and what the buttons write into the run's folder."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from runs import control, folder
from runs.lock import RunLock
from runs.state import StateWriter
from tests.app.fake_runs import alive, make_run, write_state
from ui.run_details import read_tail

ROOT = Path(__file__).parents[2]
TRAIN = "pages/train_model.py"


def show(run) -> AppTest:
    app = AppTest.from_file(ROOT / "main.py", default_timeout=30)
    app.query_params["run"] = run.id
    app.run()
    app.switch_page(TRAIN)
    app.query_params["run"] = run.id
    app.run()
    assert not app.exception, [entry.value for entry in app.exception]
    return app


def button(app, label):
    return next(entry for entry in app.button if entry.label == label)


def labels(app):
    return [entry.label for entry in app.button]


def text_of(app):
    parts = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info, *app.code, *app.title]
    return "\n".join(str(part.value) for part in parts)


def numbers(app):
    return {entry.label: entry.value for entry in app.metric}


def notes(app):
    return {entry.label: entry.delta for entry in app.metric}


def charts_in(app):
    return sum(part.proto.component_name == "llm_plot" for part in app.get("bidi_component"))


def test_a_finished_run_shows_its_numbers_curves_and_texts(checkpoints):
    run = make_run(checkpoints, name="brave-otter", last_checkpoint="step_00000300")
    app = show(run)
    assert numbers(app)["Validation loss"] == "1.781" and numbers(app)["Tokens per second"].replace(",", "").isdigit()
    assert charts_in(app) == 4
    assert "finished" in text_of(app) and "First Citizen" in text_of(app) and "step 0 ·" in text_of(app)
    assert not {"Pause", "Resume", "Stop and save"} & set(labels(app))


def test_what_a_run_has_overtaken_is_said_above_its_curve(checkpoints):
    # The evaluations are 3.80 at 0, 2.56 at 100, 2.02 at 200, 1.78 at 300; the bigram stands at 2.4, gzip at 2.05.
    assert "has overtaken gzip at step 200" in text_of(show(make_run(checkpoints)))
    early = make_run(checkpoints, steps=100)
    assert "has overtaken uniform guessing at step 100" in text_of(show(early))
    early.baselines_path.unlink()
    assert "has overtaken" not in text_of(show(early))


def test_the_whole_split_stands_below_the_estimate_at_the_end(checkpoints):
    run = make_run(checkpoints)
    assert {note for label, note in notes(show(run)).items() if "whole" in note} == set()
    lines = run.metrics_path.read_text().splitlines()
    last = json.loads(lines[-1]) | {"val_split_loss_nats": 1.79, "val_split_bits_per_byte": 2.5824}
    run.metrics_path.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
    shown = notes(show(run))
    assert (shown["Validation loss"], shown["Bits per byte"]) == ("whole split 1.790", "whole split 2.582")


def test_names_are_shown_literally(checkpoints):
    app = show(make_run(checkpoints, name="**bold** :red[x] <b>"))
    assert app.title[0].value == r"\*\*bold\*\* :" + "\u200b" + r"red\[x\] \<b\>"


def test_pause_and_stop_write_messages(checkpoints):
    run = make_run(checkpoints)
    with alive(run, "running"):
        app = show(run)
        assert app.get("progress")[0].proto.text.startswith("300 of 2,000 steps · ")
        button(app, "Pause").click().run()
        assert control.requested(run) == {"pause"}
        assert button(app, "Pausing…").disabled
        button(app, "Stop and save").click().run()
        assert control.requested(run) == {"pause", "stop"}
        assert button(app, "Stopping…").disabled


def test_resume_of_a_paused_run_takes_the_message_back(checkpoints):
    run = make_run(checkpoints)
    with alive(run, "running", "paused"):
        control.request(run, "pause")
        app = show(run)
        button(app, "Resume").click().run()
        assert control.requested(run) == set()


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_resume_of_an_ended_run_starts_a_worker(checkpoints, state, monkeypatch):
    started = []
    monkeypatch.setattr("runs.launch.resume", started.append)
    run = make_run(checkpoints, state=state)
    button(show(run), "Resume").click().run()
    assert started == [run]


def test_a_refused_resume_says_why(checkpoints):
    run = make_run(checkpoints, state="stopped", max_steps=2_000)
    app = show(run)
    write_state(run, "finished", step=300, max_steps=2_000)
    button(app, "Resume").click().run()
    assert "nothing to resume" in text_of(app)


def test_a_failed_run_says_what_happened_and_what_to_do_with_the_log_open(checkpoints):
    run = make_run(checkpoints, state="failed", reason="the loss became nan", last_checkpoint="step_00000200")
    app = show(run)
    (message,) = [entry.value for entry in app.error]
    assert "failed at step 300" in message and "The loss became nan" in message and "Resume" in message
    assert "step 39 loss" in text_of(app)


def test_a_run_whose_worker_is_gone_is_orphaned_and_can_be_resumed(checkpoints):
    app = show(make_run(checkpoints, state="running", max_steps=2_000))
    assert "The process of this run is gone" in text_of(app) and "Resume" in labels(app)


def test_a_queued_run_says_behind_which(checkpoints):
    first = make_run(checkpoints, name="calm-heron")
    run = make_run(checkpoints, steps=0)
    run.state_path.unlink()
    with RunLock(run):
        StateWriter(run).set("queued", queued_behind=first.id)
        app = show(run)
    assert "Queued behind" in text_of(app) and "calm\\-heron" in text_of(app)


def test_a_queued_run_is_compact_can_be_cancelled_and_knows_its_steps(checkpoints):
    run = make_run(checkpoints, steps=0, max_steps=2_000)
    for path in (run.metrics_path, run.samples_path, run.state_path):
        path.unlink()
    with RunLock(run):
        writer = StateWriter(run)
        writer.set("queued")
        app = show(run)
        assert charts_in(app) == 0 and not app.metric
        assert "0 of 2,000 steps" in text_of(app).replace("\\", "") and "Waiting for its turn" in text_of(app)
        button(app, "Cancel").click().run()
        assert control.requested(run) == {"stop"} and button(app, "Stopping…").disabled
        writer.set("running", step=1)
        control.clear(run, "stop")
        assert "Stop and save" in labels(show(run))


def test_a_run_that_failed_before_its_first_step_offers_no_resume(checkpoints):
    app = show(make_run(checkpoints, steps=0, state="failed", reason="the text is too short"))
    assert "Resume" not in labels(app) and "would fail again" in text_of(app)
    assert "Build from these settings" in labels(app)


def test_the_settings_of_a_run_fill_the_form(checkpoints):
    app = show(make_run(checkpoints))
    button(app, "Build from these settings").click().run()
    assert not app.exception and app.title[0].value == "Build a model"
    assert (app.session_state["model-d_model"], app.session_state["preset"]) == (32, "llama")


def test_delete_is_refused_while_a_worker_lives_and_asks_first(checkpoints):
    run = make_run(checkpoints)
    with alive(run, "running"):
        assert button(show(run), "Delete run").disabled
    write_state(run, "finished", step=300, max_steps=300)
    app = show(run)
    button(app, "Delete run").click().run()
    assert "1 checkpoint" not in text_of(app) and any("frees at least" in text.value for text in app.text)
    assert run.path.exists()
    app.button(key="delete_sure").click().run()
    assert not run.path.exists() and not app.exception


def test_an_unreadable_run_is_a_sentence_not_an_exception(checkpoints):
    run = make_run(checkpoints)
    run.config_path.write_text("{")
    run.state_path.write_text("[]")
    assert "cannot be read" in text_of(show(run))


def test_a_run_that_has_just_started_has_empty_charts_of_the_same_size(checkpoints):
    run = make_run(checkpoints, steps=0)
    run.metrics_path.unlink()
    run.samples_path.unlink()
    with alive(run):
        app = show(run)
    assert charts_in(app) == 4 and "first words appear here" in text_of(app)


def test_the_saved_configuration_is_shown_not_the_form(checkpoints):
    app = show(make_run(checkpoints))
    tables = [table.value for table in app.dataframe]
    width = next(row["Value"] for table in tables for _, row in table.iterrows() if row.get("Setting") == "Width")
    assert width == "32"


def test_a_run_with_a_checkpoint_links_to_generate(checkpoints):
    run = make_run(checkpoints, last_checkpoint="step_00000300")
    (link,) = [entry.proto for entry in show(run).get("page_link") if entry.proto.label == "Generate text"]
    assert f"run={run.id}" in link.query_string
    assert not show(make_run(checkpoints)).get("page_link")


def test_how_to_look_is_kept_for_the_session(checkpoints):
    app = show(make_run(checkpoints))
    app.toggle(key="view_log").set_value(True).run()
    assert app.session_state["view_log"] is True
    assert not app.exception


def test_the_log_is_cut_at_a_line(tmp_path):
    run = folder.RunFolder(tmp_path)
    assert read_tail(run) == ""
    run.log_path.write_text("first\n" + "x" * 50 + "\nlast\n")
    assert read_tail(run, limit=30).splitlines()[1:] == ["last"]
