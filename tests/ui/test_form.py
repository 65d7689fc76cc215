"""What the form says about a setting, what is checked, and where uploads go."""

import pytest

from config.errors import TextError
from config.fields import describe
from config.model_config import ModelConfig
from config.presets import PRESET_NAMES, load_preset
from config.train_config import TrainConfig
from ui import differences, numbers_panel, uploads
from ui.form import SECTIONS, label_of, step_of
from ui.preset_buttons import slot_of
from ui.setup import changes, changes_in_words, check
from ui.sources import chosen_components, read_source

DEFAULTS = {name: {info.name: info.default for info in describe(kind).values()} for name, kind in SECTIONS.items()}


def checked(**model):
    parts = DEFAULTS | {"model": DEFAULTS["model"] | model}
    return check(parts["model"], parts["data"], parts["training"], implementation="fused", preset="gpt2", size="tiny")


def test_label_has_the_papers_symbol():
    assert label_of(describe(ModelConfig)["d_model"]) == "Width (d_model)"
    assert label_of(describe(ModelConfig)["norm"]) == "Norm"


@pytest.mark.parametrize(
    ("kind", "name", "step"),
    [(ModelConfig, "d_model", 32), (ModelConfig, "n_layers", 1), (ModelConfig, "n_kv_heads", 1),
     (ModelConfig, "dropout", 0.05), (TrainConfig, "max_steps", 100), (TrainConfig, "warmup_steps", 10),
     (TrainConfig, "min_lr", 1e-5)],
)  # fmt: skip
def test_one_click_is_a_sensible_step(kind, name, step):
    assert step_of(describe(kind)[name]) == step


def test_steps_have_the_type_of_their_field():
    for kind in SECTIONS.values():
        for info in describe(kind).values():
            if info.type in (int, float):
                assert type(step_of(info)) is info.type and step_of(info) > 0, info.name


def test_sound_values_become_a_configuration():
    setup = checked()
    assert setup.problems == {} and setup.config is not None and setup.config.preset == "gpt2"


def test_every_problem_names_its_section_and_field():
    setup = checked(n_heads=3, n_ctx=0)
    assert setup.config is None
    assert set(setup.problems) == {("model", "n_heads"), ("model", "n_ctx")}


def test_changes_are_told_in_words():
    values = load_preset("llama").to_dict() | {
        "position": "alibi",
        "n_kv_heads": 2,
        "tie_embeddings": True,
        "d_vocab": 9,
    }
    assert changes_in_words(changes(values, "llama", "tiny")) == (
        "Key/value heads unset → 2 · Positions rope → alibi · Tie embeddings off → on"
    )


def test_every_architecture_field_is_marked_in_the_drawing_or_belongs_to_all_of_it():
    everywhere = {"d_model", "n_layers", "n_ctx", "d_vocab", "dropout", "init_std", "scale_residual_init"}
    assert {name for name in describe(ModelConfig) if slot_of(name) is None} == everywhere


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_source_of_every_chosen_component_is_found(name):
    for slot, component in chosen_components(load_preset(name)).items():
        source = read_source(slot, component)
        assert source.base.startswith("class ") and source.explanation
        for kind, code in source.implementations.items():
            assert code.startswith("class ") and kind.lower() in code.splitlines()[0].lower()


def test_all_components_of_the_catalogue_have_a_source():
    from config.catalog import CATALOG

    for line in CATALOG:
        assert all(read_source(line.slot, line.name).implementations.values()), line.name


def test_upload_is_named_by_its_content_only(tmp_path):
    first, again = uploads.store(b"some text", tmp_path), uploads.store(b"some text", tmp_path)
    assert first == again and first.parent == tmp_path / ".uploads" and first.read_bytes() == b"some text"
    assert uploads.store(b"other text", tmp_path) != first


def test_empty_upload_is_refused(tmp_path):
    with pytest.raises(TextError, match="empty"):
        uploads.store(b" \n", tmp_path)


def test_upload_without_room_is_one_sentence(tmp_path):
    (tmp_path / ".uploads").write_text("a file where the folder should be")
    with pytest.raises(TextError, match="cannot be stored"):
        uploads.store(b"text", tmp_path)


def test_unreadable_bytes_are_replaced(tmp_path):
    path = uploads.store("né".encode("latin-1"), tmp_path)
    assert uploads.replace_unreadable(path, tmp_path).read_text(encoding="utf-8") == "n�"


def test_bars_are_shares_of_the_whole():
    page = numbers_panel.table("Parameters", {"mlp": 300, "norms": 100, "unembedding": 0}, "400", str)
    assert "width:75.0%" in page and "width:25.0%" in page and "Unembedding" not in page


def test_table_points_out_what_is_unusual():
    odd = differences.unusual()
    assert all("Positions" in rows for rows in odd.values())
    assert "Norm" in odd["llama"] and "Norm" not in odd["olmo"] and "MLP" in odd["gpt2"]
    assert differences.marked_slots("llama") == {"position", "norm"}
    assert "no released OLMo uses ALiBi" in differences.table()
