"""The form in the address: what a link says comes back, and what a hostile one says is refused field by field."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from config.fields import describe
from config.presets import load_preset
from runs import folder
from ui import form, link, text_panel, uploads

ROOT = Path(__file__).parents[2]
TRAIN = "pages/train_model.py"


@pytest.fixture(autouse=True)
def nothing_is_launched(checkpoints, monkeypatch):
    monkeypatch.setattr("runs.launch.launch", lambda run: None)


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, [entry.value for entry in app.exception]
    return app


def open_form(**words) -> AppTest:
    """A new session that opens a link; a list is a word that is given several times."""
    app = AppTest.from_file(ROOT / "main.py", default_timeout=60).run()
    app.switch_page(TRAIN)
    for name, value in words.items():
        app.query_params[name] = value
    return healthy(app.run())


def link_in(app: AppTest) -> str:
    (found,) = [block.value for block in app.code if block.value.startswith(("/train", "http"))]
    return found


def words_in(app: AppTest) -> dict[str, str]:
    address = urlsplit(link_in(app))
    assert address.path.endswith("/train")
    return dict(parse_qsl(address.query, keep_blank_values=True))


def values(app: AppTest) -> dict[str, object]:
    """Everything the form stands on."""
    keys = [form.key(section, name) for section, kind in form.SECTIONS.items() for name in describe(kind)]
    return {name: app.session_state[name] for name in (*keys, "preset", "size", "implementation")}


def refused(app: AppTest) -> str:
    """The sentences about the link, as they are read: without what keeps Markdown from seeing markup in them."""
    told = "\n".join(warning.value for warning in app.warning if "of the link" in warning.value)
    return told.replace("\\", "").replace("\u200b", "")


def test_an_untouched_form_has_a_short_link():
    assert words_in(open_form()) == {"architecture": "gpt2", "model_size": "tiny"}


def test_what_is_changed_goes_round_through_the_address():
    app = open_form()
    app.button(key="preset-olmo").click().run()
    app.button_group(key="size").set_value("small").run()
    app.button_group(key="model-position").set_value("none").run()
    app.number_input(key="model-n_kv_heads").set_value(2).run()
    app.number_input(key="model-dropout").set_value(0.05).run()
    app.number_input(key="training-max_steps").set_value(321).run()
    app.number_input(key="training-lr").set_value(0.000123456789).run()
    app.text_input(key="training-sample_prompt").set_value("Ü & x=y?#").run()
    app.button_group(key="implementation").set_value("einops").run()
    words = words_in(healthy(app.run()))
    assert words == {
        "architecture": "olmo", "model_size": "small", "implementation": "einops", "position": "none",
        "n_kv_heads": "2", "dropout": "0.05", "max_steps": "321", "lr": "0.000123456789", "sample_prompt": "Ü & x=y?#",
    }  # fmt: skip
    opened = open_form(**words)
    assert values(opened) == values(app) and refused(opened) == "" and link_in(opened) == link_in(app)


def test_an_opened_form_can_be_changed_and_stays_changed():
    app = open_form(architecture="llama", n_layers="6")
    assert app.session_state["preset"] == "llama" and app.session_state["model-n_layers"] == 6
    app.number_input(key="model-n_layers").set_value(3).run()
    assert healthy(app.run()).session_state["model-n_layers"] == 3  # the address still says 6
    app.query_params["n_layers"] = "7"  # another link
    assert healthy(app.run()).session_state["model-n_layers"] == 7


def test_a_link_that_is_opened_again_fills_the_form_again():
    app = open_form(n_layers="6")
    del app.query_params["n_layers"]
    healthy(app.run())
    app.number_input(key="model-n_layers").set_value(3).run()
    app.query_params["n_layers"] = "6"
    assert healthy(app.run()).session_state["model-n_layers"] == 6


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"n_laiers": "4"}, "n_laiers: unknown field; did you mean n_layers?"),
        ({"n_layers": "many"}, "n_layers must be a whole number, not 'many'"),
        ({"n_layers": "1000000000"}, "n_layers 1,000,000,000 is above 1,024"),
        ({"n_layers": ["4", "5"]}, "n_layers is given 2 times"),
        ({"lr": "nan"}, "lr must be a finite number"),
        ({"architecture": "<script>alert(1)</script>"}, "architecture '<script>alert(1)</script>' is not one of"),
        ({"model_size": "8b", "architecture": "llama3"}, "model_size '8b' is not one of tiny, small"),
        ({"position": "![x](http://evil.example/x.png)"}, "position '![x](http://evil.example/x.png)' is not one of"),
        ({"text_file": "/etc/passwd"}, "text_file '/etc/passwd' is no text that this page knows"),
        ({"text_file": "checkpoints/.uploads/../../secret.txt"}, "is no text that this page knows"),
        ({"text_file": f"/tmp/{'0' * 64}.txt"}, "is no text that this page knows"),
        ({"sample_prompt": "x" * 5_000}, "sample_prompt has 5,000 characters"),
        ({"d_vocab": "3"}, "d_vocab: unknown field"),
        ({"text_kind": "pairs"}, "text_kind belongs to fine-tuning"),
        ({"__proto__": "1"}, "__proto__: unknown field"),
    ],
)
def test_each_word_is_refused_alone_and_the_others_fill_the_form(words, sentence):
    app = open_form(**({"seed": "77"} | words))
    assert sentence in refused(app) and "**1 setting of the link" in refused(app)
    assert app.session_state["training-seed"] == 77
    assert app.session_state["data-text_file"] == "training.txt"
    defaults = load_preset(app.session_state["preset"], "tiny").to_dict()
    assert app.session_state["model-n_layers"] == defaults["n_layers"] and not app.button(key="start").disabled
    assert "img" not in "".join(block.proto.body for block in app.get("html")).lower().replace("<img class", "")
    healthy(app.button(key="link_seen").click().run())
    assert refused(app) == ""


def test_a_published_size_is_filled_in_as_it_was_published():
    app = open_form(architecture="llama3", model_size="llama-3.2-1b", n_layers="2")
    assert refused(app) == "" and app.session_state["size"] == "llama-3.2-1b"
    expected = load_preset("llama3", "llama-3.2-1b").replace(n_layers=2).to_dict()
    assert {name: app.session_state[f"model-{name}"] for name in expected} == expected


def test_what_does_not_go_together_is_filled_in_with_its_problem():
    app = open_form(architecture="llama", n_heads="3")
    assert app.session_state["model-n_heads"] == 3 and refused(app) == "" and app.button(key="start").disabled
    assert any("not divisible by n_heads 3" in block.proto.body for block in app.get("html"))


def test_a_text_that_was_uploaded_here_is_opened_again(checkpoints):
    path = uploads.store(b"to be or not to be, that is the question. " * 200, checkpoints)
    app = open_form(text_file=str(path))
    assert refused(app) == "" and app.session_state["data-text_file"] == str(path)
    assert app.session_state["text-source"] == text_panel.OWN and not app.button(key="start").disabled
    assert words_in(app)["text_file"] == str(path)
    assert not link.is_known_text(str(path)[:-5] + "0.txt")


def test_the_address_of_a_run_is_no_link_to_a_form(checkpoints):
    app = open_form(run="20260101000000", n_layers="9")
    assert app.title[0].value == "No such run"
    assert checkpoints == folder.CHECKPOINTS
