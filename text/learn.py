"""What a tokenizer learns from: the training split, or of a long one an even sample that fits in memory."""

from collections.abc import Callable

from text.blocks import take
from text.character import CharacterTokenizer
from text.corpus import Corpus, split_position
from text.tokenizer import END_OF_TEXT, Tokenizer
from text.tokenizer_types import train_tokenizer

SAMPLE_CHARACTERS = 20_000_000
"""A tokenizer learns from at most this much; of a longer text, from pieces spread evenly over the training split."""

WORD_CHARACTERS = 10
LEAST_SHARE = 0.1
"""Memory goes with the different words. Where words are longer than `WORD_CHARACTERS` on average, as in scripts without
spaces, few of them repeat, and less of the text is taken, down to this share of `SAMPLE_CHARACTERS`."""

NOT_LEARNED = ("byte", "gpt2")
"""Tokenizers that are the same for every text."""


def learn_tokenizer(
    name: str,
    corpus: Corpus,
    vocab_size: int,
    val_fraction: float,
    *,
    bpe_pattern: str = "gpt2",
    sentencepiece_model: str = "bpe",
    processes: int = 1,
    beat: Callable[[], None] | None = None,
) -> Tokenizer:
    """`text.tokenizer_types.train_tokenizer` for a corpus of any length, in bounded memory.

    The character tokenizer gets every character of the whole text, as always. What is learned is learned from
    `sample_for_tokenizer`. For several documents it gets a token that parts them,
    `<|endoftext|>`.

    Args:
        processes, beat: See `train_tokenizer`.

    Raises:
        TextError: no such tokenizer, or the text does not allow this vocabulary size.
    """
    special_tokens = (END_OF_TEXT,) if corpus.documents > 1 else ()
    if name == "character":
        return train_tokenizer(name, corpus.alphabet, vocab_size, val_fraction=0, special_tokens=special_tokens)
    text = "" if name in NOT_LEARNED else sample_for_tokenizer(corpus, val_fraction)
    return train_tokenizer(
        name, text, vocab_size, val_fraction=0, bpe_pattern=bpe_pattern, sentencepiece_model=sentencepiece_model,
        special_tokens=special_tokens, processes=processes, beat=beat,
    )  # fmt: skip


def extend_tokenizer(tokenizer: Tokenizer, corpus: Corpus) -> Tokenizer:
    """A tokenizer for one more text: characters that it has never seen are added where each has its own token.

    All others can write any text with what they have. The same object where nothing is missing.
    """
    if not isinstance(tokenizer, CharacterTokenizer):
        return tokenizer
    characters = "".join(sorted({*tokenizer.characters, *corpus.alphabet}))
    if characters == tokenizer.characters:
        return tokenizer
    return CharacterTokenizer(characters, tokenizer.special_tokens)


def sampling_note(name: str, corpus: Corpus, val_fraction: float) -> str:
    """A sentence for a tokenizer that learned from a sample, or ""."""
    most = most_characters(corpus)
    if name in ("character", *NOT_LEARNED) or corpus.characters * (1 - val_fraction) <= most:
        return ""
    return (
        f"The tokenizer learned from {most:,} of the {corpus.characters:,} characters, spread evenly over the training "
        "split."
    )


def most_characters(corpus: Corpus) -> int:
    """How much of a text a tokenizer learns from at most, so that it takes less than 1 GB of memory."""
    share = WORD_CHARACTERS * (corpus.spaces + 1) / corpus.characters
    return round(SAMPLE_CHARACTERS * min(1.0, max(share, LEAST_SHARE)))


def sample_for_tokenizer(corpus: Corpus, val_fraction: float, characters: int | None = None) -> str:
    """What a tokenizer learns from: the training split, or of a long one as much as `characters`, evenly spread.

    A long one gives the beginning of every block, so a file that starts with poems and ends with prose gives both.
    """
    characters = most_characters(corpus) if characters is None else characters
    border = split_position(corpus, val_fraction)
    share = min(1.0, characters / max(border, 1))
    taken: list[str] = []
    position = size = 0
    for block in take(corpus.blocks(), border):
        position += len(block.text)
        taken.append(block.text[: round(position * share) - size])
        size += len(taken[-1])
    return "".join(taken)
