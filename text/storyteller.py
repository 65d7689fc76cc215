"""Writes original English text, any amount of it: little plays, folk tales, letters and talk, from our own grammar.

    python -m text.storyteller --megabytes 1 --seed 1 --out training.txt

writes the committed training.txt bit for bit, on any machine and Python: the only source of chance is
`Random.random()`, whose sequence Python promises to keep. The words are in text/story_grammar/, the machinery in
text/grammar.py and text/stage.py.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from text.grammar import load_grammar
from text.stage import Piece, Stage

MEGABYTE = 1_000_000


def generate_pieces(seed: int) -> Iterator[Piece]:
    """Pieces without end, with what is known about each (its cast, its promises)."""
    stage = Stage(load_grammar(), Random(seed).random)
    while True:
        yield stage.perform(stage.expand("kind"))


def generate(seed: int) -> Iterator[str]:
    """The text of pieces without end; each ends in the blank lines that part it from the next."""
    return (piece.text for piece in generate_pieces(seed))


def write(path: Path, megabytes: float, seed: int) -> int:
    """Write at least `megabytes` million bytes, in whole pieces, in constant memory. Returns the bytes written."""
    written = 0
    with path.open("wb") as file:
        for text in generate(seed):
            written += file.write(text.encode("ascii"))
            if written >= megabytes * MEGABYTE:
                return written
    raise AssertionError("generate never ends")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m text.storyteller", description="Write original English text.")
    parser.add_argument("--megabytes", type=float, default=1.0, help="how much to write, in millions of bytes")
    parser.add_argument("--seed", type=int, default=1, help="another seed tells other stories")
    parser.add_argument("--out", type=Path, default=Path("training.txt"), help="the file to write")
    arguments = parser.parse_args()
    written = write(arguments.out, arguments.megabytes, arguments.seed)
    print(f"{arguments.out}: {written:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
