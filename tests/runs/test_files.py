"""Atomic files under fault injection, and JSON that is strict about what it reads and writes."""

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from config.errors import RunError
from runs import files

CALLS = ("open", "write", "fsync", "close", "replace")


class FaultyOs:
    """The `os` module, whose call number `fail_at` of those in CALLS does `fault` instead of its work."""

    def __init__(self, fail_at: int, fault: Any) -> None:
        self.calls: list[str] = []
        self._fail_at = fail_at
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) == self._fail_at:
                return self._fault(real, *arguments, **options)
            return real(*arguments, **options)

        return call


def count_calls(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    counting = FaultyOs(-1, None)
    with monkeypatch.context() as patch:
        patch.setattr(files, "os", counting)
        files.write_atomically(path, "counted")
    return counting.calls


def test_the_order_of_calls_is_the_one_that_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls = count_calls(tmp_path / "file", monkeypatch)
    assert calls == ["open", "write", "fsync", "close", "replace", "open", "fsync", "close"]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("fail_at", range(1, 9))
def test_a_failing_call_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int, error: int
):
    path = tmp_path / "state.json"
    files.write_atomically(path, "old")

    def fault(real: Any, *arguments: Any, **options: Any) -> Any:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(files, "os", FaultyOs(fail_at, fault))
    with pytest.raises(OSError, match=os.strerror(error)):
        files.write_atomically(path, "new content")
    assert path.read_text() == ("old" if fail_at <= 5 else "new content")
    assert os.listdir(tmp_path) == ["state.json"]


@pytest.mark.parametrize("fail_at", range(1, 9))
def test_a_kill_before_any_call_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int
):
    path = tmp_path / "state.json"
    files.write_atomically(path, "old")
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(files, "os", FaultyOs(fail_at, lambda *arguments, **options: os._exit(9)))
        files.write_atomically(path, "new content")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert path.read_text() == ("old" if fail_at <= 5 else "new content")


def test_a_write_that_takes_only_a_part_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def write_three_bytes(real: Any, descriptor: int, data: memoryview) -> int:
        return int(real(descriptor, data[:3]))

    monkeypatch.setattr(files, "os", FaultyOs(2, write_three_bytes))
    files.write_atomically(tmp_path / "file", "abcdefgh")
    assert (tmp_path / "file").read_text() == "abcdefgh"


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unsupported(real: Any, *arguments: Any) -> None:
        raise OSError(errno.EINVAL, "not supported")

    monkeypatch.setattr(files, "os", FaultyOs(7, unsupported))
    files.write_atomically(tmp_path / "file", "on a network")
    assert (tmp_path / "file").read_text() == "on a network"


def test_only_old_temporary_files_are_swept(tmp_path: Path):
    for name in (".state.json.1-0.tmp", ".label.json.2-0.tmp", "notes.tmp"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".step_1.tmp").mkdir()
    past = time.time() - 61
    for path in tmp_path.iterdir():
        os.utime(path, (past, past))
    os.utime(tmp_path / ".label.json.2-0.tmp")
    files.sweep_temporary_files(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".label.json.2-0.tmp", ".step_1.tmp", "notes.tmp"]


def test_non_finite_numbers_are_written_as_words(tmp_path: Path):
    files.write_json(tmp_path / "a.json", {"loss": float("nan"), "list": [float("inf"), (float("-inf"), 1.5)]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"loss": "nan", "list": ["inf", ["-inf", 1.5]]}
    assert files.to_json_line({"a": float("nan"), "ä": "\n"}) == '{"a": "nan", "ä": "\\n"}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b'{"state": "runn', "not valid JSON"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": 1e400}', "too large a number"),
        (b'{"a": 1, "a": 2}', "a key appears twice"),
        (b"[" * 200_000, "nested too deeply"),
        (b"1" * 5_000, "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
    ],
)
def test_damaged_json_is_refused_in_one_sentence(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(RunError, match=message) as caught:
        files.read_json(tmp_path / "state.json")
    assert "\n" not in str(caught.value)


def test_json_of_unreasonable_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "JSON_LIMIT_BYTES", 10)
    (tmp_path / "a.json").write_text("[1, 2, 3, 4]")
    with pytest.raises(RunError, match="larger than 10 bytes"):
        files.read_json(tmp_path / "a.json")


def test_only_regular_files_are_read(tmp_path: Path):
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "secret.json")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    for name in ("link.json", "pipe.json", "folder.json"):
        with pytest.raises(RunError, match="cannot be read"):
            files.read_json(tmp_path / name)
    with pytest.raises(RunError, match="does not exist"):
        files.read_json(tmp_path / "missing.json")
