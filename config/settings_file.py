"""Settings of a run from a file that a person wrote: `train.py --config F.toml`."""

import tomllib
from pathlib import Path
from typing import Any

from config.errors import ConfigError, Problem
from config.fields import describe
from config.run_config import PARTS


def read_config_file(path: str) -> dict[str, Any]:
    """Settings of a TOML file: the same names as the flags, flat or in tables of any name.

    Raises:
        ConfigError: if it cannot be read, or holds a name that is no setting.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError([Problem("config", f"there is no file {path}: --config names a TOML file")]) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError([Problem("config", f"{path} cannot be read as a TOML file: {reason}")]) from error
    flat = {key: value for key, value in values.items() if not isinstance(value, dict)}
    for table in values.values():
        flat |= table if isinstance(table, dict) else {}
    known = {"architecture", "model_size", "implementation"}
    known = known.union(*map(describe, PARTS.values())) - {"d_vocab"}
    problems = [Problem(name, f"{path}: {name} is not a setting") for name in sorted(set(flat) - known)]
    problems += [
        Problem(name, f"{path}: {name} must be a word, not {flat[name]!r:.40}")
        for name in ("architecture", "model_size", "implementation")
        if not isinstance(flat.get(name, ""), str)
    ]
    if problems:
        raise ConfigError(problems)
    return flat
