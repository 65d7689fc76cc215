"""What every page is tested with: a checkpoints folder of its own."""

import pytest

from runs import folder


@pytest.fixture
def checkpoints(monkeypatch, tmp_path):
    monkeypatch.setattr(folder, "CHECKPOINTS", tmp_path / "checkpoints")
    return tmp_path / "checkpoints"
