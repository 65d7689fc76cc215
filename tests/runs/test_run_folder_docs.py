"""docs/run_folder.md: its Python runs, its commands exist, and it names every file that the code knows."""

import re
from pathlib import Path

from runs.__main__ import ACTIONS
from runs.folder import RunFolder
from runs.state import FOLLOWERS, STORED

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "run_folder.md").read_text(encoding="utf-8")


def test_the_python_on_the_page_runs(run: RunFolder, make_checkpoint, monkeypatch, capsys):
    run.metrics_path.write_text('{"step": 1, "train_loss_nats": 2.5}\n')
    path = make_checkpoint(run, 1)
    monkeypatch.chdir(run.path.parent.parent)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/run_folder.md", "exec"), {})
    assert capsys.readouterr().out == f"{run.read_label().name} starting 2.5\n{path}\n"


def test_every_file_and_state_is_on_the_page(run: RunFolder):
    properties = [name for name in vars(RunFolder) if name.endswith("_path") and name != "step_path"]
    for name in properties:
        assert getattr(run, name).name in PAGE, name
    table = dict(re.findall(r"^\| (\w+) \| ([^|]+) \|", PAGE, re.MULTILINE))
    assert set(table) >= STORED | {"orphaned", "stalled", "unreadable"}
    assert {state for state in FOLLOWERS["queued"] if "queued" in table[state]} == {"starting", "running", "paused"}
    assert "|".join(ACTIONS) in PAGE.replace("\\", "")
