"""The text on which two runs are compared: one that neither of them was trained on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config.errors import TextError
from runs.folder import RunFolder
from text.token_file import open_tokens
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

    Raises:
        RunError, CheckpointError: a run cannot be read.
        TextError: neither has its token files any more.
    """
    runs = (first, second)
    data = [run.read_data() for run in runs]
    kept = [index for index in (0, 1) if _validation_tokens(runs[index], data[index]) is not None]
    if not kept:
        raise TextError(
            "neither run has its validation text any more (imported, or its token files were cleared): "
            "name a text that neither was trained on"
        )
    same = len({found.get("corpus_sha256") for found in data}) == 1
    # Of one text the shorter validation part; of two the larger text, of which the other may be the beginning.
    key = "val_bytes" if same else "corpus_bytes"
    chosen = min(kept, key=lambda index: (1 if same else -1) * _whole_number(data[index].get(key)))
    tokens = _validation_tokens(runs[chosen], data[chosen])
    assert tokens is not None
    tokenizer = load_tokenizer_of(runs[chosen].path)
    name = f"the validation text of {runs[chosen].read_label().name}"
    other = runs[1 - chosen].read_label().name
    note = "" if same else f"{other} was trained on another text and may have read some of this one."
    content = tokenizer.decode_bytes(np.asarray(tokens[:MOST_BYTES]))
    return Text(content, name, note)


def _whole_number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _validation_tokens(run: RunFolder, data: dict[str, object]) -> np.ndarray | None:
    key = data.get("token_files")
    if not isinstance(key, str) or Path(key).name != key:
        return None
    try:
        return open_tokens(run.path.parent / ".tokens" / key / "val.bin")
    except TextError:
        return None
