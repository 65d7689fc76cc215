"""Learn: every chapter opens, figures move, quizzes answer and remember."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from learn.chapter import read_chapters
from tests.app.fake_runs import add_checkpoint, make_run
from ui import learn_progress
from ui.learn_walk import spoken

ROOT = Path(__file__).parents[2]
CHAPTERS = {chapter.slug: chapter for chapter in read_chapters()}


@pytest.fixture
def page(checkpoints):
    app = AppTest.from_file(str(ROOT / "main.py"), default_timeout=60)
    app.switch_page("pages/learn_chapters.py")
    return app


def test_every_chapter_opens(page):
    for slug, chapter in CHAPTERS.items():
        page.query_params["chapter"] = slug
        page.run()
        assert not page.exception, slug
        assert chapter.title in [header.value for header in page.header]


def test_an_unknown_chapter_is_said_and_the_first_one_opens(page):
    page.query_params["chapter"] = "<script>"
    page.run()
    assert not page.exception
    assert "no chapter of that name" in page.warning[0].value
    assert page.header[0].value == next(iter(CHAPTERS.values())).title


def test_answers_are_answered_and_what_was_right_is_remembered(page, checkpoints):
    slug = "04_attention"
    page.query_params["chapter"] = slug
    page.run()
    question = CHAPTERS[slug].quiz()[0]
    wrong = next(choice for place, choice in enumerate(question.choices) if place != question.answer)
    page.radio(key=f"quiz-{slug}-0").set_value(wrong).run()
    assert "choose another" in page.info[0].value and not learn_progress.read()
    page.radio(key=f"quiz-{slug}-0").set_value(question.choices[question.answer]).run()
    assert question.why in page.success[0].value
    assert learn_progress.read() == {slug: [0]}

    again = AppTest.from_file(str(ROOT / "main.py"), default_timeout=60)
    again.switch_page("pages/learn_chapters.py")
    again.query_params["chapter"] = slug
    again.run()
    assert again.radio(key=f"quiz-{slug}-0").value == question.choices[question.answer]


def test_a_figure_moves(page):
    page.query_params["chapter"] = "03_positions"
    page.run()
    page.slider(key="rope_circle-query").set_value(9).run()
    assert not page.exception
    assert page.slider(key="rope_circle-query").value == 9


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"04_attention": "all"}', '{"04_attention": [true, "x", 2]}'])
def test_notes_that_cannot_be_read_are_no_error(checkpoints, content):
    checkpoints.mkdir()
    (checkpoints / learn_progress.FILE).write_text(content)
    assert learn_progress.read() in ({}, {"04_attention": [2]})


def test_without_a_model_the_walk_invites_to_train_one(page):
    page.query_params["chapter"] = "walk"
    page.run()
    assert not page.exception
    assert page.button(key="walk-demo").label == "Train a tiny LLaMA now"


def test_a_sentence_is_followed_and_an_unknown_character_is_said(page, checkpoints):
    finished = make_run(checkpoints, state="finished")
    add_checkpoint(finished)
    add_checkpoint(make_run(checkpoints, state="running"))
    page.query_params["chapter"] = "walk"
    page.run()
    assert page.selectbox(key="walk-run").value == finished.id
    page.text_input(key="walk-sentence").set_value("we speak").run()
    assert not page.exception
    assert [part.value for part in page.subheader] == [
        "1 · Tokens", "2 · Vectors", "3 · Attention", "4 · The stream", "5 · What comes next",
    ]  # fmt: skip
    page.text_input(key="walk-sentence").set_value("王").run()
    assert not page.exception and "王" in page.warning[0].value


def test_a_number_of_the_walk_has_no_sign_at_zero_and_none_in_the_future():
    assert [spoken(value, 2) for value in (None, float("nan"), -0.001, 0.256, -1.5)] == [
        "",
        "",
        "0.00",
        "0.26",
        "-1.50",
    ]
