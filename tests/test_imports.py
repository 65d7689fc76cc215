"""The folder list is the architecture: who may import whom (docs/architecture.md), read from the source itself."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "einops", "numpy", "streamlit", "safetensors", "tiktoken", "sentencepiece", "pandas", "plotly"}
HEAVY |= {"sklearn"}
# folder -> (our folders it may import, outside packages it must not import at module level)
RULES = {
    "config": ({"config"}, HEAVY | {"psutil"}),
    "runs": ({"config", "runs"}, HEAVY),
    "components": ({"components", "config"}, {"streamlit"}),
    "text": ({"config", "text"}, {"streamlit"}),
    "generation": ({"components", "config", "runs", "text", "generation"}, {"streamlit"}),
    "training": ({"components", "config", "runs", "text", "generation", "training"}, {"streamlit"}),
    "learn": ({"components", "config", "runs", "text", "generation", "training", "interpret", "learn"}, {"streamlit"}),
    "interop": ({"components", "config", "runs", "text", "generation", "training", "interop"}, {"streamlit"}),
    "interpret": ({"components", "config", "runs", "text", "generation", "training", "interpret"}, {"streamlit"}),
    "ui": ({"config", "runs", "ui"}, {"torch", "einops"}),
    "pages": ({"config", "runs", "ui"}, {"torch", "einops", "numpy"}),
}
# From the pages to what computes: their functions import an engine when they are called.
DOORS = {path.relative_to(ROOT) for path in (ROOT / "ui").glob("*engine*.py")}
OURS = set(RULES)


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def at_module_level(tree: ast.Module) -> set[str]:
    statements = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return imported(ast.Module(body=statements, type_ignores=[]))  # type: ignore[arg-type]


FILES = sorted(path for folder in RULES for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_its_folder_may(path):
    folder = path.relative_to(ROOT).parts[0]
    allowed, forbidden = RULES[folder]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path.relative_to(ROOT) not in DOORS:
        assert imported(tree) & OURS <= allowed
    assert not at_module_level(tree) & forbidden


@pytest.mark.parametrize("path", sorted((ROOT / "learn" / "reference").glob("*.py")), ids=lambda path: path.name)
def test_the_reference_is_numpy_alone(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert imported(tree) <= {"numpy", "config", "learn"} | sys.stdlib_module_names


def test_no_page_or_folder_shadows_another_module():
    stems = {path.stem for path in (ROOT / "pages").glob("*.py")}
    top_level = {path.stem for path in ROOT.glob("*.py")} | {path.name for path in ROOT.iterdir() if path.is_dir()}
    assert not stems & (top_level | set(sys.stdlib_module_names))
    assert not set(RULES) & set(sys.stdlib_module_names)


def test_nothing_that_could_run_foreign_code_or_html_is_called():
    for path in [*FILES, ROOT / "train.py", ROOT / "infer.py", ROOT / "main.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                where = f"{path.name}:{node.lineno}"
                assert not (isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec")), where
                for keyword in node.keywords:
                    value = getattr(keyword.value, "value", None)
                    unsafe = (keyword.arg, value) in {
                        ("weights_only", False), ("shell", True), ("unsafe_allow_html", True), ("allow_pickle", True),
                    }  # fmt: skip
                    assert not unsafe, where
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "pickle" not in imported(node), path
