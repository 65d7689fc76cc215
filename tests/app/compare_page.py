"""Opening Compare in a test, making runs for it, ticking them, and reading what it shows."""

import json
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from runs.files import write_json
from runs.folder import RunFolder
from tests.app.fake_runs import make_run
from ui import picked

ROOT = Path(__file__).parents[2]
COMPARE = "pages/compare_runs.py"


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, [entry.value for entry in app.exception]
    return app


def open_page(**query: str) -> AppTest:
    picked._book.clear()  # it knows that a run's configuration never changes; here some do
    app = AppTest.from_file(ROOT / "main.py", default_timeout=60).run()
    app.switch_page(COMPARE)
    for name, value in query.items():
        app.query_params[name] = value
    return healthy(app.run())


def make(checkpoints: Path, name: str, *, group: str = "", change=lambda config: config, **more: Any) -> RunFolder:
    """A finished run with a vocabulary, perhaps in a race, with another configuration."""
    more = {"best_val_loss_nats": 1.7} | more
    run = make_run(checkpoints, name=name, **more)
    write_json(run.config_path, change(run.read_config()).to_dict())
    write_json(run.data_path, {"d_vocab": 65, "corpus_sha256": "a" * 64, "name": "training.txt"})
    if group:
        write_json(run.origin_path, {"group": group})
    return run


def tick(app: AppTest, *runs: RunFolder) -> AppTest:
    """As clicks in the table, which AppTest cannot make."""
    app.session_state[picked.TICKED] = [run.id for run in runs]
    app.session_state[picked.TICKED_ANEW] = True
    return healthy(app.run())


def show_tab(app: AppTest, name: str) -> AppTest:
    app.session_state["compare_tab"] = name
    return healthy(app.run())


def table(app: AppTest):
    return app.dataframe[0].value


def plots(app: AppTest) -> dict[str, dict]:
    """The figures by their titles."""
    found = [part for part in app.get("bidi_component") if part.proto.component_name == "llm_plot"]
    figures = [json.loads(json.loads(part.proto.json)["figure"]) for part in found]
    return {figure["layout"]["title"]["text"]: figure for figure in figures}


def curves(app: AppTest) -> list[dict]:
    (figure,) = [figure for title, figure in plots(app).items() if title.startswith(("Validation loss", "Train loss"))]
    return figure["data"]


def text_of(app: AppTest) -> str:
    parts = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info, *app.text]
    return "\n".join(str(part.value) for part in parts)


def html_of(app: AppTest) -> str:
    return "".join(block.proto.body for block in app.get("html"))
