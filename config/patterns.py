"""Patterns: one letter for each layer, repeated over the layers, for what differs between them.

"wwwf" at 6 layers    w w w f w w        three window layers, then a full one, again and again
"d" + 60 * "m" at 4   d m m m            a pattern longer than the model is cut
"""

from collections.abc import Mapping

from config.errors import Problem


def spread(pattern: str, n_layers: int) -> str:
    """The letter of every layer."""
    return (pattern * -(-n_layers // len(pattern)))[:n_layers]


def shortest(letters: str) -> str:
    """The shortest pattern that gives these letters, one for each layer: "w" for "wwww", "wf" for "wfwfw"."""
    candidates = (letters[:length] for length in range(1, len(letters) + 1))
    return next(pattern for pattern in candidates if spread(pattern, len(letters)) == letters)


def pattern_problem(name: str, pattern: str, letters: Mapping[str, str]) -> Problem | None:
    """Why this is no pattern of these letters, if it is none; `letters` says what each means."""
    if pattern and set(pattern) <= letters.keys():
        return None
    meanings = " and ".join(f"{letter} ({meaning})" for letter, meaning in letters.items())
    return Problem(
        name, f"{name} {pattern[:40]!r} is not made of the letters {meanings}, for example {''.join(letters)!r}"
    )
