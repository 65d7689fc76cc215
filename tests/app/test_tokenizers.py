"""Tokenizers, through main.py: the text in tokens, all tokenizers, merges, sizes, bad input, and what survives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ui.tokenizer_form import EXAMPLE

ROOT = Path(__file__).parents[2]
PAGE = "pages/try_tokenizers.py"
OWN = "The text above"
TABS = ("Tokens", "Side by side", "Merges", "Vocabulary size")


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, [entry.value for entry in app.exception]
    return app


@pytest.fixture
def app(monkeypatch, tmp_path):
    """The page in a folder with a short training.txt, on a machine without GPT-2's vocabulary."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    text = (ROOT / "training.txt").read_text(encoding="utf-8")[:60_000]
    (tmp_path / "training.txt").write_text(text, encoding="utf-8")
    return healthy(AppTest.from_file(ROOT / "main.py", default_timeout=60).switch_page(PAGE).run())


def html(app: AppTest) -> str:
    return " ".join(part.proto.body for part in app.get("html") if "<style" not in part.proto.body)


def rows(app: AppTest) -> list[list[dict]]:
    """The tokens of every view, in order."""
    return [json.loads(view.proto.json)["rows"][0] for view in app.get("bidi_component")]


def shown(tokens: list[dict]) -> str:
    return "".join(token["text"] for token in tokens).replace("⏎", "").replace("␣", " ")


def open_tab(app: AppTest, name: str) -> AppTest:
    app.session_state["tokenizer-tab"] = name
    return healthy(app.run())


def write(app: AppTest, text: str) -> AppTest:
    return healthy(app.text_area(key="tokenizer-text").set_value(text).run())


def learn_from_own(app: AppTest) -> AppTest:
    return healthy(app.button_group(key="tokenizer-source").set_value(OWN).run())


def controls(app: AppTest) -> int:
    kinds = ("text_area", "number_input", "slider", "button_group", "button", "selectbox", "toggle")
    return sum(len(app.get(kind)) for kind in kinds)


def test_opens_cold_with_a_text_in_coloured_tokens(app):
    (tokens,) = rows(app)
    assert len(tokens) == int(app.metric[0].value.replace(",", ""))
    assert all("id" in token and "bytes" in token["tooltip"] for token in tokens)
    assert app.code[0].value.split() == [str(token["id"]) for token in tokens]
    assert app.metric[2].value == "512" and 'class="problem"' not in html(app)


def test_few_controls_each_with_a_help_line(app):
    for tab in TABS:
        open_tab(app, tab)
        assert 3 <= controls(app) <= 12
        for kind in ("text_area", "number_input", "slider", "button_group", "button"):
            assert all(control.proto.help for control in app.get(kind)), kind


def test_torch_is_not_loaded():
    program = (
        "import sys; from streamlit.testing.v1 import AppTest; app = AppTest.from_file('main.py', default_timeout=60);"
        f"app.run(); app.switch_page('{PAGE}').run();"
        "assert app.title[0].value == 'Tokenizers' and not app.exception; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_each_tokenizer_draws_the_text(app):
    write(app, "The king said so.")
    counts = {}
    for kind in ("byte", "sentencepiece", "bpe"):
        healthy(app.button_group(key="tokenizer-kind").set_value(kind).run())
        assert shown(rows(app)[0]) == "The king said so."
        counts[kind] = int(app.metric[0].value)
    assert counts["byte"] == 17 and max(counts["bpe"], counts["sentencepiece"]) < 12


def test_the_character_tokenizer_of_another_text_shows_what_it_does_not_know(app):
    write(app, "The king ☃ said")
    healthy(app.button_group(key="tokenizer-kind").set_value("character").run())
    assert [token["text"] for token in rows(app)[0] if token.get("quiet")] == ["☃"]
    assert "Not in its vocabulary" in html(app) and app.metric[0].value == "14"


def test_without_gpt2s_vocabulary_there_is_one_quiet_sentence(app):
    healthy(app.button_group(key="tokenizer-kind").set_value("gpt2").run())
    assert "is not on this machine" in html(app) and 'class="problem"' not in html(app)


def test_side_by_side_counts_all_that_can(app):
    open_tab(app, "Side by side")
    assert len(rows(app)) == 4
    for kind in ("character", "byte", "bpe", "sentencepiece"):
        assert f"<td>{kind}</td>" in html(app)
    assert "is not on this machine" in html(app)


def test_markup_in_a_text_stays_text(app):
    text = "<img src=x> **b** $x$ :red[a]"
    write(learn_from_own(app), text)
    assert shown(rows(app)[0]) == text
    open_tab(app, "Merges")
    assert "<img" not in html(app) and not [entry for entry in app.markdown if "<img" in entry.value]


def test_merges_one_at_a_time(app):
    write(learn_from_own(app), "low low low lower lower lowest")
    open_tab(app, "Merges")
    assert "Merge 1" in html(app) and "<code>l</code> + <code>o</code> → <code>lo</code>" in html(app)
    assert "6 times together in your text" in html(app) and "This merge makes your text 6 shorter: 24 tokens" in html(
        app
    )
    assert [token["text"] for token in rows(app)[0] if token["marked"]] == ["lo"] * 6
    healthy(app.button(key="merge-next").click().run())
    assert "<code>lo</code> + <code>w</code> → <code>low</code>" in html(app)
    assert [token["text"] for token in rows(app)[0] if token["marked"]] == ["low"] * 6
    app.button(key="merge-previous").click().run()
    healthy(app.button(key="merge-previous").click().run())
    assert "every byte is a token" in html(app) and app.button(key="merge-previous").disabled
    assert not [token for token in rows(app)[0] if token["marked"]]
    healthy(app.slider(key="tokenizer-step").set_value(app.slider(key="tokenizer-step").max).run())
    assert app.button(key="merge-next").disabled


def test_a_smaller_vocabulary_has_fewer_merges_to_step_through(app):
    open_tab(app, "Merges")
    healthy(app.slider(key="tokenizer-step").set_value(200).run())
    healthy(app.number_input(key="tokenizer-vocab").set_value(300).run())
    assert app.slider(key="tokenizer-step").value == app.slider(key="tokenizer-step").max == 44
    healthy(app.number_input(key="tokenizer-vocab").set_value(256).run())
    assert not app.slider and "No merges yet" in app.text[0].value


def test_the_plot_falls_and_says_where_it_was_measured(app):
    open_tab(app, "Vocabulary size")
    (chart,) = [part for part in app.get("bidi_component") if part.proto.component_name == "llm_plot"]
    (line,) = json.loads(json.loads(chart.proto.json)["figure"])["data"]
    assert line["x"][0] == 256 and 512 in line["x"] and line["y"] == sorted(line["y"], reverse=True)
    assert line["y"][0] == len(EXAMPLE.encode()) and "parameters" in html(app)
    assert "very text it was learned from" not in html(app)
    assert "very text it was learned from" in html(learn_from_own(app))


@pytest.mark.parametrize(
    ("size", "words"), [(100, "no room for the 256 bytes"), (9_000, "stops at a vocabulary of 8,192")]
)
def test_a_bad_vocabulary_size_is_a_sentence(app, size, words):
    healthy(app.number_input(key="tokenizer-vocab").set_value(size).run())
    assert words in html(app) and app.metric[2].value == "512"


def test_a_text_with_few_pairs_says_where_bpe_stops(app):
    write(learn_from_own(app), "abcdef abc")
    assert "bpe stops there" in html(app) and app.metric[2].value == "258"


@pytest.mark.parametrize("text", ["a", "\n", "\x00\x01", "👩‍👩‍👧 e\u0301 日本語", "▁", "word" * 20_000])
def test_any_text_can_be_pasted(app, text):
    write(learn_from_own(app), text)
    for tab in TABS:
        open_tab(app, tab)


def test_an_empty_text_invites(app):
    for tab in TABS:
        open_tab(write(app, ""), tab)
        assert "There is no text yet" in app.text[0].value


def test_without_training_txt_there_is_a_sentence_and_the_own_text_works(app, tmp_path):
    (tmp_path / "training.txt").unlink()
    healthy(app.run())
    assert "training.txt" in html(app) and 'class="problem"' in html(app)
    for tab in ("Side by side", "Merges", "Vocabulary size"):
        open_tab(app, tab)
    open_tab(learn_from_own(app), "Merges")
    assert "Merge 1" in html(app)


def test_everything_survives_a_visit_to_another_page(app):
    write(learn_from_own(app), "one two three one two three")
    app.number_input(key="tokenizer-vocab").set_value(260).run()
    healthy(app.button_group(key="tokenizer-kind").set_value("byte").run())
    app.switch_page("pages/generate_text.py").run()
    healthy(app.switch_page(PAGE).run())
    assert app.text_area(key="tokenizer-text").value == "one two three one two three"
    assert app.number_input(key="tokenizer-vocab").value == 260
    assert app.button_group(key="tokenizer-source").value == OWN
    assert app.button_group(key="tokenizer-kind").value == "byte"
