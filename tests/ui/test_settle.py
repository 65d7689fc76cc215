"""Objects of loaded modules are set aside once, not at every look."""

import gc
import sys

import pytest

from ui import settle


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(settle, "_settled_modules", 0)
    yield
    gc.unfreeze()


def test_what_is_loaded_is_set_aside_once_until_more_is_loaded(fresh, monkeypatch):
    settle.settle()
    assert len(gc.get_objects()) < 1_000 < gc.get_freeze_count()
    later = [[] for _ in range(5_000)]
    settle.settle()
    assert len(gc.get_objects()) >= len(later)  # what sessions make is still collected
    for number in range(settle.GROWTH):
        monkeypatch.setitem(sys.modules, f"made_up_{number}", sys)
    settle.settle()
    assert len(gc.get_objects()) < 1_000
