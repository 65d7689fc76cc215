"""From a run's configuration to its tokens: made here, or taken from a folder that text.prepare made."""

import os
import shutil
from pathlib import Path

import pytest

import train
from config.errors import TextError
from config.run_config import RunConfig
from runs.folder import RunFolder
from text.corpus import read_text
from text.prepare import prepare
from text.prepared import PreparedFolder
from training.prepare import prepare_text
from training.worker import run_worker

SETTINGS = {"tokenizer_type": "bpe", "vocab_size": 300, "val_fraction": 0.2}


@pytest.fixture
def prepared(text_file: Path, tmp_path: Path) -> PreparedFolder:
    return prepare(read_text(text_file), "bpe", tmp_path / "tokens", vocab_size=300, val_fraction=0.2)


def config_of(run: RunFolder) -> RunConfig:
    return run.read_config()


def test_a_run_trains_on_a_prepared_text(make_run, prepared: PreparedFolder) -> None:
    run = make_run(data={"text_file": str(prepared.path), **SETTINGS})
    assert run_worker(run) == 0
    data = run.read_data()
    assert (data["name"], data["d_vocab"], data["val_fraction"]) == ("tale.txt", 300, 0.2)
    assert data["token_files"] == prepared.files.key
    assert data["val_bytes"] == prepared.files.val_bytes


def test_it_is_the_run_that_the_text_itself_gives(make_run, text_file: Path, prepared: PreparedFolder) -> None:
    from_folder = make_run(data={"text_file": str(prepared.path), **SETTINGS})
    from_text = make_run(data={"text_file": str(text_file), **SETTINGS})
    first, second = prepare_text(from_folder, config_of(from_folder)), prepare_text(from_text, config_of(from_text))
    assert (first.train.tokens == second.train.tokens).all()
    assert (first.val.tokens == second.val.tokens).all()
    assert from_folder.read_data() == from_text.read_data()
    assert first.tokenizer.content_hash() == second.tokenizer.content_hash()


def test_tokens_are_not_copied_and_outlive_their_folder(make_run, prepared: PreparedFolder) -> None:
    run = make_run(data={"text_file": str(prepared.path), **SETTINGS})
    tokens = prepare_text(run, config_of(run)).train.tokens.tolist()
    linked = run.path.parent / ".tokens" / prepared.files.key / "train.bin"
    assert os.path.samefile(linked, prepared.files.train)
    shutil.rmtree(prepared.path)
    assert prepare_text(run, config_of(run)).train.tokens.tolist() == tokens


def test_on_another_file_system_they_are_symbolic_links(
    make_run, prepared: PreparedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    run = make_run(data={"text_file": str(prepared.path), **SETTINGS})
    prepare_text(run, config_of(run))
    linked = run.path.parent / ".tokens" / prepared.files.key / "train.bin"
    assert linked.is_symlink()
    assert os.path.samefile(linked, prepared.files.train)


def test_changed_tokens_are_not_trained_on(make_run, prepared: PreparedFolder) -> None:
    content = bytearray(prepared.files.val.read_bytes())
    content[3] ^= 1
    prepared.files.val.write_bytes(content)
    run = make_run(data={"text_file": str(prepared.path), **SETTINGS})
    with pytest.raises(TextError, match=r"val\.bin is damaged: its content is not what was prepared"):
        prepare_text(run, config_of(run))
    assert list((run.path.parent / ".tokens").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("tokenizer_type", "character"), ("vocab_size", 301), ("val_fraction", 0.1), ("data_size", "0.5")],
)
def test_other_settings_than_the_prepared_ones_are_refused(
    make_run, prepared: PreparedFolder, name: str, value: object
) -> None:
    run = make_run(data={"text_file": str(prepared.path), **SETTINGS, name: value})
    with pytest.raises(TextError, match=f"was prepared with {name} .*: leave out --{name} {value}"):
        prepare_text(run, config_of(run))


def test_a_window_longer_than_the_prepared_text_is_refused(make_run, prepared: PreparedFolder) -> None:
    run = make_run(model={"n_ctx": 100_000}, data={"text_file": str(prepared.path), **SETTINGS})
    with pytest.raises(TextError, match=r"the training split of tale\.txt has .* n_ctx 100,000 needs 100,001"):
        prepare_text(run, config_of(run))


# --- train.py -------------------------------------------------------------------------------------------------------


def configure(*flags: str) -> RunConfig:
    arguments = train.build_parser().parse_args(flags)
    return train.follow_prepared_text(train.configure(arguments), vars(arguments))


def test_the_command_line_takes_over_what_was_decided(prepared: PreparedFolder) -> None:
    data = configure("--text_file", str(prepared.path), "--data_size", "all").data
    assert (data.tokenizer_type, data.vocab_size, data.val_fraction, data.data_size) == ("bpe", 300, 0.2, "1.0")
    train.refuse_what_cannot_work(configure("--text_file", str(prepared.path), "--model_size", "tiny"))


@pytest.mark.parametrize(
    "flags", [("--tokenizer_type", "character"), ("--val_fraction", "0.1"), ("--encoding", "latin-1")]
)
def test_a_flag_that_says_something_else_is_refused(
    prepared: PreparedFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, str]
) -> None:
    command = ["--text_file", str(prepared.path), *flags, "--checkpoints", str(tmp_path / "runs")]
    assert train.main(command) == 2
    assert f"leave out {flags[0]} {flags[1]}, or prepare the text again" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
