"""How often each word of a text occurs: the only part of learning a vocabulary that reads all of the text.

So it is the part that is worth several processes. The text is cut into pieces at places that no word crosses, each
process counts the words of whole pieces, and the counts are added up: the sum does not depend on who counted what.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from config.errors import TextError
from text.pieces import check_surrogates, cut_at_lines, split_at_special
from text.processes import map_in_processes
from text.words import find_words

MAX_WORD_BYTES = 1_000


def count_words(
    text: str | Iterable[str],
    pattern: str = "gpt2",
    special_tokens: Sequence[str] = (),
    processes: int = 1,
    beat: Callable[[], None] | None = None,
) -> Counter[bytes]:
    """How often each word occurs, as bytes; a monster (a line without spaces) counts in parts of 1,000 bytes.

    Args:
        text: All of it, or its parts one after the other, as when a file is larger than memory.
        pattern: Name in `text.words.PATTERNS`.
        special_tokens: Not counted, and no word crosses them.
        processes: With more than one, the calling program needs `if __name__ == "__main__":` around its start.
        beat: Called after every piece of a million characters; what it raises ends the work.

    Raises:
        TextError: `processes` is below 1, the text has half of a surrogate pair, or a process was killed.
    """
    if processes < 1:
        raise TextError(f"processes {processes} cannot count anything: use 1 or more")
    pieces = cut_at_lines(_checked([text] if isinstance(text, str) else text), special_tokens)
    counts: Counter[str] = Counter()
    for found in _count_each(pieces, partial(_count_piece, pattern=pattern, special=tuple(special_tokens)), processes):
        counts.update(found)
        if beat is not None:
            beat()
    words: Counter[bytes] = Counter()
    for word, count in counts.items():
        content = word.encode()
        for start in range(0, len(content), MAX_WORD_BYTES):
            words[content[start : start + MAX_WORD_BYTES]] += count
    return words


def _count_each(pieces: Iterator[str], count: Callable[[str], Counter[str]], processes: int) -> Iterator[Counter[str]]:
    """The counts of each piece, in order."""
    if processes == 1:
        return map(count, pieces)
    return (found for _, found in map_in_processes(count, pieces, processes))


def _count_piece(piece: str, pattern: str, special: tuple[str, ...]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for part, _ in split_at_special(piece, special):
        counts.update(find_words(part, pattern))
    return counts


def _checked(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        check_surrogates(text, "the text")
        yield text
