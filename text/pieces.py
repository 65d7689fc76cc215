"""What all tokenizers need to know about a text: where it may be cut into pieces, and whether it has a UTF-8 form."""

import re
from collections.abc import Iterator

from config.errors import TextError

PIECE_CHARACTERS = 1_000_000
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
WORD_END = re.compile(r"(?<=\S)[ \n]")


def cut_at_words(text: str, size: int = PIECE_CHARACTERS) -> Iterator[str]:
    """Cut `text` into pieces of at most `size` characters, each border before the space or line break behind a word.

    All tokenizers here begin a token at that place anyway, so the pieces give the very tokens that the whole text
    gives. Only a stretch of `size` characters without such a place (a line of a million dashes) is cut anywhere.
    """
    start = 0
    while start < len(text):
        end = min(start + size, len(text))
        if end < len(text):
            end = _last_word_end(text, start + 1, end)
        yield text[start:end]
        start = end


def check_surrogates(text: str, name: str) -> None:
    """Refuse a text that has no UTF-8 form.

    Raises:
        TextError: it has half of a surrogate pair.
    """
    if match := LONE_SURROGATE.search(text):
        raise TextError(
            f"character {match.start() + 1:,} of {name} (U+{ord(match[0]):04X}) is half of a surrogate pair, which no "
            "file can hold; remove it"
        )


def _last_word_end(text: str, start: int, end: int) -> int:
    """Where the last word of `text[start:end]` ends, or `end`; the last characters are looked at first."""
    width = 1_000
    while True:
        low = max(start, end - width)
        # finditer's limits hide what follows `end`, never what stands before `low`, so the look-behind still sees it.
        found = [match.start() for match in WORD_END.finditer(text, low, end)]
        if found:
            return found[-1]
        if low == start:
            return end
        width *= 10
