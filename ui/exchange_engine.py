"""The door to Hugging Face: what a run would be written as, and the commands that import and export, in a process.

A model of some gigabytes does not belong into the server's memory: importing and exporting are done by
`python -m interop.hugging_face`, as on a terminal, and its last lines are the answer.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from config.model_config import ModelConfig
from ui.uploads import FOLDER

REPOSITORY = Path(__file__).resolve().parent.parent
PREFIX = "interop: "  # of the command's lines on stderr


@dataclass(frozen=True)
class Answer:
    """What came of a command: a path, or why not."""

    path: str = ""
    problem: str = ""
    tokenizer_class: str = "AutoTokenizer"
    """Of `transformers`, to open the tokenizer with."""


def local_path(text: str) -> Path:
    """The absolute path that a person typed; relative ones begin beside main.py."""
    return REPOSITORY / os.path.expanduser(text)  # Path.expanduser raises where ~name is nobody's


@st.cache_data(max_entries=64, show_spinner=False)
def family_for(config: ModelConfig, preset: str | None) -> Answer:
    """The classes of `transformers` that a configuration would be written for; or what is in the way."""
    from config.errors import ConfigError
    from interop.family import choose_family
    from interop.registry import FAMILIES

    try:
        family = choose_family(FAMILIES, config, preset)
    except ConfigError as error:
        return Answer(problem=str(error))
    return Answer(family.class_name, tokenizer_class=family.tokenizer_class)


def export(run: Path, target: Path) -> Answer:
    """Write the best checkpoint of a run as a folder, or as a zip file where `target` ends so."""
    return _call("export", str(run), str(target))


def export_zip(run: Path) -> bytes:
    """The same as the content of a zip file.

    Raises:
        RuntimeError: it cannot be written; the sentence says why.
    """
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        answer = export(run, Path(folder) / "model.zip")
        if answer.problem:
            raise RuntimeError(answer.problem)
        return (Path(folder) / "model.zip").read_bytes()


def import_folder(source: Path, checkpoints: Path) -> Answer:
    """Make a run of a Hugging Face folder; the answer's path is the run's folder."""
    return _call("import", str(source), "--checkpoints", str(checkpoints))


def import_zip(content: bytes, name: str, checkpoints: Path) -> Answer:
    """The same from an uploaded zip file; `name` is only what the run is called by."""
    folder = checkpoints / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".zip-", dir=folder) as place:
        path = Path(place) / "model.zip"
        path.write_bytes(content)
        return _call("import", str(path), "--checkpoints", str(checkpoints), f"--name={name}")  # name may begin with -


def _call(*arguments: str) -> Answer:
    """Run the command line to its end, in a session of its own: it goes on when the server is stopped."""
    if any("\0" in argument for argument in arguments):
        return Answer(problem="a path cannot contain a NUL character")
    done = subprocess.run(
        [sys.executable, "-m", "interop.hugging_face", *arguments], cwd=REPOSITORY, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, start_new_session=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return Answer(path=done.stdout.splitlines()[-1])
    lines = [line.removeprefix(PREFIX) for line in done.stderr.splitlines() if line.startswith(PREFIX)]
    return Answer(problem=lines[-1] if lines else f"the command ended with status {done.returncode}, without a word")
