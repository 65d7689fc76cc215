"""What all tokenizers need to know about a text: where it may be cut into pieces, and whether it has a UTF-8 form."""

import re
from collections.abc import Iterable, Iterator, Sequence

from config.errors import TextError

PIECE_CHARACTERS = 1_000_000
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# Before a space behind a word, or behind a line break between two words: no tokenizer here has a token across these.
WORD_END = re.compile(r"(?<=\S) |(?<=\S\n)(?=\S)")
LINE_END = re.compile(r"(?<=\S\n)(?=\S)")


def cut_at_words(text: str, size: int = PIECE_CHARACTERS) -> Iterator[str]:
    """Cut `text` into pieces of at most `size` characters, each border before a space or behind a line break.

    All tokenizers here begin a token at that place anyway, so the pieces give the very tokens that the whole text
    gives. Only a stretch of `size` characters without such a place (a line of a million dashes) is cut anywhere.
    """
    start = 0
    while start < len(text):
        end = min(start + size, len(text))
        if end < len(text):
            end = _last_match(WORD_END, text, start + 1, end) or end
        yield text[start:end]
        start = end


def cut_at_lines(
    texts: Iterable[str], special_tokens: Sequence[str] = (), size: int = PIECE_CHARACTERS
) -> Iterator[str]:
    """Join `texts` and cut them anew into pieces of about `size` characters, each behind a special token or a line.

    The borders depend on the text alone, not on how it arrives in `texts`, and no word crosses one. A line of more than
    `size` characters is cut at a space, and one without spaces anywhere but inside of a special token.

    Args:
        special_tokens: None of them has white space in it.
    """
    special, longest_special = special_pattern(special_tokens), max(map(len, special_tokens), default=0)
    rest = ""
    for text in texts:
        start = 0
        while start < len(text):
            more = size + longest_special - len(rest)
            rest += text[start : start + more]
            start += more
            if len(rest) >= size + longest_special:
                border = _border(rest, special, size)
                yield rest[:border]
                rest = rest[border:]
    if rest:
        yield rest


def special_pattern(special_tokens: Iterable[str]) -> re.Pattern[str]:
    """Finds special tokens; where several begin at one place the longest is taken. Without any it finds nothing."""
    longest_first = sorted(special_tokens, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def split_at_special(text: str, special_tokens: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The parts of `text` with the special token behind each; the last one has none (""). Parts may be empty."""
    start = 0
    for match in special_pattern(special_tokens).finditer(text):
        yield text[start : match.start()], match[0]
        start = match.end()
    yield text[start:], ""


def check_special_tokens(special_tokens: Sequence[str]) -> None:
    """Refuse special tokens that could not be told from the text around them, or from each other.

    Raises:
        TextError: one is empty, has white space in it (where texts are cut into pieces), or comes twice.
    """
    for token in special_tokens:
        if not token or any(character.isspace() for character in token):
            raise TextError(f"special token {token!r} must have characters in it, and no white space among them")
        check_surrogates(token, f"special token {token!r}")
        if special_tokens.count(token) > 1:
            raise TextError(f"special token {token!r} is there twice")


def check_surrogates(text: str, name: str) -> None:
    """Refuse a text that has no UTF-8 form.

    Raises:
        TextError: it has half of a surrogate pair.
    """
    if not text.isascii() and (match := LONE_SURROGATE.search(text)):
        raise TextError(
            f"character {match.start() + 1:,} of {name} (U+{ord(match[0]):04X}) is half of a surrogate pair, which no "
            "file can hold; remove it"
        )


def _border(text: str, special: re.Pattern[str], size: int) -> int:
    """Where to cut `text`, whose first `size` characters are the piece and the rest shows what begins in them."""
    behind_special = 0
    for match in special.finditer(text):
        if match.start() >= size:
            break
        behind_special = match.end()
    line_end = _last_match(LINE_END, text, 1, size)
    if behind_special or line_end:
        return max(behind_special, line_end)
    return _last_match(WORD_END, text, 1, size) or size


def _last_match(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    """Where the last match in `text[start:end]` begins, or 0; the last characters are looked at first."""
    width = 1_000
    while True:
        low = max(start, end - width)
        # finditer's limits hide what follows `end`, never what stands before `low`, so a look-behind still sees it.
        found = [match.start() for match in pattern.finditer(text, low, end)]
        if found:
            return found[-1]
        if low == start:
            return 0
        width *= 10
