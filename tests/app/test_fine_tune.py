"""Fine-tune, through main.py: from a checkpoint to a run, with every reason not to start, and what it wrote before."""

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from config.data_config import DataConfig
from config.model_config import ModelConfig
from config.run_config import RunConfig
from config.train_config import TrainConfig
from runs import folder
from runs.files import write_json
from tests.app.fake_runs import add_checkpoint, make_run, write_state
from training.worker import run_worker
from ui import tuning

ROOT = Path(__file__).parents[2]
PAGE = "pages/fine_tune.py"
KNOWN = "First Citizen: we are small, and we know it.\n" * 60


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """A checkpoints folder of our own, and the runs that were launched in it; no worker is started."""
    runs = []
    monkeypatch.setattr(folder, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr("runs.launch.launch", runs.append)
    return runs


@pytest.fixture
def parent(launched):
    run = make_run(folder.CHECKPOINTS, name="brave-base")
    add_checkpoint(run)
    return run


def open_page(**query) -> AppTest:
    app = AppTest.from_file(ROOT / "main.py", default_timeout=60).run()
    app.switch_page(PAGE)
    for name, value in query.items():
        app.query_params[name] = value
    return healthy(app.run())


def healthy(app: AppTest) -> AppTest:
    assert not app.exception, [entry.value for entry in app.exception]
    return app


def upload(app: AppTest, name: str, content: str | bytes) -> AppTest:
    content = content.encode() if isinstance(content, str) else content
    return healthy(app.file_uploader[0].upload(name, content).run())


def said(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.code, app.error, app.text, app.subheader)
    texts = [entry.value for kind in kinds for entry in kind]
    return "\n".join([*texts, *(block.proto.body for block in app.get("html"))])


def start(app: AppTest):
    return app.button(key="tune-start")


def choose(app: AppTest, key: str, value: str) -> AppTest:
    return healthy(app.button_group(key=key).set_value(value).run())


def test_without_a_checkpoint_it_invites_to_train(launched):
    assert "Nothing to fine-tune yet" in said(open_page())


def test_cold_it_waits_for_a_text_and_says_so_once(parent):
    page = open_page()
    assert start(page).disabled and "upload a text" in said(page) and "1 thing to do" in said(page)


def test_another_text_is_learned_with_all_weights(parent, launched):
    page = upload(open_page(), "mine.txt", KNOWN)
    words = said(page)
    assert "parameters are trained" in words and "begins at step 0 with the weights of brave-base at step 300" in words
    assert "the parent&#x27;s (character" in words and "tensors kept" in words and not start(page).disabled
    healthy(start(page).click().run())
    (run,) = launched
    config = run.read_config()
    assert (config.parent.run, config.parent.carried, config.lora.is_on) == (parent.id, "weights", False)
    assert Path(config.data.text_file).read_text() == KNOWN and (run.base_path / "step_00000300").is_dir()
    assert page.query_params["run"] in (run.id, [run.id])


def test_adapters_are_trained_with_the_share_in_words_and_as_a_command(parent, launched):
    page = choose(upload(open_page(), "mine.txt", KNOWN), "tune-method", tuning.LORA)
    assert page.number_input(key="lora-lora_rank").value == 8
    page.number_input(key="lora-lora_rank").set_value(2)
    page.selectbox(key="lora-lora_targets").set_value("attention")
    healthy(page.run())
    # qkv: 2 × (32 + 96), out: 2 × (32 + 32), in two layers
    assert "768 numbers of adapters are trained beside" in said(page)
    command = next(code.value for code in page.code if "uv run" in code.value)
    assert "--lora_rank 2" in command and "--lora_targets attention" in command and "--from" in command
    healthy(start(page).click().run())
    assert launched[0].read_config().lora.lora_rank == 2


@pytest.mark.parametrize("field, value, sentence", [
    ("lora_rank", 0, "lora_rank 0 is below 1"),
    ("lora_alpha", 0.0, "lora_alpha 0.0 is below 0.001"),
    ("lora_dropout", 2.0, "lora_dropout 2.0 is above 0.95"),
])  # fmt: skip
def test_impossible_adapters_are_refused_beside_their_control(parent, field, value, sentence):
    page = choose(upload(open_page(), "mine.txt", KNOWN), "tune-method", tuning.LORA)
    healthy(page.number_input(key=f"lora-{field}").set_value(value).run())
    assert sentence in said(page) and start(page).disabled


def test_new_characters_are_explained_and_are_nothing_for_adapters(parent):
    page = upload(open_page(), "mine.txt", KNOWN + "¿Qué? ")
    assert "¿" in said(page) and "2 tensors resized" in said(page) and not start(page).disabled
    page = choose(page, "tune-method", tuning.LORA)
    assert "has tokens that the parent does not know" in said(page) and start(page).disabled


PAIRS = "prompt,response\n" + "".join(f"we are {n},we know it\n" for n in ("small", "friends", "speaking", "long"))


def test_pairs_are_shown_as_the_model_reads_them(parent, launched):
    page = choose(open_page(), "tune-source", tuning.PAIRS)
    assert "upload a .csv or .jsonl" in said(page)
    page = upload(page, "qa.csv", PAIRS)
    page.number_input(key="tune_model-n_ctx").set_value(64)
    healthy(page.run())
    assert "Prompt: we are small\nResponse: " in said(page) and "we know it" in said(page)
    assert "3 pairs to learn from, 1 to validate" in said(page)
    page.text_input(key="tune_data-pair_template").set_value("{response}")
    assert "must have {prompt} and after it {response}" in said(healthy(page.run())) and start(page).disabled
    page.text_input(key="tune_data-pair_template").set_value(r"Q {prompt}\nA {response}\n")
    healthy(page.run())
    healthy(start(page).click().run())
    data = launched[0].read_config().data
    assert data.text_kind == "pairs" and data.text_file.endswith(".csv") and data.template_parts[1] == "\nA "


@pytest.mark.parametrize("name, content, sentence", [
    ("qa.csv", "prompt,response\na,b\nc,\n", "line 3 of"),
    ("qa.csv", "question,response\na,b\nc,d\n", "names no column &#x27;prompt&#x27;"),
    ("qa.jsonl", '{"prompt": "a"}\n', "has no field &#x27;response&#x27;"),
    ("qa.csv", b"\xff\xfe\x00", "is not UTF-8"),
    ("qa.csv", "  ", "the uploaded file is empty"),
])  # fmt: skip
def test_bad_pairs_are_refused_with_line_and_field(parent, name, content, sentence):
    page = upload(choose(open_page(), "tune-source", tuning.PAIRS), name, content)
    assert sentence in said(page) and start(page).disabled


def test_the_same_text_goes_on_where_the_parent_stood_or_says_why_not(parent, launched, tmp_path):
    page = choose(open_page(), "tune-source", tuning.PARENTS)
    assert "begins at step 0" in said(page) and "the checkpoint holds weights alone" in said(page)
    page.number_input(key="tune_model-d_mlp").set_value(96)
    healthy(page.run())
    assert "6 tensors resized" in said(page) and "blocks.0.mlp.gate_proj.weight is resized" in said(page)


def test_a_run_with_steps_left_goes_on_unless_weights_alone_are_wanted(launched, tmp_path):
    (tmp_path / "tale.txt").write_text(KNOWN)
    training = TrainConfig(max_steps=4, save_interval=2, eval_iters=1, sample_tokens=0, device="cpu", baselines=False)
    model = ModelConfig(d_model=16, n_layers=1, n_heads=2, d_mlp=32, n_ctx=16)
    config = RunConfig(model=model, training=training, data=DataConfig(text_file=str(tmp_path / "tale.txt")))
    run = folder.create_run(folder.CHECKPOINTS, config, {}, name="half-way")
    assert run_worker(run) == 0
    page = choose(open_page(), "tune-source", tuning.PARENTS)
    page.selectbox(key=f"checkpoint_{run.id}").set_value(2)
    healthy(page.run())
    assert "goes on at step 2 of half-way, with its optimizer" in said(page)
    healthy(page.toggle(key="tune-weights-only").set_value(True).run())
    assert "begins at step 0 with the weights of half-way at step 2: as was asked for" in said(page)
    assert any("--carry weights" in code.value for code in page.code)
    healthy(page.toggle(key="tune-weights-only").set_value(False).run())
    healthy(start(page).click().run())
    assert launched[0].read_config().parent.carried == "all" and launched[0].step_path(2).is_dir()


def test_the_form_follows_another_parent_and_the_address(parent, launched):
    other = make_run(folder.CHECKPOINTS, name="calm-other", max_steps=900)
    add_checkpoint(other)
    page = open_page(**{"from": parent.id})
    assert page.session_state["tune_run"] == parent.id and page.number_input(key="tune-max_steps").value == 300
    page.selectbox(key="tune_run").set_value(other.id)
    healthy(page.run())
    assert page.number_input(key="tune-max_steps").value == 500  # at most, as a proposal


def test_a_damaged_checkpoint_cannot_be_begun_from(parent):
    file = parent.step_path(300) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    page = open_page()
    assert "cannot be used" in said(page) and not page.get("file_uploader")


def test_a_checkpoint_that_goes_while_one_chooses_starts_nothing(parent, launched):
    page = upload(open_page(), "mine.txt", KNOWN)
    (parent.step_path(300) / "model.safetensors").unlink()
    page = healthy(start(page).click().run())
    assert not launched and len(folder.list_runs(folder.CHECKPOINTS)) == 1


def test_a_run_shows_what_it_wrote_before_and_after(parent, launched):
    page = upload(open_page(), "mine.txt", KNOWN)
    healthy(start(page).click().run())
    (run,) = launched
    add_checkpoint(run, step=50, seed=7)
    write_state(run, "finished", step=50, max_steps=300)
    page = open_page(run=run.id)
    assert "Before and after" in said(page) and "from step 300 of brave\\-base" in said(page)
    page.text_area(key=f"before_after_{run.id}_prompt").set_value("First")
    page.button_group(key="side_sampler").set_value("greedy")
    healthy(page.button(key="write_each").click().run())
    deadline = time.monotonic() + 60
    while any(sheet.active for sheet in page.session_state[f"before_after_{run.id}"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        page.run()
    before, after = page.session_state[f"before_after_{run.id}"]
    texts = ["".join(piece.text for piece in sheet.writing.look().texts[0]) for sheet in (before, after)]
    assert (before.step, after.step) == (300, 50) and texts[0] != texts[1] and all(len(text) == 200 for text in texts)


def test_no_such_run(launched):
    assert "No such run" in " ".join(title.value for title in open_page(run="20990101000000").title)


def test_an_imported_model_has_no_text_to_go_on_with(parent):
    assert tuning.PARENTS in open_page().button_group(key="tune-source").options
    write_json(parent.data_path, parent.read_data() | {"imported": True})
    assert open_page().button_group(key="tune-source").options == [tuning.OWN, tuning.PAIRS]
