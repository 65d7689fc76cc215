"""A text to train tokenizers on, made here: no tests read a corpus from elsewhere."""

import random
import unicodedata

import pytest

WORDS = ["the", "a", "old", "young", "king", "queen", "river", "lantern", "promise", "garden", "walks", "keeps", "to"]
SYLLABLES = ["ba", "do", "fen", "gul", "hir", "jo", "kel", "mar", "nim", "or", "pe", "quil", "ros", "ty", "wen", "zu"]


def make_story(seed: int = 0, lines: int = 400) -> str:
    source = random.Random(seed)
    words = WORDS * 10 + ["".join(source.choices(SYLLABLES, k=source.randint(1, 3))) for _ in range(150)]
    return "".join(
        " ".join(source.choices(words, k=source.randint(3, 9))).capitalize() + source.choice(".!?") + "\n"
        for _ in range(lines)
    )


@pytest.fixture(scope="session")
def story() -> str:
    return make_story()


@pytest.fixture(scope="session")
def all_of_unicode() -> list[str]:
    """Every character that this Python knows, without halves of pairs and the space sign of SentencePiece."""
    characters = [chr(point) for point in range(0x110000) if point != 0x2581]
    return [character for character in characters if unicodedata.category(character) not in ("Cn", "Cs")]


@pytest.fixture(scope="session")
def telling_characters(all_of_unicode: list[str]) -> list[str]:
    """Every character that has a meaning to any of the libraries, and some of the million that have none."""
    from text.words import disputed_characters

    meaningful = {character for character in all_of_unicode if unicodedata.category(character) != "Co"}
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    others = set(map(chr, random.Random(0).sample(points, 5_000)))
    return sorted(meaningful | disputed_characters() | others)
