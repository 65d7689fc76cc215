"""A small text grammar: hand-written forms with slots, drawn so that nothing returns before its turn.

Grammar files (text/story_grammar/*.txt):

    [symbol]      one form on each following line, e.g. `The {animal} ran to {place}.`
    [symbol,]     words separated by commas
    [*symbol]     scripts: steps separated by `;`, played by text.stage
    [/symbol]     exchanges: what two people say in turn, separated by `||`
    # comment

Slots: `{symbol}` any form of it; `{^symbol}` the same with a capital first letter; `{one|other}` a choice on the spot;
`{symbol.x}` drawn once and then kept until `forget`, so that what was named can be named again.
A section may be continued in several files.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

Form = str | tuple[str, tuple[str, ...]]  # plain text, or a %-template and the slots that fill it
SMALL = 6  # fewer forms than this are drawn freely; a bag of two would only alternate
FOLDER = Path(__file__).with_name("story_grammar")

_SECTION = re.compile(r"\[([*/]?)([a-z_]+)(,?)\]")
# Vowel letters that do not sound like vowels, and the silent h. The text's own words only.
_ARTICLE = re.compile(r"\b([Aa])(?= (?:(?!one\b|once|one-|us[eu]|uni|eu|ewe)[aeiou]|hour|honest|heir|honor))")


class Grammar:
    """The compiled forms and scripts of a folder of grammar files."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Read every .txt file of `folder`, in name order. Raises ValueError for text outside a section."""
        self.forms: dict[str, list[Form]] = {}
        self.scripts: dict[str, list[list[str]]] = {}
        for path in sorted(folder.glob("*.txt")):
            self._read(path)

    def _read(self, path: Path) -> None:
        marks: tuple[str, str, str] | None = None
        for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if header := _SECTION.fullmatch(line):
                marks = (header[1], header[2], header[3])
            elif marks is None:
                raise ValueError(f"{path.name}, line {number}: text before the first [section]")
            elif marks[0] == "*":
                self.scripts.setdefault(marks[1], []).append([step.strip() for step in line.split(";")])
            elif marks[0] == "/":
                self._add_exchange(marks[1], line)
            else:
                parts = [part.strip() for part in line.split(",")] if marks[2] else [line]
                self.forms.setdefault(marks[1], []).extend(self._compile(part) for part in parts if part)

    def _add_exchange(self, name: str, line: str) -> None:
        exchanges = self.scripts.setdefault(name, [])
        turns = line.split(" || ")
        names = [f"{name}/{len(exchanges)}/{turn}" for turn in range(len(turns))]
        self.forms.update({turn_name: [self._compile(turn)] for turn_name, turn in zip(names, turns, strict=True)})
        exchanges.append(names)

    def _compile(self, text: str) -> Form:
        """Turn `a {b} c` into ("a %s c", ("b",)), and an inline choice into a symbol named by its own text."""
        template, slots, position = "", [], 0
        while (start := text.find("{", position)) >= 0:
            end = _closing_brace(text, start)
            inside = text[start + 1 : end]
            choices = _split_choices(inside)
            if len(choices) > 1 and inside not in self.forms:
                self.forms[inside] = [self._compile(choice) for choice in choices]
            template += text[position:start].replace("%", "%%") + "%s"
            slots.append(inside)
            position = end + 1
        if not slots:
            return text
        return template + text[position:].replace("%", "%%"), tuple(slots)


@cache
def load_grammar() -> Grammar:
    """The project's grammar, read once."""
    return Grammar()


def _closing_brace(text: str, start: int) -> int:
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    raise ValueError(f"a brace is not closed in: {text}")


def _split_choices(text: str) -> list[str]:
    choices, depth = [""], 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "|" and depth == 0:
            choices.append("")
        else:
            choices[-1] += character
    return choices


class Teller:
    """Draws text from a grammar with one source of chance.

    Every symbol is a bag: its forms come in a shuffled order and none returns before all have had their turn, which
    keeps the text from repeating itself. `bound` holds what slots must say now (names, the lost ring); it wins over
    the grammar.
    """

    def __init__(self, grammar: Grammar, random: Callable[[], float]) -> None:
        """`random` gives floats in [0, 1): the only source of chance."""
        self.forms, self.scripts, self.random = grammar.forms, grammar.scripts, random
        self.bound: dict[str, str] = {}
        self._kept: list[str] = []
        self._bags: dict[str, list[Form]] = {name: [] for name in self.forms}
        self._script_bags: dict[str, list[list[str]]] = {name: [] for name in self.scripts}
        self._orders: dict[str, list[int]] = {}

    def expand(self, name: str) -> str:
        """Text for slot `name`. Raises KeyError when neither the grammar nor `bound` knows it."""
        value = self.bound.get(name)
        if value is not None:
            return value
        bag = self._bags.get(name)
        if bag is None:
            return self._expand_marked(name)
        if not bag:
            self._refill(name, bag, self.forms[name])
        form = bag.pop()
        if isinstance(form, str):
            return form
        return form[0] % tuple([self.expand(slot) for slot in form[1]])

    def _expand_marked(self, name: str) -> str:
        if name[0] == "^":
            text = self.expand(name[1:])
            return text[:1].upper() + text[1:]
        symbol, dot, _ = name.partition(".")
        if not dot or symbol not in self.forms:
            raise KeyError(f"no form and nothing bound for slot {{{name}}}")
        self.bound[name] = text = self.expand(symbol)
        self._kept.append(name)
        return text

    def forget(self) -> None:
        """Drop what `{symbol.x}` slots have kept."""
        for name in self._kept:
            self.bound.pop(name, None)
        self._kept.clear()

    def script(self, name: str) -> list[str]:
        """The steps of one of the scripts called `name`."""
        bag = self._script_bags[name]
        if not bag:
            self._refill(f"*{name}", bag, self.scripts[name])
        return bag.pop()

    def below(self, count: int) -> int:
        """An integer in [0, count). `random()` is the one method whose sequence Python promises to keep."""
        return int(self.random() * count)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random() < probability

    def _refill(self, name: str, bag: list, source: list) -> None:
        """Fill an empty bag in a new order; few forms are drawn freely instead.

        What was drawn in the last third of the former order stays out of the first third of this one, so that no
        form returns at once. A bag is emptied from its end, so "last drawn" stands first in the order.
        """
        count = len(source)
        if count < SMALL:
            bag.append(source[self.below(count)])
            return
        order = self._orders.setdefault(name, list(range(count)))
        third = count // 3
        late = set(order[:third])
        for last in range(count - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        for place in range(count - third, count):
            while order[place] in late:
                other = self.below(count - third)
                order[place], order[other] = order[other], order[place]
        bag.extend([source[number] for number in order])


def fix_articles(text: str) -> str:
    """Write `an` for `a` where the next word begins with a vowel sound."""
    return _ARTICLE.sub(r"\1n", text)
