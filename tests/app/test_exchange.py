"""Importing on Home and exporting below a run, through main.py; the commands run in this process."""

import contextlib
import io
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from interop import hugging_face
from runs.folder import list_runs
from tests.cli.infer_runs import make_run
from ui import exchange_engine
from ui.exchange_engine import Answer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def called(monkeypatch):
    """What the pages called; `python -m interop.hugging_face` without a new process."""
    calls = []

    def call(*arguments):
        calls.append(arguments)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = hugging_face.main(list(arguments))
        if status:
            return Answer(problem=err.getvalue().splitlines()[-1].removeprefix(exchange_engine.PREFIX))
        return Answer(path=out.getvalue().splitlines()[-1])

    monkeypatch.setattr(exchange_engine, "_call", call)
    return calls


def healthy(app):
    assert not app.exception, [entry.value for entry in app.exception]
    return app


def open_app():
    return healthy(AppTest.from_file(ROOT / "main.py", default_timeout=60).run())


def open_export(run):
    app = AppTest.from_file(ROOT / "main.py", default_timeout=60)
    app.query_params["run"] = run.id
    app.session_state["run_export"] = True
    return healthy(app.switch_page("pages/train_model.py").run())


def test_a_folder_becomes_a_run_and_the_run_a_folder(checkpoints, tmp_path, called):
    make_run(checkpoints, name="mine")
    hugging_face.main(["export", str(list_runs(checkpoints)[0].path), str(tmp_path / "gpt-mine")])
    app = open_app()
    app.text_input(key="import-path").set_value(str(tmp_path / "gpt-mine")).run()
    healthy(app.button(key="import-start").click().run())
    assert any("Imported as" in entry.value for entry in app.success)
    imported = next(run for run in list_runs(checkpoints) if run.read_label().name == "gpt-mine")

    page = open_export(imported)
    assert any("GPT2LMHeadModel" in text.value for text in page.markdown)
    assert any("Imported" in text.value for text in page.markdown)
    page.text_input(key=f"export-path-{imported.id}").set_value(str(tmp_path / "again")).run()
    healthy(page.button(key="export-start").click().run())
    assert any("again" in code.value for code in page.code)
    assert (tmp_path / "again" / "model.safetensors").exists()
    healthy(page.button(key="export-start").click().run())
    assert any("not empty" in error.value for error in page.error)


@pytest.mark.parametrize("path", ["/nowhere", "~nobody-at-all/model", "-model"])
def test_what_cannot_be_imported_is_told(checkpoints, called, path):
    app = open_app()
    app.text_input(key="import-path").set_value(path).run()
    healthy(app.button(key="import-start").click().run())
    assert any("There is no folder" in error.value for error in app.error)


def test_what_no_family_can_say_has_no_button(checkpoints):
    run = make_run(checkpoints, name="mine", position="alibi", mlp="swiglu")
    page = open_export(run)
    assert any(
        "no family of Hugging Face" in warning.value or "nearest is" in warning.value for warning in page.warning
    )
    assert not [button for button in page.button if button.key == "export-start"]


def test_the_command_runs_in_a_process_and_answers_with_its_last_line(checkpoints, tmp_path):
    answer = exchange_engine.import_folder(tmp_path / "nowhere", checkpoints)
    assert answer == Answer(problem=f"There is no folder {tmp_path / 'nowhere'}.")
    assert "NUL" in exchange_engine.import_folder(Path("a\0b"), checkpoints).problem
