"""Run folders: their ids, their files, hostile names and paths, and deletion."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError, RunError
from config.run_config import RunConfig
from runs import folder, machine
from runs.folder import RunFolder, create_run, delete_run, find_run, list_runs, open_run
from runs.lock import RunLock
from runs.names import ADJECTIVES, ANIMALS, COLORS, clean_name, clean_note, friendly_name, parse_label
from runs.state import StateWriter

PROJECT = Path(__file__).resolve().parents[2]
HOSTILE_IDS = [
    "",
    ".",
    "..",
    "../20260101000000",
    "/etc",
    "/etc/passwd",
    "20260101000000\n",
    "20260101000000\0",
    "20260101000000/..",
    "20260101000000/../..",
    "٢٠٢٦٠١٠١٠٠٠٠٠٠",
    "2" * 5_000,
    "20260101000000-",
    "20260101000000-" + "1" * 5_000,
    "20260101000000-1-1",
    " 20260101000000",
    ".tokens",
    "2026010100000",
    "202601010000000",
    "C:\\20260101000000",
    "%2e%2e",
    None,
    20260101000000,
]


class StoppedClock(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime(2026, 11, 30, 14, 15, 2, tzinfo=UTC)


def test_a_new_run_holds_its_words_and_its_origin(root: Path, config: RunConfig):
    before = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    run = create_run(root, config, {"seed": 7, "command_line": "train.py"}, name="my run")
    assert re.fullmatch(r"\d{14}", run.id) and run.id >= before
    assert run.path == root.absolute() / run.id
    assert sorted(os.listdir(run.path)) == ["config.json", "label.json", "origin.json"]
    assert run.read_config() == config
    assert run.read_label().name == "my run"
    origin = json.loads(run.origin_path.read_text())
    assert (origin["seed"], origin["command_line"]) == (7, "train.py")
    assert origin["versions"]["torch"] == machine.package_versions()["torch"]
    assert origin["created"].endswith("+00:00")


def test_runs_of_one_second_get_different_folders(root: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "datetime", StoppedClock)
    made: list[RunFolder] = []
    threads = [threading.Thread(target=lambda: made.append(create_run(root, config, {}))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = ["20261130141502"] + [f"20261130141502-{number}" for number in range(1, 12)]
    assert sorted(run.id for run in made) == sorted(expected)
    assert [run.id for run in list_runs(root)] == expected[::-1]  # newest first: -11 before -2
    assert all(open_run(root, run.id) == run for run in made)


def test_names_differ_from_those_that_are_there(root: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runs.names.ADJECTIVES", ("brave",))
    monkeypatch.setattr("runs.names.ANIMALS", ("otter", "robin"))
    names = [create_run(root, config, {}).read_label().name for _ in range(3)]
    assert set(names[:2]) == {"brave-otter", "brave-robin"}
    assert len(set(names)) == 3


def test_runs_created_together_get_names_of_their_own(root: Path):
    code = """
import sys
from pathlib import Path
from config.model_config import ModelConfig
from config.run_config import RunConfig
from runs.folder import create_run
sys.stdin.readline()  # all start together
for _ in range(5):
    create_run(Path(sys.argv[1]), RunConfig(model=ModelConfig()), {}, "same")
"""
    together = [
        subprocess.Popen([sys.executable, "-c", code, str(root)], cwd=PROJECT, stdin=subprocess.PIPE) for _ in range(4)
    ]
    for process in together:
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.wait(60) for process in together] == [0] * 4
    names = [run.read_label().name for run in list_runs(root)]
    assert len(names) == len(set(names)) == 20


def test_a_configuration_is_checked_before_anything_is_on_the_disk(root: Path, config: RunConfig):
    values = config.to_dict()
    values["model"]["d_model"] = 127

    class Forged(RunConfig):
        def to_dict(self) -> dict[str, Any]:
            return values

    with pytest.raises(ConfigError, match="127"):
        create_run(root, Forged(model=config.model), {})
    assert not root.exists()


def test_a_full_disk_leaves_no_half_run(root: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, value: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "write_json", full)
    with pytest.raises(RunError, match="No space left on device"):
        create_run(root, config, {})
    assert list(root.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path, config: RunConfig):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be created in"):
        create_run(tmp_path / "file" / "checkpoints", config, {})


@pytest.mark.parametrize("run_id", HOSTILE_IDS, ids=lambda value: repr(value)[:30])
def test_hostile_ids_are_refused_without_looking(
    root: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch, run_id: Any
):
    def forbidden(*arguments: Any, **options: Any) -> None:
        pytest.fail("the disk was asked for a hostile id")

    monkeypatch.setattr(Path, "is_dir", forbidden)
    monkeypatch.setattr(Path, "is_symlink", forbidden)
    with pytest.raises(RunError, match="is not the id of a run") as caught:
        open_run(root, run_id)
    message = str(caught.value)
    assert len(message) < 200 and not any(ord(character) < 32 for character in message)


def test_links_are_no_runs(root: Path, run: RunFolder, tmp_path: Path):
    outside = tmp_path / "20260101000000"
    run.path.rename(outside)
    (root / outside.name).symlink_to(outside)
    assert list_runs(root) == []
    with pytest.raises(RunError, match="There is no run"):
        open_run(root, outside.name)


def test_other_folders_are_no_runs(root: Path, run: RunFolder):
    for name in (".tokens", "notes", "20260101000000x", "20260101000000\n"):
        (root / name).mkdir()
    (root / "20260101000000").write_text("a file")
    assert list_runs(root) == [run]
    assert list_runs(root / "missing") == []


def test_a_run_is_found_by_what_a_person_types(root: Path, config: RunConfig, run: RunFolder):
    run.write_label(name="brave-otter")
    other = create_run(root, config, {}, name="brave-robin")
    for text in (run.id, str(run.path), "brave-otter", "brave-o"):
        assert find_run(root, text) == run
    assert find_run(Path("elsewhere"), str(other.path) + "/") == other
    run.write_label(name="brave")
    assert find_run(root, "brave") == run  # a whole name goes before the beginnings
    run.write_label(name="brave-otter")
    for text in ("brave", run.id[:6]):
        with pytest.raises(RunError, match=r"means 2 runs.*brave-otter"):
            find_run(root, text)
    for text in ("", "nobody", "a\0b", "\x1b[31m", "x" * 5_000):
        with pytest.raises(RunError, match="There is no run"):
            find_run(root, text)
    for text in ("../..", "/etc/passwd", str(root)):
        with pytest.raises(RunError, match="is no run: the folder of a run is called by its id"):
            find_run(root, text)


def test_the_model_takes_its_vocabulary_from_the_data(run: RunFolder):
    with pytest.raises(RunError, match="has no tokenizer yet"):
        run.read_model_config()
    run.data_path.write_text('{"d_vocab": 65}')
    assert run.read_model_config().d_vocab == 65
    assert run.read_data() == {"d_vocab": 65}
    for content in ('{"d_vocab": "65"}', '{"d_vocab": true}', '{"d_vocab": 0}', "{}", "[]", "{"):
        run.data_path.write_text(content)
        with pytest.raises(RunError, match=r"data\.json"):
            run.read_model_config()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": 99}'])
def test_a_damaged_configuration_is_said_in_a_sentence(run: RunFolder, content: str):
    run.config_path.write_text(content)
    with pytest.raises(RunError, match=r"config\.json"):
        run.read_config()


def test_runs_that_follow_one_another_have_different_colors(root: Path, config):
    colors = [create_run(root, config, {}).read_label().color for _ in range(COLORS + 1)]
    assert sorted(colors[:COLORS]) == list(range(COLORS)) and colors[COLORS] == colors[0]
    run = list_runs(root)[0]
    assert run.write_label(name="otter").color == colors[-1] and run.write_label(color=3).color == 3
    for color in (-1, COLORS, True, "2", None, 1.0):
        assert 0 <= parse_label({"color": color}, run.id).color < COLORS
    assert parse_label({}, run.id) == parse_label({}, run.id)  # of an older version: always the same
    assert len({parse_label({}, f"2026113014{n:04d}").color for n in range(100)}) == COLORS


def test_a_label_changes_by_parts_and_survives_damage(run: RunFolder):
    given = run.read_label().name
    run.write_label(note="a note", star=True)
    label = run.write_label(name="otter")
    assert (label.name, label.note, label.star) == ("otter", "a note", True) and run.read_label() == label
    assert run.write_label(name=" \t").name == friendly_name(run.id)
    for content in ("{", "[]", '{"name": 7, "note": [], "star": "yes"}'):
        run.label_path.write_text(content)
        label = run.read_label()
        assert (label.name, label.note, label.star) == (friendly_name(run.id), "", False)
    run.label_path.unlink()
    assert run.read_label().name == friendly_name(run.id) == given


def test_names_and_notes_are_bounded_and_harmless():
    assert clean_name("  a\x1b[31m\n\tb\u202e\ud800\x00c  ") == "a [31m b c"
    assert clean_name("x" * 10**6) == "x" * 80
    assert clean_note("one\r\ntwo\x07\u2028three\n") == "one\ntwo  three"
    assert len(clean_note("y" * 10**6)) == 2_000
    assert clean_name("<script> **bold** ![](http://x)") == "<script> **bold** ![](http://x)"  # shown literally


def test_a_name_means_one_run(root: Path, config):
    names = [create_run(root, config, {}, name=name).read_label().name for name in ("a b", " a  b ", "a b", "a b-2")]
    assert names == ["a b", "a b-2", "a b-3", "a b-2-2"]
    long = [create_run(root, config, {}, name="x" * 200).read_label().name for _ in range(2)]
    assert long == ["x" * 80, "x" * 78 + "-2"]
    assert find_run(root, "a b").read_label().name == "a b"


def test_an_id_has_one_friendly_name():
    assert len(set(ADJECTIVES)) == len(ADJECTIVES) and len(set(ANIMALS)) == len(ANIMALS)
    assert friendly_name("20261130141502") == friendly_name("20261130141502") == "frosty-lapwing"
    assert len({friendly_name(f"2026113014{number:04d}") for number in range(100)}) > 95
    assert friendly_name("a", taken={friendly_name("a")}) != friendly_name("a")


def test_every_file_of_the_design_has_its_path(run: RunFolder):
    names = {
        path.name
        for path in (
            run.config_path, run.origin_path, run.label_path, run.state_path, run.lock_path, run.control_path,
            run.metrics_path, run.baselines_path, run.samples_path, run.log_path, run.tokenizer_path, run.data_path,
            run.step_path(500), run.figure_path,
        )
    }  # fmt: skip
    assert names == {
        "config.json", "origin.json", "label.json", "state.json", "lock", "control", "metrics.jsonl", "baselines.json",
        "samples.jsonl", "log.txt", "tokenizer", "data.json", "step_00000500", "loss.html",
    }  # fmt: skip


def end(run: RunFolder) -> None:
    StateWriter(run).set("failed")


def use_tokens(run: RunFolder, key: str) -> Path:
    tokens = run.path.parent / ".tokens" / key
    tokens.mkdir(parents=True, exist_ok=True)
    (tokens / "train.bin").write_bytes(b"12")
    run.data_path.write_text(json.dumps({"d_vocab": 5, "tokens": {"train": f".tokens/{key}/train.bin"}}))
    return tokens


def test_a_live_run_is_not_deleted(run: RunFolder, start_worker):
    with pytest.raises(RunError, match="is starting: stop it before"):
        delete_run(run)
    start_worker(run)
    with pytest.raises(RunError, match="is running: stop it before"):
        delete_run(run)
    assert run.config_path.exists()


def test_a_run_whose_lock_is_held_is_not_deleted(run: RunFolder, monkeypatch: pytest.MonkeyPatch):
    end(run)
    monkeypatch.setattr(RunLock.acquire, "__defaults__", (0.0,))
    with RunLock(run), pytest.raises(RunError, match="already being trained"):
        delete_run(run)
    assert run.config_path.exists()


def test_a_deleted_run_takes_along_what_only_it_named(root: Path, config: RunConfig, run: RunFolder):
    uploads = root / ".uploads"
    uploads.mkdir()
    for name in ("mine.txt", "shared.txt", "fresh.txt", "old.txt"):
        (uploads / name).write_text(name)
    os.utime(uploads / "old.txt", (time.time() - 3_700,) * 2)
    with_upload = replace(config, data=config.data.replace(text_file=str(uploads / "mine.txt")))
    mine = create_run(root, with_upload, {})
    shared = replace(config, data=config.data.replace(text_file=str(uploads / "shared.txt")))
    other = create_run(root, shared, {})
    for one in (run, mine, other):
        end(one)
    own_tokens, shared_tokens = use_tokens(mine, "aaaa"), use_tokens(other, "bbbb")
    mine.data_path.write_text('{"keys": ["aaaa", "bbbb"], "path": "shared.txt"}')
    grave = root / ".deleted-20200101000000"
    grave.mkdir()

    delete_run(mine)

    assert not mine.path.exists() and not grave.exists()
    assert not own_tokens.exists() and shared_tokens.exists()
    assert sorted(os.listdir(uploads)) == ["fresh.txt", "shared.txt"]
    assert set(list_runs(root)) == {run, other}


def test_nothing_is_collected_while_a_run_may_be_reading_it(
    root: Path, config: RunConfig, run: RunFolder, start_worker
):
    mine = create_run(root, config, {})
    end(mine)
    tokens = use_tokens(mine, "aaaa")
    start_worker(run)  # alive, and has no data.json yet
    delete_run(mine)
    assert tokens.exists()


def test_nothing_is_collected_while_a_run_cannot_be_read(root: Path, config: RunConfig, run: RunFolder):
    mine = create_run(root, config, {})
    end(mine)
    tokens = use_tokens(mine, "aaaa")
    run.data_path.write_text("{")
    delete_run(mine)
    assert tokens.exists() and not mine.path.exists()


def test_a_damaged_run_can_be_deleted(root: Path, run: RunFolder):
    end(run)
    run.config_path.write_text("{")
    delete_run(run)
    assert list_runs(root) == []


def test_memory_respects_the_container(tmp_path: Path):
    whole = machine.available_memory_bytes(tmp_path / "no_cgroup")
    assert whole > 0
    for name, content in (("memory.max", "1000"), ("memory.current", "900"), ("memory.stat", "inactive_file 300\n")):
        (tmp_path / name).write_text(content)
    assert machine.available_memory_bytes(tmp_path) == 400
    (tmp_path / "memory.max").write_text("max")
    assert machine.available_memory_bytes(tmp_path) > 400


def test_a_peak_is_that_of_this_process_and_not_of_the_one_that_started_it():
    held = bytearray(400_000_000)
    code = "from runs.machine import peak_memory_bytes; print(peak_memory_bytes())"
    child = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert 5e6 < int(child.stdout) < 2e8 < machine.peak_memory_bytes() and held[0] == 0


def test_the_machine_is_described_without_importing_torch(run: RunFolder):
    description = machine.describe()
    assert description["processor_threads"] >= 1 and description["processor"]
    assert description["versions"]["torch"].startswith("2.")
    assert machine.free_disk_bytes(run.path) > 0
