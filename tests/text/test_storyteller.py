"""The storyteller: good English on the surface, kept promises underneath, the same bytes everywhere."""

import gzip
import re
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import pytest

from text.grammar import FOLDER, Grammar, Teller, fix_articles, load_grammar
from text.stage import Piece
from text.storyteller import generate, generate_pieces, write

ROOT = Path(__file__).parents[2]
TRAINING = ROOT / "training.txt"


@pytest.fixture(scope="module")
def text() -> str:
    return TRAINING.read_bytes().decode("ascii")


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    return list(islice(generate_pieces(2), 500))


def sentences(text: str) -> list[str]:
    prose = [line for line in text.split("\n") if line and not line.endswith((":", ",")) and not line.isupper()]
    return [sentence for line in prose for sentence in re.split(r'(?<=[.!?])["\')]*\s+', line) if " " in sentence]


def test_writes_the_committed_file_bit_for_bit(tmp_path: Path) -> None:
    written = write(tmp_path / "again.txt", megabytes=1, seed=1)
    assert written == TRAINING.stat().st_size
    assert (tmp_path / "again.txt").read_bytes() == TRAINING.read_bytes()


def test_another_seed_tells_other_stories() -> None:
    assert list(islice(generate(3), 5)) == list(islice(generate(3), 5))
    assert list(islice(generate(3), 5)) != list(islice(generate(4), 5))


def test_memory_stays_constant(tmp_path: Path) -> None:
    write(tmp_path / "warm.txt", megabytes=0.5, seed=1)
    tracemalloc.start()
    write(tmp_path / "long.txt", megabytes=2, seed=1)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


@pytest.mark.parametrize(
    "mistake",
    [
        r"  ",
        r"[ \t]\n",
        r"\n{4,}",
        r"[{}%|;]\n",
        r"[{}%|_#\\]",
        r"\b[Aa] [aeio]",
        r"\b[Aa]n [^aeiouhAEIOU\"]",
        r" [,.;!?]",
        r"[,;:][.,;!?]",
        r"\.\.",
        r"\b([A-Za-z]+) \1\b",
        r"[.!?] [a-z]",
        r"\bi\b",
        r"\b(?:a|an|the) (?:a|an|the)\b",
        r"(?:ch|sh|x|z)s\b",
    ],
)
def test_no_slips_of_the_pen(text: str, mistake: str) -> None:
    slips = [text[max(0, slip.start() - 40) : slip.end() + 20] for slip in re.finditer(mistake, text)]
    assert not slips, slips[:5]


def test_characters_are_few(text: str) -> None:
    assert 60 <= len(set(text)) <= 75
    assert "\r" not in text and text.endswith("\n\n\n")


def test_sentences_are_many_and_none_is_worn_out(text: str) -> None:
    counts = Counter(sentences(text))
    assert len(counts) > 12_000
    assert counts.most_common(1)[0][1] / counts.total() < 0.003


def test_is_as_hard_to_compress_as_natural_text(text: str) -> None:
    data = text.encode("ascii")
    assert len(gzip.compress(data, 9)) / len(data) > 0.28


def test_later_megabytes_bring_new_sentences() -> None:
    seen: set[str] = set()
    for piece in islice(generate(1), 600):
        seen.update(sentences(piece))
    later = [sentence for piece in islice(generate(1), 600, 800) for sentence in sentences(piece)]
    assert sum(sentence not in seen for sentence in later) / len(later) > 0.3


def test_every_promise_is_resolved(pieces: list[Piece]) -> None:
    for piece in pieces:
        assert piece.made and piece.made == piece.kept, piece.title


def test_every_script_resolves_what_it_makes() -> None:
    scripts = load_grammar().scripts
    for kind in ("play", "tale", "talk", "letters"):
        for steps in scripts[kind]:
            made = [step.split()[1] for step in steps if step.startswith("make ")]
            endings = [scripts[step.split()[1]] for step in steps if step.startswith("go ")] or [[[]]]
            for ending in endings[0]:
                kept = [step.split()[1] for step in [*steps, *ending] if step.startswith("keep ")]
                assert made and sorted(made) == sorted(kept), steps


def test_what_was_lost_is_named_again_at_the_end(pieces: list[Piece]) -> None:
    lost = [piece for piece in pieces if re.match(r"THE LOST |THE BORROWED ", piece.title)]
    assert lost
    for piece in lost:
        thing = re.match(r"THE (?:LOST|BORROWED) (.+)", piece.title)[1].lower()
        half = len(piece.text) // 2
        assert thing in piece.text[:half].lower() and thing in piece.text[half:].lower(), piece.title


def test_the_cast_are_the_ones_who_speak(pieces: list[Piece]) -> None:
    plays = [piece for piece in pieces if piece.kind == "play"]
    assert len(plays) > 100
    for piece in plays:
        listed = re.findall(r"(?:Persons: |; )([A-Z][a-z]+), (?:an?|the) ", piece.text.split("\nScene:")[0])
        cues = re.findall(r"^([A-Z][a-z]+):$", piece.text, re.MULTILINE)
        assert listed == [person.name for person in piece.cast.values()] and set(listed) == set(cues), piece.title


def test_nobody_speaks_twice_in_a_row(pieces: list[Piece]) -> None:
    for piece in pieces:
        cues = [re.match(r"([A-Z][a-z]+(?: [A-Z][a-z]+)?):\n", block) for block in piece.blocks]
        for former, latter in pairwise(cues):
            assert former is None or latter is None or former[1] != latter[1], piece.title


def test_letters_go_back_and_forth_and_later(pieces: list[Piece]) -> None:
    for piece in (piece for piece in pieces if piece.kind == "letters"):
        names = [person.name for person in piece.cast.values()][:2]
        signed = [name for block in piece.blocks for name in names if re.fullmatch(rf".+\n{name}", block)]
        greeted = [name for block in piece.blocks for name in names if re.fullmatch(rf"[A-Z][a-z ]+ {name},", block)]
        assert len(signed) == len(greeted) >= 4
        assert all(signer != reader for signer, reader in zip(signed, greeted, strict=True))


def needs(grammar: Grammar, symbol: str, seen: set[str]) -> set[str]:
    """The bindings (A.his, THING, you ...) that a symbol's forms ask for, however deep."""
    found: set[str] = set()
    for form in grammar.forms[symbol]:
        for slot in () if isinstance(form, str) else form[1]:
            name = slot.removeprefix("^")
            below = name if name in grammar.forms else name.partition(".")[0]
            if below not in grammar.forms:
                found.add(name)
            elif below not in seen:
                seen.add(below)
                found |= needs(grammar, below, seen)
    return found


def test_every_slot_of_every_script_is_filled() -> None:
    grammar = load_grammar()

    def told(script: str) -> Iterator[tuple[list[str], set[str]]]:
        for steps in grammar.scripts[script]:
            found: set[str] = set()
            for command, *arguments in (step.split() for step in steps):
                last = arguments[-1] if arguments else ""
                if command in ("say", "tell", "stage", "title", "scene"):
                    found |= needs(grammar, last, set())
                elif command == "chat" and len(arguments) == 3:
                    for turn in (turn for exchange in grammar.scripts[last] for turn in exchange):
                        found |= needs(grammar, turn, set())
                elif command == "go":
                    for _, more in told(last):
                        found |= more
            yield steps, found

    for kind in ("play", "tale", "talk", "letters"):
        for steps, found in told(kind):
            words = " ".join(steps)
            given = {"TOWN", "PLACE", "you", "me", "you.role", "me.role", *re.findall(r"let ([A-Z]+)=", words)}
            given |= {"HERE", "weather_line"} if kind == "letters" else set()
            people = {member[0] for member in re.search(r"cast ([^;]+)", steps[0])[1].split()}
            lacking = {name for name in found - given if name.partition(".")[0] not in people}
            assert not lacking, f"{lacking} in {words}"


def test_every_step_of_a_script_has_its_words() -> None:
    grammar = load_grammar()
    for scripts in grammar.scripts.values():
        for step in (step for script in scripts for step in script):
            command, *arguments = step.split()
            if command in ("say", "tell", "stage", "title", "scene"):
                assert arguments[-1] in grammar.forms, step
            elif command == "go" or (command == "chat" and len(arguments) == 3):
                assert arguments[-1] in grammar.scripts, step


def test_grammar_is_ascii_and_every_symbol_is_used() -> None:
    source = "".join(path.read_text(encoding="ascii") for path in sorted(FOLDER.glob("*.txt")))
    used = set(re.findall(r"[a-z_]+", re.sub(r"\[[*/]?[a-z_]+,?\]", "", source)))
    by_code = (
        r"kind|play|tale|talk|letters|town|place|name_[fm]|fond|role|oath|tag|turning|chat|song|ordinals|dateline|"
        r"salutation|closing|(winter|spring|summer|autumn)_line"
    )
    defined = set(re.findall(r"\[[*/]?([a-z_]+),?\]", source))
    unused = {name for name in defined - used if not re.fullmatch(by_code, name)}
    assert not unused


def test_choices_slots_and_kept_words(tmp_path: Path) -> None:
    (tmp_path / "small.txt").write_text("[line]\n{^pet.a} and {pet.a}, {one|one}\n[pet,]\ncat, cat\n", encoding="ascii")
    teller = Teller(Grammar(tmp_path), lambda: 0.5)
    assert teller.expand("line") == "Cat and cat, one"
    with pytest.raises(KeyError, match="dragon"):
        teller.expand("dragon")


def test_a_bag_gives_every_form_before_any_returns(tmp_path: Path) -> None:
    (tmp_path / "small.txt").write_text("[pet,]\na, b, c, d, e, f, g\n", encoding="ascii")
    teller = Teller(Grammar(tmp_path), Random(1).random)
    for _ in range(20):
        former, latter = ([teller.expand("pet") for _ in range(7)] for _ in range(2))
        assert sorted(former) == sorted(latter) == list("abcdefg")
        assert not set(former[-2:]) & set(latter[:2])


def test_text_outside_a_section_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stray.txt").write_text("stray\n", encoding="ascii")
    with pytest.raises(ValueError, match=r"stray\.txt, line 1"):
        Grammar(tmp_path)


def test_articles() -> None:
    assert fix_articles("a apple, A owl, a hour, a honest uncle") == "an apple, An owl, an hour, an honest uncle"
    assert fix_articles("a one-eyed unicorn, a useful ewe") == "a one-eyed unicorn, a useful ewe"
