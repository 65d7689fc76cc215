"""Chapters are executed: examples, numbers in the prose, figures, answers, files that they name.

A number that is given, not computed, stands in backticks (`0.01`); every other decimal has its expression behind it.
"""

import doctest
import re
from functools import cache
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
import torch

from config.short_form import from_words
from learn.chapter import BLOCK, NUMBER, SECTIONS, Chapter, read_chapter, read_chapters
from learn.figures import controls, figure

ROOT = Path(__file__).parents[2]
CHAPTERS = {chapter.slug: chapter for chapter in read_chapters()}
FREE_FORM = ("00_how_to_learn",)  # path, glossary, questions: no formula, no quiz
TAUGHT = [slug for slug in CHAPTERS if slug not in FREE_FORM]
each = pytest.mark.parametrize("slug", CHAPTERS)
each_taught = pytest.mark.parametrize("slug", TAUGHT)


@cache
def executed(slug: str) -> tuple[dict[str, Any], str]:
    """The names that the examples of a chapter leave behind, and what did not come out as printed."""
    names: dict[str, Any] = {}
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False)
    for block in CHAPTERS[slug].blocks():
        if block.kind == "python":
            example = doctest.DocTestParser().get_doctest(block.text, names, slug, f"{slug}.md", block.line - 1)
            assert example.examples, f"{slug}.md:{block.line}: a python block without >>>"
            runner.run(example, out=report.append, clear_globs=False)
            names = example.globs
    return names, "".join(report)


@each
def test_examples_print_what_the_chapter_says(slug):
    torch.manual_seed(0)
    assert not executed(slug)[1]


def prose(chapter: Chapter) -> str:
    """The text without blocks and formulas (indented by four)."""
    return re.sub(r"^    .*$", "", BLOCK.sub("", chapter.source), flags=re.MULTILINE)


@each
def test_numbers_in_the_prose_are_the_values_of_their_expressions(slug):
    names, _ = executed(slug)
    for shown, expression in NUMBER.findall(prose(CHAPTERS[slug])):
        plain = shown.replace("−", "-").replace(",", "").rstrip(".")
        decimals = len(plain.partition(".")[2])
        value = float(eval(expression, names))
        assert f"{value:.{decimals}f}" == plain, f"{slug}: the text says {shown}, {expression} is {value}"


@each
def test_a_decimal_number_in_the_prose_has_an_expression(slug):
    text = NUMBER.sub("", prose(CHAPTERS[slug]))
    text = re.sub(r"arXiv:\S+|`[^`]*`", "", text)
    bare = re.findall(r"(?<![\w.])\d+\.\d{2,}", text)
    assert not bare, f"{slug}: {bare} in the prose, without an expression behind: 0.84<!-- gelu(1.0) -->"


@each_taught
def test_sections_stand_in_their_order(slug):
    assert tuple(section.title for section in CHAPTERS[slug].sections) == SECTIONS


@each_taught
def test_five_questions_whose_answers_hold(slug):
    names, _ = executed(slug)
    quiz = CHAPTERS[slug].quiz()
    assert len(quiz) == 5
    for question in quiz:
        assert 3 <= len(question.choices) == len(set(question.choices))
        assert 0 <= question.answer < len(question.choices) and question.why
        if question.check:
            assert eval(question.check, names), question.ask
    assert len({question.answer for question in quiz}) > 1, "the answer is always at the same place"
    assert any(question.check for question in quiz)


@each_taught
def test_figures_are_drawn_with_title_and_axes(slug):
    shown = CHAPTERS[slug].section("Figure").figures()
    assert shown
    for name in shown:
        drawn = figure(name)()
        assert isinstance(drawn, go.Figure) and drawn.data and drawn.layout.title.text


@each_taught
def test_what_it_says_to_try_can_be_trained(slug):
    wanted = CHAPTERS[slug].section("Try this").toml("try")
    if wanted:
        assert wanted["label"] and from_words(wanted["words"]).config()


@each
def test_files_that_it_names_exist(slug):
    for name in re.findall(r"`([\w/]+\.(?:py|md|toml))`", CHAPTERS[slug].source):
        assert (ROOT / name).exists(), f"{slug} names {name}"


@each_taught
def test_it_names_a_paper_and_a_file(slug):
    chapter = CHAPTERS[slug]
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|\d{4}", chapter.section("Paper").text)
    assert re.search(r"`[\w/]+\.py`", chapter.section("In this repository").text)


def test_a_wrong_number_an_unmarked_one_and_a_wrong_print_are_found(tmp_path):
    path = tmp_path / "99_wrong.md"
    path.write_text("# Wrong\n\n## By hand\n\n1.42<!-- 2 ** 0.5 --> and 3.14\n\n```python\n>>> 1 + 1\n3\n```\n")
    CHAPTERS["99_wrong"] = read_chapter(path)
    try:
        with pytest.raises(AssertionError):
            test_examples_print_what_the_chapter_says("99_wrong")
        with pytest.raises(AssertionError, match=r"says 1\.42"):
            test_numbers_in_the_prose_are_the_values_of_their_expressions("99_wrong")
        with pytest.raises(AssertionError, match=r"3\.14"):
            test_a_decimal_number_in_the_prose_has_an_expression("99_wrong")
    finally:
        del CHAPTERS["99_wrong"]


@each_taught
def test_what_can_be_moved_in_a_figure_draws_at_both_ends(slug):
    for name in CHAPTERS[slug].section("Figure").figures():
        moved = controls(name)
        assert moved
        for argument, (slider, default) in moved.items():
            assert slider.minimum <= default <= slider.maximum
            for end in (slider.minimum, slider.maximum):
                assert figure(name)(**{argument: type(default)(end)}).data
