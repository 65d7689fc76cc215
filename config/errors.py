"""What can be wrong with what a person gave us: every error a page or a command line shows as one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one setting, in a sentence that names the value and says what to do."""

    field: str
    message: str


class ConfigError(ValueError):
    """A configuration that cannot be built. `problems` holds every reason, not only the first."""

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.message for problem in self.problems))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[tuple[Problem, ...]]]:
        """Made again from its problems; by default it would be from its sentence."""
        return type(self), (self.problems,)


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or not a checkpoint of this project."""


class RunError(ValueError):
    """A run folder that does not exist, cannot be read, or cannot do what was asked."""


class TrainingError(RunError):
    """A training that was sound but could not go on: its loss stopped being finite, or the disk is full."""


class TextError(ValueError):
    """A text or tokenizer that cannot be used as it is."""
