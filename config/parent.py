"""The checkpoint that a run began from, as its config.json names it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from config.errors import ConfigError, Problem

Carried = Literal["all", "weights"]
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
FOLDER_NAME = re.compile(r"[\w-]*", re.ASCII)  # never a path: what it names is opened


@dataclass(frozen=True, kw_only=True)
class Parent:
    """Where the first weights of a run come from; what is needed of it lies in the run's own folder.

    Attributes:
        run: id of the parent run.
        step: of its checkpoint.
        path: where that checkpoint was when the new run was made.
        weights_sha256: of its weights file, wherever it is now.
        token_files: the parent's text, a folder in `checkpoints/.tokens`; "" where it is not known (imported weights).
        carried: `all`: the run goes on where the parent stood, with optimizer, random state and place in the text;
            `weights`: it begins at step 0 with the parent's weights.
    """

    run: str
    step: int
    path: str
    weights_sha256: str
    token_files: str
    carried: Carried

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> "Parent":
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: it is something else.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping) or values.keys() != set(names):
            raise _damaged(f"it should be a table with {', '.join(names)}")
        for name, kind in get_type_hints(cls).items():
            allowed = int if kind is int else str
            if type(values[name]) is not allowed:
                raise _damaged(f"{name} is {str(values[name])[:40]!r}")
        if not FOLDER_NAME.fullmatch(values["token_files"]):
            raise _damaged(f"token_files is {values['token_files'][:40]!r}")
        if values["carried"] not in get_args(Carried):
            raise _damaged(f"carried is {values['carried'][:40]!r}")
        if values["step"] < 0 or not HASH.fullmatch(values["weights_sha256"]):
            raise _damaged("step or weights_sha256 cannot be those of a checkpoint")
        return cls(**values)


def _damaged(reason: str) -> ConfigError:
    return ConfigError([Problem("parent", f"what it says about the parent is damaged: {reason}")])
