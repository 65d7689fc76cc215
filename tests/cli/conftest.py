"""An empty working folder, and a run in it."""

import pytest

from tests.cli.infer_runs import make_run


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty working folder: runs are looked for in its checkpoints/."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(home):
    return make_run(home / "checkpoints")
