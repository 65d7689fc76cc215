"""A chapter: Markdown that a person reads, a page shows, and a test executes.

Every chapter has the same sections in the same order (SECTIONS), each under a `## ` heading. Three kinds of block and
one mark make it more than text:

    ```python …```      examples in the form of an interactive session (`>>> …`), with what they print below; all
                        examples of a chapter share their names, from top to bottom
    ```figure …```      the name of a function of learn/figures: the figure that stands here
    ```try …```         TOML: a label, and words (config/short_form.py) to open the Train page with
    ```quiz …```        TOML: the five questions
    0.84<!-- gelu(1.0) -->      a number in the prose, and the expression that it must be the rounded value of

`tests/learn/test_chapters.py` runs the examples, evaluates the expressions, draws the figures and checks the answers,
so a chapter cannot go stale. Source of the idea: Knuth 1984, "Literate Programming", section A; Python's doctest.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from config.errors import TextError

FOLDER = Path(__file__).parent / "chapters"
SECTIONS = (
    "The question", "Intuition", "Formula", "Shapes", "By hand", "Figure", "What goes wrong", "Exercise", "Solution",
    "Quiz", "Try this", "Paper", "In this repository",
)  # fmt: skip
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"(?:^    .*\n?|^\n(?=    ))+", re.MULTILINE)
NUMBER = re.compile(r"(−?[\d.,]+)<!-- (.+?) -->")


@dataclass(frozen=True)
class Question:
    """One question of a quiz; `check` is a Python expression that is true because the answer is."""

    ask: str
    choices: tuple[str, ...]
    answer: int  # index into choices
    why: str
    check: str = ""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the file where the text begins."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Section:
    """One section: its heading, and Markdown without the marks that only the test reads."""

    title: str
    text: str
    blocks: tuple[Block, ...]

    def toml(self, kind: str) -> dict[str, Any]:
        """The one block of this kind as data; empty without such a block."""
        return next((tomllib.loads(block.text) for block in self.blocks if block.kind == kind), {})

    def figures(self) -> tuple[str, ...]:
        """The names of the figures that stand here."""
        return tuple(block.text.strip() for block in self.blocks if block.kind == "figure")

    def pieces(self) -> Iterator[tuple[str, str]]:
        """What to show, in order: ("text", Markdown with its examples) and ("figure", name)."""
        rest = 0
        for found in BLOCK.finditer(self.text):
            if found[1] in ("figure", "quiz", "try"):
                if (before := self.text[rest : found.start()].strip("\n")).strip():
                    yield "text", fence_formulas(before)
                if found[1] == "figure":
                    yield "figure", found[2].strip()
                rest = found.end()
        if (after := self.text[rest:].strip("\n")).strip():
            yield "text", fence_formulas(after)


@dataclass(frozen=True)
class Chapter:
    """A chapter as it stands in its file."""

    slug: str  # "04_attention": the file's name
    title: str
    sections: tuple[Section, ...]
    source: str  # the whole file, marks included

    def section(self, title: str) -> Section:
        """The section of that name.

        Raises:
            KeyError: if the chapter has none.
        """
        for section in self.sections:
            if section.title == title:
                return section
        raise KeyError(f"{self.slug} has no section {title!r}")

    def quiz(self) -> tuple[Question, ...]:
        """The questions, in order; none where the chapter has no quiz."""
        asked = [
            question
            for section in self.sections
            if section.title == "Quiz"
            for question in section.toml("quiz").get("question", [])
        ]
        return tuple(Question(**question | {"choices": tuple(question["choices"])}) for question in asked)

    def blocks(self) -> tuple[Block, ...]:
        """All blocks, in order."""
        return tuple(block for section in self.sections for block in section.blocks)


def fence_formulas(text: str) -> str:
    """The same Markdown with formulas, which are indented by four, as fenced blocks: a page may remove indentation."""

    def fenced(found: re.Match[str]) -> str:
        return f"```text\n{dedent(found[0]).strip(chr(10))}\n```\n"

    return FORMULA.sub(fenced, text)


def read_chapter(path: Path) -> Chapter:
    """One chapter from its file.

    Raises:
        TextError: if it does not begin with a title.
    """
    source = path.read_text(encoding="utf-8")
    heading, _, body = source.partition("\n")
    if not heading.startswith("# "):
        raise TextError(f"{path.name} must begin with a title, a line like '# Attention', not with {heading[:40]!r}")
    parts = re.split(r"^## (.+)$", body, flags=re.MULTILINE)
    sections, line = [], 2 + parts[0].count("\n")
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        blocks = tuple(
            Block(found[1], found[2], line + text[: found.start(2)].count("\n")) for found in BLOCK.finditer(text)
        )
        sections.append(Section(title.strip(), NUMBER.sub(r"\1", text).strip("\n"), blocks))
        line += text.count("\n")
    return Chapter(path.stem, heading[2:].strip(), tuple(sections), source)


def read_chapters(folder: Path = FOLDER) -> tuple[Chapter, ...]:
    """All chapters in the order of their numbers."""
    return tuple(read_chapter(path) for path in sorted(folder.glob("*.md")))
