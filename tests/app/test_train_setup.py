"""Train before Start, through main.py: presets, every control, every reason not to start, and Start itself."""

import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from config.fields import describe
from config.presets import PRESET_NAMES, SIZES, load_preset
from config.sizes import flops_per_token, runtime_bytes
from runs import folder
from runs.files import write_json
from runs.folder import delete_run
from tests.app.fake_runs import alive, make_run
from ui import builder, engines, form, text_panel

ROOT = Path(__file__).parents[2]
TRAIN = "pages/train_model.py"


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """A checkpoints folder of our own, and the runs that were launched in it; no worker is started."""
    runs = []
    monkeypatch.setattr(folder, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr("runs.launch.launch", runs.append)
    return runs


@pytest.fixture
def page(launched):
    app = AppTest.from_file(ROOT / "main.py", default_timeout=30).run()
    return healthy(app.switch_page(TRAIN).run())


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, [entry.value for entry in app.exception]
    return app


def problems(app: AppTest) -> str:
    """What stands in red under the controls."""
    return " ".join(block.proto.body for block in app.get("html") if 'class="problem' in block.proto.body)


def start_button(app: AppTest):
    return app.button(key="start")


def test_opens_cold_ready_to_train(page):
    assert not start_button(page).disabled
    assert "parameters" in page.markdown[0].value or any("parameters" in m.value for m in page.markdown)
    assert problems(page) == ""


def test_at_most_a_dozen_settings_before_more_is_opened():
    basic = [info for info in form.describe(form.SECTIONS["model"]).values() if info.basic]
    assert len(basic) + 1 <= 12  # and the size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PRESET_NAMES)
def test_every_preset_in_every_size_fills_the_form(page, name, size):
    page.button_group(key="size").set_value(size).run()
    healthy(page.button(key=f"preset-{name}").click().run())
    expected = load_preset(name, size).to_dict()
    assert {key: page.session_state[f"model-{key}"] for key in expected} == expected


def test_size_keeps_a_changed_component(page):
    page.button_group(key="model-position").set_value("alibi").run()
    page.button_group(key="size").set_value("small")
    healthy(page.run())
    assert page.session_state["model-position"] == "alibi"
    assert page.session_state["model-d_model"] == 256


def test_change_is_told_and_reset_takes_it_back(page):
    page.button(key="preset-llama").click().run()
    page.button_group(key="model-position").set_value("alibi").run()
    assert any("LLaMA, modified: Positions rope → alibi" in badge.value for badge in page.markdown)
    healthy(page.button(key="reset").click().run())
    assert page.session_state["model-position"] == "rope"
    assert not any("modified" in badge.value for badge in page.markdown)


@pytest.mark.parametrize("position", ["learned", "rope", "alibi", "sinusoidal", "none"])
def test_every_position_can_be_chosen(page, position):
    healthy(page.button_group(key="model-position").set_value(position).run())
    assert not start_button(page).disabled


def test_every_control_can_be_changed_once(page):
    for number in page.number_input:
        info_step = number.step or 1
        healthy(number.set_value((number.value or 0) + info_step).run())
    for toggle in page.toggle:
        healthy(toggle.set_value(not toggle.value).run())
    for box in page.selectbox:
        healthy(box.set_value(box.options[-1]).run())


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("model-n_heads", 3, "d_model 128 is not divisible by n_heads 3"),
        ("model-n_kv_heads", 3, "n_heads 4 is not a multiple of n_kv_heads 3"),
        ("model-n_layers", 1_000_000_000, "n_layers 1,000,000,000 is above 1,024"),
        ("model-d_model", 0, "d_model 0 is below 1"),
        ("model-d_model", None, "Width is empty"),
        ("model-dropout", 2.0, "dropout 2.0 is above"),
        ("model-n_ctx", 1_000_000, "a context of 1,000,000 needs at least 1,000,001"),
        ("training-warmup_steps", 5_000, "warmup_steps 5,000 is more than max_steps 2,000"),
        ("training-grad_accumulation", 5, "batch_size 12 cannot be cut into 5"),
        ("training-min_lr", 0.01, "min_lr 0.01 is above lr 0.001"),
    ],
)
def test_problem_stands_beside_its_control_and_forbids_start(page, field, value, sentence):
    healthy(page.number_input(key=field).set_value(value).run())
    assert problems(page).count(sentence) == 2  # below the control, and in the card beside Start
    assert start_button(page).disabled


def test_all_problems_are_told_at_once(page):
    page.number_input(key="model-n_heads").set_value(3)
    page.number_input(key="training-warmup_steps").set_value(5_000)
    healthy(page.run())
    assert "not divisible" in problems(page) and "warmup_steps" in problems(page)
    assert any("2 things to mend" in text.value for text in page.markdown)


def test_model_that_cannot_fit_is_refused_with_the_numbers(page, monkeypatch):
    monkeypatch.setattr("runs.machine.available_memory_bytes", lambda: 200_000_000)
    healthy(page.run())
    assert "GB of memory" in problems(page) and start_button(page).disabled


def test_model_that_barely_fits_is_warned_about(page, monkeypatch):
    monkeypatch.setattr("runs.machine.available_memory_bytes", lambda: runtime_bytes() + 200_000_000)
    healthy(page.run())
    assert "of the memory that is free" in page.warning[0].value and not start_button(page).disabled


def test_switches_of_single_families_are_shown_on_request_or_where_they_are_set(page):
    def shown(name):
        return f"model-{name}" in [control.key for control in (*page.number_input, *page.toggle)]

    assert shown("norm_bias") and not shown("embedding_norm") and not shown("logit_softcap")
    healthy(page.toggle(key="all-switches").set_value(True).run())
    assert shown("embedding_norm") and shown("logit_softcap")
    page.toggle(key="model-embedding_norm").set_value(True).run()
    healthy(page.toggle(key="all-switches").set_value(False).run())
    assert shown("embedding_norm") and not shown("logit_softcap")


def test_groups_open_by_themselves_where_something_is_to_mend(page):
    groups = {entry.label: entry.proto.expanded for entry in page.expander}
    assert {"Attention", "Experts", "Norms and residual stream"} <= groups.keys() and not any(groups.values())
    healthy(page.text_input(key="model-attention_pattern").set_value("wf").run())
    assert "set window, e.g. to 16" in problems(page)
    opened = {entry.label for entry in page.expander if entry.proto.expanded}
    assert opened == {"More", "Attention"}


def test_settings_without_effect_are_hidden_and_keep_their_value(page):
    assert "model-rope_theta" not in [number.key for number in page.number_input]
    page.button_group(key="model-position").set_value("rope").run()
    page.number_input(key="model-rope_theta").set_value(500_000.0).run()
    page.button_group(key="model-position").set_value("alibi").run()
    page.button_group(key="model-position").set_value("rope")
    healthy(page.run())
    assert page.number_input(key="model-rope_theta").value == 500_000.0


def test_values_survive_another_page(page):
    page.button(key="preset-olmo").click().run()
    page.number_input(key="model-n_layers").set_value(7).run()
    page.switch_page("pages/home.py").run()
    healthy(page.switch_page(TRAIN).run())
    assert page.number_input(key="model-n_layers").value == 7
    assert page.session_state["preset"] == "olmo"


@pytest.mark.parametrize("number", range(3))
def test_examples_fill_a_form_that_can_start(page, number):
    healthy(page.button(key=f"example-{number}").click().run())
    if page.file_uploader:
        upload(page, "good.txt", b"to be or not to be, that is the question. " * 200)
    assert not start_button(page).disabled


def test_start_makes_a_run_and_shows_it(page, launched):
    page.button(key="preset-llama").click().run()
    page.number_input(key="training-max_steps").set_value(300).run()
    healthy(start_button(page).click().run())
    (run,) = launched
    config = run.read_config()
    assert (config.preset, config.size, config.training.max_steps) == ("llama", "tiny", 300)
    assert page.query_params["run"] == run.id
    assert not page.number_input  # the form has made way for the run
    healthy(page.button(key="build-another").click().run())
    assert page.title[0].value == "Build a model"


def test_start_that_fails_says_why(page, monkeypatch):
    def no_room(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("runs.launch.launch", no_room)
    healthy(start_button(page).click().run())
    assert "no space left on device" in page.error[0].value


@pytest.mark.parametrize("run_id", ["20260101000000", "../../etc", "x" * 5000, "20260101000000\n"])
def test_unknown_run_is_one_sentence(page, run_id):
    page.query_params["run"] = run_id
    healthy(page.run())
    assert page.title[0].value == "No such run"


def test_code_and_numbers_follow_the_model(page):
    page.session_state["panel-tab"] = "Code"
    healthy(page.run())
    assert any("class AttentionEinops" in block.value for block in page.code)
    page.session_state["code-slot"] = "position"
    healthy(page.run())
    assert any("class PositionalEmbeddingEinops" in block.value for block in page.code)
    page.button_group(key="model-position").set_value("none")  # the part that is shown is gone
    healthy(page.run())
    healthy(page.button(key="side-by-side").click().run())
    assert any("class AttentionFused" in block.value for block in page.code)
    page.session_state["panel-tab"] = "Numbers"
    healthy(page.run())
    assert any("KV cache" in block.proto.body for block in page.get("html"))


def open_text(page: AppTest) -> AppTest:
    page.session_state["form-tab"] = "Text"
    page.session_state["text-source"] = text_panel.OWN
    return healthy(page.run())


def upload(page: AppTest, name: str, content: bytes) -> AppTest:
    return healthy(page.file_uploader[0].upload(name, content).run())


def test_upload_is_stored_by_content_and_trained_on(page, launched, tmp_path):
    open_text(page)
    upload(page, "../../evil.txt", b"to be or not to be, that is the question. " * 200)
    stored = list((tmp_path / "checkpoints" / ".uploads").iterdir())
    assert [len(path.stem) for path in stored] == [64]
    assert page.session_state["data-text_file"] == str(stored[0])
    healthy(start_button(page).click().run())
    assert launched[0].read_config().data.text_file == str(stored[0])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"   \n", "the uploaded file is empty"),
        (b"short", "needs at least 65"),
        (b"binary\0file" * 100, "is not a text file"),
        ("\ufeffutf-16".encode("utf-16") * 50, "is UTF-16"),
    ],
)
def test_upload_that_is_no_text_is_one_sentence(page, content, sentence):
    open_text(page)
    upload(page, "text.txt", content)
    assert problems(page).count(sentence) == 2 and "--" not in problems(page)  # on the Text tab, and beside Start
    assert "<b>Text</b>" in problems(page) and start_button(page).disabled


def test_a_text_of_ones_own_that_is_not_there_yet_is_not_replaced_by_another(page, launched):
    open_text(page)
    assert start_button(page).disabled and problems(page).count("upload a file or choose training.txt") == 2
    upload(page, "empty.txt", b"")
    assert start_button(page).disabled and "training.txt is used" not in "".join(c.value for c in page.caption)
    keep = page.button(key="keep-text")
    assert keep.label == "Use training.txt instead"
    healthy(keep.click().run())
    assert not start_button(page).disabled and page.session_state["text-source"] == text_panel.SAMPLE


def test_an_unusable_upload_does_not_train_on_the_one_before(page, launched):
    open_text(page)
    upload(page, "good.txt", b"to be or not to be, that is the question. " * 200)
    assert not start_button(page).disabled
    upload(page, "empty.txt", b"")
    assert start_button(page).disabled and "the uploaded file is empty" in problems(page)
    keep = page.button(key="keep-text")
    assert keep.label == "Use good.txt instead"
    healthy(keep.click().run())
    assert not start_button(page).disabled and problems(page) == ""


def test_a_run_that_would_wait_says_so_before_start(page, launched):
    with alive(make_run(folder.CHECKPOINTS, name="calm-heron"), "running"):
        page.run()
        assert any("calm\\-heron" in text.value and "queued behind" in text.value for text in page.caption)
    page.run()
    assert not any("queued behind" in text.value for text in page.caption)


def test_numbers_of_the_last_sound_settings_say_so(page):
    page.session_state["panel-tab"] = "Numbers"
    page.run()
    assert not any("went together" in text.value for text in page.caption)
    healthy(page.number_input(key="model-n_heads").set_value(3).run())
    assert any("went together" in text.value for text in page.caption)


def test_an_empty_warm_up_shows_what_it_stands_for(page):
    page.session_state["form-tab"] = "Training"
    healthy(page.number_input(key="training-max_steps").set_value(200).run())
    assert page.number_input(key="training-warmup_steps").placeholder == "10"


def test_latin_1_is_offered_and_works(page):
    open_text(page)
    upload(page, "latin.txt", ("Où est la bibliothèque ? " * 300).encode("latin-1"))
    assert problems(page).count("latin.txt is not UTF-8") == 2  # by its own name, not by where it is stored
    assert "--encoding" not in problems(page)
    assert start_button(page).disabled
    healthy(page.button(key="as-latin").click().run())
    assert problems(page) == "" and not start_button(page).disabled


def test_vocabulary_that_the_text_does_not_give_is_told_beside_it(page):
    open_text(page)
    upload(page, "text.txt", b"to be or not to be, that is the question. " * 200)
    page.selectbox(key="data-tokenizer_type").set_value("bpe").run()
    healthy(page.number_input(key="data-vocab_size").set_value(5000).run())
    assert problems(page).count("vocab_size 5,000 is too large") == 2


def test_unreadable_bytes_can_be_replaced(page):
    open_text(page)
    upload(page, "latin.txt", ("Où est la bibliothèque ? " * 300).encode("latin-1"))
    healthy(page.button(key="replace").click().run())
    assert problems(page) == "" and not start_button(page).disabled
    assert "�" in Path(page.session_state["data-text_file"]).read_text(encoding="utf-8")


@pytest.mark.parametrize("size", ["0", "-3", "many", "1.5"])
def test_data_size_that_is_none_is_told(page, size):
    page.session_state["form-tab"] = "Text"
    page.run()
    healthy(page.text_input(key="data-data_size").set_value(size).run())
    assert "data_size" in problems(page) and start_button(page).disabled


@pytest.mark.parametrize("kind", ["character", "byte", "bpe", "sentencepiece"])
def test_tokenizers_show_their_first_batch(page, kind, tmp_path):
    open_text(page)
    upload(
        page,
        "text.txt",
        ("".join(f"the {n} quick brown foxes jump over {n * 7} lazy dogs. " for n in range(400))).encode(),
    )
    page.session_state["data-vocab_size"] = 300
    healthy(page.selectbox(key="data-tokenizer_type").set_value(kind).run())
    assert problems(page) == ""
    assert any("The first batch" in text.value for text in page.markdown)


def test_tokenizer_that_is_not_there_is_told(page, monkeypatch):
    from config.errors import TextError

    def offline(*_, **__):
        raise TextError("GPT-2's vocabulary is not on this machine")

    monkeypatch.setattr("text.tokenizer_types.train_tokenizer", offline)
    page.session_state["form-tab"] = "Text"
    page.session_state["data-data_size"] = "9000"
    page.run()
    healthy(page.selectbox(key="data-tokenizer_type").set_value("gpt2").run())
    assert "GPT-2&#x27;s vocabulary is not on this machine" in problems(page)
    assert start_button(page).disabled


def test_page_loads_no_torch():
    import subprocess

    code = (
        "import sys; from streamlit.testing.v1 import AppTest;"
        f"app = AppTest.from_file({str(ROOT / 'main.py')!r}, default_timeout=60).run();"
        "app.switch_page('pages/train_model.py').run();"
        "assert not app.exception; print(sorted({'torch', 'einops'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_setting_has_a_help_line_with_a_typical_value():
    for config_class in form.SECTIONS.values():
        for info in describe(config_class).values():
            assert info.help and info.typical, info.name
            assert f"Typical: {info.typical}" in form.help_of(info)


# --- Measure first ------------------------------------------------------------------------------------------------

MEASURED = engines.Measurement(
    verdict="fits", seconds=100, interval=(90, 130), tokens_per_second=24_300, epochs=5.2, memory_bytes=410_000_000,
    free_memory_bytes=12_000_000_000, disk_bytes=12_000_000, free_disk_bytes=20_000_000_000,
)  # fmt: skip
RAN_OUT = engines.Measurement(
    verdict="does not fit", ran_out=True, free_memory_bytes=500_000_000, suggested_accumulation=3
)


def measure(page, monkeypatch, answer: engines.Measurement) -> None:
    """Press the button; the answer comes at once."""
    monkeypatch.setattr(engines, "_measured", lambda config, checkpoints: answer)
    healthy(page.button(key="measure").click().run())
    deadline = time.monotonic() + 10
    while page.button(key="measure").disabled:
        assert time.monotonic() < deadline
        healthy(page.run())


def told(page) -> str:
    return " ".join([*(text.value for text in [*page.markdown, *page.caption, *page.error]),
                     *(block.proto.body for block in page.get("html"))])  # fmt: skip


def test_measuring_says_whether_it_fits_how_long_and_how_much(page, monkeypatch):
    assert "Fits." not in told(page)
    measure(page, monkeypatch, MEASURED)
    for sentence in ("Fits.", "1 min 40 s (1 min 30 s to 2 min 10 s)", "410 MB of 12 GB", "12 MB of 20 GB",
                     "24,300 tokens/s", "<b>5.2</b>epochs"):  # fmt: skip
        assert sentence in told(page), sentence
    assert "Out of date" not in told(page)


def test_a_measurement_is_out_of_date_when_the_form_says_something_else(page, monkeypatch):
    measure(page, monkeypatch, MEASURED)
    healthy(page.number_input(key="training-max_steps").set_value(1_999).run())
    assert "Out of date" in told(page) and "Fits." in told(page)
    healthy(page.number_input(key="training-max_steps").set_value(2_000).run())
    assert "Out of date" not in told(page)


def test_without_memory_one_click_cuts_the_batch_into_pieces(page, monkeypatch):
    measure(page, monkeypatch, RAN_OUT)
    assert "Does not fit." in told(page) and "3 micro-batches of 4" in told(page)
    healthy(page.button(key="accumulate").click().run())
    assert page.session_state["training-grad_accumulation"] == 3 and page.session_state["training-batch_size"] == 12
    assert "Out of date" in told(page) and page.button(key="accumulate").disabled


def test_a_measurement_that_fails_is_a_sentence(page, monkeypatch):
    measure(page, monkeypatch, engines.Measurement(problem="the steps could not be tried: *no* disk"))
    assert r"the steps could not be tried: \*no\* disk" in told(page).replace("\u200b", "")


def test_what_cannot_be_trained_cannot_be_measured(page):
    healthy(page.number_input(key="model-n_heads").set_value(3).run())
    assert page.button(key="measure").disabled


def test_real_steps_are_measured(page, monkeypatch, tmp_path):
    monkeypatch.setattr("training.preflight_steps.MEASURE_SECONDS", 0.1)
    for key, value in {"model-n_layers": 1, "model-d_model": 16, "model-n_heads": 1, "model-d_mlp": 16}.items():
        page.number_input(key=key).set_value(value)
    healthy(page.run())
    healthy(page.button(key="measure").click().run())
    answer = page.session_state["measuring"].answer.result(timeout=120)
    assert not answer.problem and answer.verdict == "fits" and answer.seconds > 0 and answer.epochs > 0
    assert answer.interval[0] <= answer.seconds <= answer.interval[1]
    assert "Fits." in told(healthy(page.run()))
    assert folder.list_runs(folder.CHECKPOINTS) == []


def test_time_is_told_from_a_run_like_it_and_otherwise_roughly(checkpoints):
    run = make_run(checkpoints)  # 24,000 tokens/s in its last line, 768 tokens in each 0.03 s on the whole
    write_json(run.data_path, {"d_vocab": 40})
    builder.machine_speed.clear()
    work = flops_per_token(run.read_model_config())
    tokens = run.read_config().training.batch_size * 32
    assert builder.machine_speed(work, tokens, "fused") == (pytest.approx(work * 768 / 0.03), True)
    for other in ((work * 8, tokens, "fused"), (work, tokens * 8, "fused"), (work, tokens, "einops")):
        assert builder.machine_speed(*other) == (pytest.approx(work * 768 / 0.03), False)
    delete_run(run)
    builder.machine_speed.clear()
    assert builder.machine_speed(work, tokens, "fused")[1] is False


def test_another_architecture_from_the_list_fills_the_form(page):
    page.session_state["more-architectures"] = True
    page.run()
    assert any("Differs from LLaMA in Key/value heads \\(2\\)" in text.value for text in page.caption)
    healthy(page.button(key="preset-llama3").click().run())
    values = load_preset("llama3", "tiny").to_dict()
    assert all(page.session_state[f"model-{name}"] == value for name, value in values.items() if name != "d_vocab")
    assert not start_button(page).disabled
    assert "--architecture llama3" in " ".join(code.value for code in page.code)


def test_a_published_size_sets_everything_and_the_next_size_takes_it_back(page):
    page.session_state["published-sizes"] = True
    page.button(key="preset-llama").click().run()
    healthy(page.button(key="published-smollm2-135m").click().run())
    published = load_preset("llama", "smollm2-135m")
    assert page.session_state["model-n_kv_heads"] == published.n_kv_heads == 3
    assert page.session_state["model-tie_embeddings"] is True
    assert page.button_group(key="size").value == "smollm2-135m"
    healthy(page.button_group(key="size").set_value("tiny").run())
    values = load_preset("llama", "tiny").to_dict()
    assert all(page.session_state[f"model-{name}"] == value for name, value in values.items() if name != "d_vocab")
    page.button(key="published-smollm2-135m").click().run()
    healthy(page.button(key="preset-gpt2").click().run())  # which has no such size
    assert page.session_state["size"] == "tiny"
