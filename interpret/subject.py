"""What is looked at: a checkpoint, opened so that its activation points can be reached, and a text as its tokens.

A run trained with `fused` or `torch` is opened in `einops`: the same parameters, and the same logits up to rounding
(tests/interpret/test_activations.py), in the implementation that forms every value that has a name.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from components.model import Transformer
from config.errors import TextError
from generation.prompt import encode_prompt
from runs.checkpoints import choose
from text.tokenizer import Tokenizer
from training.checkpoint import load_model, load_tokenizer_of

MOST_TOKENS = 4_096  # of a longer text only as many are read; attention patterns grow with their square


@dataclass(frozen=True)
class Text:
    """A text as the model sees it."""

    tokens: Int[Tensor, "pos"]
    names: tuple[str, ...]
    """Each token for the eye."""

    left_out: int
    """Tokens at the end that do not fit into the context."""


@dataclass(frozen=True)
class Subject:
    """A model in einops with its tokenizer."""

    model: Transformer
    tokenizer: Tokenizer
    folder: Path

    def read(self, text: str, most_tokens: int = MOST_TOKENS) -> Text:
        """Cut a text into tokens, at most as many as the model sees at once; an empty one becomes a line break.

        Raises:
            TextError: it has characters that the tokenizer has never seen.
        """
        tokens = encode_prompt(self.tokenizer, text)
        return self.cut(tokens, most_tokens)

    def cut(self, tokens: list[int], most_tokens: int = MOST_TOKENS) -> Text:
        """The first tokens, as many as the model sees at once.

        Raises:
            TextError: a token that the model does not know.
        """
        kept = tokens[: min(most_tokens, self.model.config.n_ctx)]
        if not kept or not 0 <= min(kept) <= max(kept) < self.model.config.d_vocab:
            raise TextError(f"the text has tokens that are not among the {self.model.config.d_vocab:,} of the model")
        return Text(torch.tensor(kept), tuple(map(self.name_of, kept)), len(tokens) - len(kept))

    def name_of(self, token: int) -> str:
        """A token for the eye; vocabularies of imported models have more rows than tokens."""
        return self.tokenizer.token_text(token) if token < self.tokenizer.vocab_size else f"[{token}]"


def open_subject(path: Path | str) -> Subject:
    """Open a checkpoint, or a run's best one, for looking inside.

    Raises:
        CheckpointError, RunError: there is none, or it cannot be used.
    """
    folder = choose(Path(path))
    model = load_model(folder, implementation="einops")
    assert isinstance(model, Transformer)
    return Subject(model, load_tokenizer_of(folder), folder)
