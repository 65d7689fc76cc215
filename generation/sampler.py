"""What every sampler is: one stage between the model's logits and the draw, and the texts it may look back at."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from config.errors import ConfigError, Problem

Logits = Float[Tensor, "batch d_vocab"]


@dataclass
class Text:
    """The tokens of one row so far: the first `n_prompt` were given, the others written."""

    tokens: list[int]
    n_prompt: int = 0

    @property
    def written(self) -> list[int]:
        """What came after the prompt."""
        return self.tokens[self.n_prompt :]


class Sampler(ABC):
    """One stage: maps logits [batch d_vocab] to logits of the same shape. `str()` names it for people."""

    @abstractmethod
    def __call__(self, logits: Logits, texts: Sequence[Text] = ()) -> Logits:
        """The logits after this stage; never changes its input.

        Args:
            texts: one for each row, for stages that look at what was written; the others never ask for it.
        """


def refuse(field: str, message: str) -> ConfigError:
    """The error for a setting that a stage cannot work with."""
    return ConfigError([Problem(field, message)])


def bar(row: Float[Tensor, "d_vocab"], tokens: Iterable[int]) -> None:
    """Make tokens impossible, in place; a row that would lose its last possible token stays as it is."""
    barred = list(tokens)
    kept = row[barred]
    row[barred] = -math.inf
    if bool((row == -math.inf).all()):
        row[barred] = kept


def one_text_each(logits: Logits, texts: Sequence[Text]) -> None:
    """Refuse to look back without something to look back at.

    Raises:
        ValueError: there is not exactly one text for each row.
    """
    if len(texts) != len(logits):
        raise ValueError(f"this stage looks at what was written: {len(logits)} rows need their texts, not {len(texts)}")
