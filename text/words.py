"""Cutting a text into words before bytes are merged: the patterns of GPT-2 and GPT-4, and the same words everywhere.

Merges never cross the border of a word, so "dog." and "dog!" share their "dog". `find_words` cuts for whoever learns a
vocabulary and for the readable encoder; tiktoken cuts with the same pattern in Rust.

The two know different versions of Unicode: 17,480 characters so rare that they were added after Unicode 16 (September
2024) are letters to one and not yet to the other, with the libraries of today. tiktoken decides: `disputed_characters`
asks both about all of Unicode, and a text that has one of these is cut with a pattern that knows the exceptions. So
both encoders agree on every text; only tiktoken's next Unicode version may cut such a character differently.
"""

from collections.abc import Iterable
from functools import cache
from itertools import pairwise

import regex
import tiktoken

from config.errors import TextError

PATTERNS = {
    # Radford et al. 2019, with the possessive quantifiers (++) that keep a line of a million spaces harmless:
    # English endings | letters | digits | other signs, each with one space before | white space.
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    # OpenAI 2023 (cl100k): endings in capitals too, any sign before letters ("(word"), at most three digits, signs
    # with the line breaks behind them, line breaks with the white space before them.
    "gpt4": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
}
CLASSES = (r"\p{L}", r"\p{N}")  # letters, numbers; the library's ideas of white space (\s) are equal


def check_pattern(name: str) -> None:
    """Refuse a name that is not in `PATTERNS`.

    Raises:
        TextError: naming those there are.
    """
    if name not in PATTERNS:
        raise TextError(f"there is no pattern {str(name)[:40]!r}; there are {', '.join(PATTERNS)}")


def find_words(text: str, pattern: str = "gpt2") -> list[str]:
    """The words of `text`, white space and signs included: joined, they are the text.

    Args:
        pattern: Name in `PATTERNS`.
    """
    careful = not text.isascii() and not disputed_characters().isdisjoint(text)
    return _compile(pattern, careful).findall(text)


@cache
def disputed_characters() -> frozenset[str]:
    """Those that are a letter or a number to one library and not to the other (takes half a second, once)."""
    return frozenset().union(*(known_here ^ known_there for known_here, known_there in map(_members, CLASSES)))


@cache
def _compile(pattern: str, careful: bool) -> regex.Pattern[str]:
    source = PATTERNS[pattern]
    if not careful:
        return regex.compile(source)
    for name in CLASSES:
        here, there = _members(name)
        # Version 1 of regex's syntax has sets of sets. U+0000 is in neither class; an empty set would be no syntax.
        source = source.replace(name, rf"[[{name}{_ranges(there - here)}]--[\0{_ranges(here - there)}]]")
    return regex.compile(source, regex.VERSION1)


@cache
def _members(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """The characters of a Unicode class as regex knows it, and as tiktoken does."""
    everything = "".join(chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000)
    probe = tiktoken.Encoding(
        "probe", pat_str=name, mergeable_ranks={bytes([byte]): byte for byte in range(256)}, special_tokens={}
    )
    found = probe.decode(probe.encode_ordinary(everything))  # what the pattern does not match is left out
    return frozenset(regex.findall(name, everything)), frozenset(found)


def _ranges(characters: Iterable[str]) -> str:
    """Characters as a set in a pattern: \\U00000061-\\U0000007a."""
    points = sorted(map(ord, characters))
    starts = points[:1] + [here for before, here in pairwise(points) if here != before + 1]
    ends = [before for before, here in pairwise(points) if here != before + 1] + points[-1:]
    return "".join(rf"\U{start:08x}-\U{end:08x}" for start, end in zip(starts, ends, strict=True))
