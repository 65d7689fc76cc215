"""The tokenizers by name: which there are, how one is trained on a text, how a saved one is loaded."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.errors import CheckpointError, TextError
from text.tokenizer import Tokenizer
from text.tokenizer_file import read_record

if TYPE_CHECKING:
    from text.corpus import Corpus

CLASSES = {
    "character": ("text.character", "CharacterTokenizer"),
    "byte": ("text.byte", "ByteTokenizer"),
    "bpe": ("text.byte_pair", "BytePairTokenizer"),
    "gpt2": ("text.gpt2", "Gpt2Tokenizer"),
    "sentencepiece": ("text.sentence_piece", "SentencePieceTokenizer"),
    "imported": ("text.imported", "ImportedTokenizer"),
}
LEARNED = tuple(name for name in CLASSES if name != "imported")  # what a text can be cut with from nothing


def tokenizer_class(name: str) -> type[Tokenizer]:
    """The class behind `--tokenizer_type name`; its libraries are imported only now.

    Raises:
        TextError: there is no such tokenizer.
    """
    if name not in CLASSES:
        raise TextError(f"there is no tokenizer {name[:40]!r}; choose one of {', '.join(CLASSES)}")
    module, class_name = CLASSES[name]
    return getattr(importlib.import_module(module), class_name)


def train_tokenizer(
    name: str,
    text: "str | Corpus",
    vocab_size: int,
    *,
    val_fraction: float = 0.1,
    bpe_pattern: str = "gpt2",
    sentencepiece_model: str = "bpe",
    special_tokens: Sequence[str] = (),
    processes: int = 1,
    beat: Callable[[], None] | None = None,
) -> Tokenizer:
    """A tokenizer of type `name` for this text.

    `bpe` and `sentencepiece` learn from the training split alone, so that the validation loss stays honest. The
    character tokenizer takes the characters of the whole text (as nanoGPT does): a letter that only the validation
    split has must be in the vocabulary, and nothing else is learned from it.

    Args:
        val_fraction: Share at the end of the text that is kept aside, as in `text.token_file.prepare_tokens`;
            0 trains on all of it.
        bpe_pattern: How bpe cuts words, a name in `text.words.PATTERNS`.
        sentencepiece_model: "bpe" or "unigram".
        special_tokens: Tokens that stand for no text; those of gpt2 are given.
        processes: Of bpe, see `BytePairTokenizer.train`; the other types take no notice.
        beat: Called a few times a second while bpe or sentencepiece learn; what it raises ends the work. The calling
            program then needs `if __name__ == "__main__":` around its start, as sentencepiece learns in a process of
            its own.

    Raises:
        TextError: no such tokenizer, or the text does not allow this vocabulary size.
    """
    from text.corpus import split_index

    cls = tokenizer_class(name)
    content = text if isinstance(text, str) else text.text
    if name in ("bpe", "sentencepiece"):
        content = content[: split_index(content, val_fraction)]
    options: dict[str, dict[str, Any]] = {
        "character": {"special_tokens": special_tokens},
        "byte": {"special_tokens": special_tokens},
        "bpe": {"pattern": bpe_pattern, "special_tokens": special_tokens, "processes": processes, "beat": beat},
        "sentencepiece": {"model_type": sentencepiece_model, "special_tokens": special_tokens, "beat": beat},
    }
    return cls.train(content, vocab_size, **options.get(name, {}))


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer that `Tokenizer.save` wrote into `folder`, whatever its type.

    Raises:
        CheckpointError: the folder holds no tokenizer, or one that is damaged.
    """
    folder = Path(folder)
    record = read_record(folder)
    try:
        tokenizer = tokenizer_class(record["type"]).from_settings(record, folder)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CheckpointError(f"the tokenizer in {folder} cannot be used: {error}") from error
    if tokenizer.vocab_size != record["vocab_size"]:
        raise CheckpointError(
            f"the tokenizer in {folder} is damaged: it has {tokenizer.vocab_size} tokens, not {record['vocab_size']}"
        )
    return tokenizer
