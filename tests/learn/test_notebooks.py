"""The notebooks run from top to bottom, each in a kernel of its own, and are kept without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "learn" / "notebooks").glob("*.ipynb"))


# A kernel and its imports take longer than what the cells compute: every other notebook is a slow test.
RUNS = [path if place % 2 == 0 else pytest.param(path, marks=pytest.mark.slow) for place, path in enumerate(NOTEBOOKS)]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_a_notebook_runs(path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert cell.cell_type != "code" or (not cell.outputs and cell.execution_count is None)
