"""What must not stand in the source: whatever runs code out of data, or a shell, or shows foreign text as HTML."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if not {"tests", ".venv"} & set(path.relative_to(ROOT).parts) and not path.is_relative_to(ROOT / "checkpoints")
)
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}  # the builtins; model.eval() and torch.compile are others
FORBIDDEN_CALLS = {"torch.load", "os.system", "os.popen", "os.fork", "yaml.load", "numpy.load", "np.load"}
FORBIDDEN_ARGUMENTS = {"unsafe_allow_html": True, "shell": True, "weights_only": False, "allow_pickle": True}


def find_offences(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"line {node.lineno}: imports {name}" for name in names if name in FORBIDDEN_MODULES)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_NAMES | FORBIDDEN_CALLS:
                yield f"line {node.lineno}: calls {called}"
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if keyword.arg in FORBIDDEN_ARGUMENTS and value is FORBIDDEN_ARGUMENTS[keyword.arg]:
                    yield f"line {node.lineno}: {keyword.arg}={value}"
            if called.endswith("get_context") and any(getattr(arg, "value", "") == "fork" for arg in node.args):
                yield f"line {node.lineno}: forks, and a forked child keeps the run's lock"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_runs_code_out_of_data(path):
    assert list(find_offences(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("source", [
    "import pickle", "from pickle import loads", "eval('1')", "torch.load(f)", "torch.load(f, weights_only=False)",
    "st.markdown(x, unsafe_allow_html=True)", "subprocess.run(x, shell=True)", "os.system('x')",
    "multiprocessing.get_context('fork')",
])  # fmt: skip
def test_the_search_finds_what_it_looks_for(source):
    assert list(find_offences(source))


def test_the_search_knows_methods_of_the_same_name():
    assert not list(find_offences("model.eval()\ntorch.compile(model)\nre.compile('x')\n"))
