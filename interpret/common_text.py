"""The text on which two runs are compared: one that neither of them was trained on."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from config.errors import RunError, TextError
from runs.folder import RunFolder
from runs.shared_files import tokens_folder
from text.token_file import open_tokens, read_manifest
from training.checkpoint import load_tokenizer_of

MOST_BYTES = 1_000_000  # more would change the last digit


@dataclass(frozen=True)
class Text:
    """What both are scored on."""

    content: bytes  # UTF-8
    name: str  # for a person
    note: str = ""  # what to know before believing the verdict


def common_text(first: RunFolder, second: RunFolder) -> Text:
    """The validation text of two runs: of the same text the shorter one, which neither has trained on.

    A run that began with the weights of another may still know it from there: the note says so.

    Raises:
        RunError, CheckpointError: a run cannot be read.
        TextError: neither has its token files any more.
    """
    runs = (first, second)
    data = [run.read_data() for run in runs]
    tokens = [_validation_tokens(run) for run in runs]
    kept = [index for index in (0, 1) if tokens[index] is not None]
    if not kept:
        raise TextError(
            "neither run has its validation text any more (imported, or its token files were cleared): "
            "name a text that neither was trained on"
        )
    same = data[0].get("corpus_sha256") == data[1].get("corpus_sha256")
    # Of one text the shorter validation part; of two the larger text, of which the other may be the beginning.
    key = "val_bytes" if same else "corpus_bytes"
    chosen = min(kept, key=lambda index: (1 if same else -1) * _whole_number(data[index].get(key)))
    found = tokens[chosen]
    assert found is not None
    tokenizer = load_tokenizer_of(runs[chosen].path)
    name = f"the validation text of {runs[chosen].read_label().name}"
    other = runs[1 - chosen].read_label().name
    notes = [] if same else [f"{other} was trained on another text and may have read some of this one."]
    notes += [
        f"{run.read_label().name} began with weights of another training, which may have read some of this text."
        for run in runs
        if _may_know(run, data[chosen])
    ]
    content = tokenizer.decode_bytes(np.asarray(found[:MOST_BYTES]))
    return Text(content, name, " ".join(dict.fromkeys(notes)))


def _whole_number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _validation_tokens(run: RunFolder) -> np.ndarray | None:
    try:
        return open_tokens(tokens_folder(run) / "val.bin")
    except (TextError, RunError):
        return None


def _may_know(run: RunFolder, text: dict[str, Any]) -> bool:
    """Whether the weights that a run began with may have been trained on the validation text of this data.json.

    As far back as is written down: the parent, and the text of the parent's own parent.
    """
    root, wanted = run.path.parent / ".tokens", (text.get("corpus_sha256"), _whole_number(text.get("val_bytes")))
    while parent := run.read_config().parent:
        if (base := RunFolder(run.base_path)).path.is_dir():
            before = base.read_data()
            sha256, val_bytes = before.get("corpus_sha256"), _whole_number(before.get("val_bytes"))
        elif parent.carried == "all" and not parent.token_files:  # the very same text went on, and none before it
            return False
        else:  # the parent of a parent: of it only the text is named
            manifest = read_manifest(root / parent.token_files) if parent.token_files else None
            sha256, val_bytes = (manifest["corpus"]["sha256"], manifest["val_bytes"]) if manifest else (None, 0)
        # Of the same text the end is kept aside: where it was at least as long, nothing of ours was trained on.
        if sha256 != wanted[0] or val_bytes < wanted[1]:
            return True
        run = base
        if not run.path.is_dir():
            return False
    return False
