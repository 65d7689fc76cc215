"""Checks every shape in the signatures of components/ while tests run, keeps torch to one thread; Ctrl-C interrupts.

The hook has to stand before the first import of components, hence here and not in tests/components.
"""

import signal
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("components", "beartype.beartype")

import torch  # noqa: E402  (after the hook, which must see every import of components)

torch.set_num_threads(1)
# In a job in the background Ctrl-C is ignored, and would be in every program that a test starts there and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# With --cov these are not traced: pages and command lines are not what is counted, the work of others is done in
# processes of their own, and tracing makes them several times slower.
NOT_TRACED = ("app", "browser", "cli", "docs", "ui")
NOT_TRACED_FILES = ("test_kills.py", "test_distributed.py", "test_memory.py", "test_notebooks.py")


def pytest_collection_modifyitems(items):
    for item in items:
        path = Path(item.path).relative_to(Path(__file__).parent)
        if path.parts[0] in NOT_TRACED or path.name in NOT_TRACED_FILES:
            item.add_marker(pytest.mark.no_cover)
