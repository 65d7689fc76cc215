"""A zip file is unpacked only where it is what a model packs to; what was made to do harm is named."""

import os
import shutil
import stat
import zipfile

import pytest

from config.errors import CheckpointError
from interop.archive import pack, unpack
from interop.hugging_face import main
from tests.cli.infer_runs import make_run


def archive(tmp_path, members):
    """A zip file of names (or ZipInfos) and contents."""
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for member, content in members:
            opened.writestr(member, content)
    return path


def link(name, target):
    member = zipfile.ZipInfo(name)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member, target


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ([("config.json", "{}"), ("../evil.json", "x")], r"outside of its folder: '../evil.json'"),
        ([("config.json", "{}"), ("a/../../evil.json", "x")], "outside of its folder"),
        ([("config.json", "{}"), ("/etc/evil.json", "x")], "outside of its folder"),
        ([("config.json", "{}"), ("C:\\evil.json", "x")], "outside of its folder"),
        ([("config.json", "{}"), link("model.safetensors", "/etc/passwd")], "a link or a device"),
        ([("config.json", "{}"), ("model.safetensors", bytes(30_000_000))], "no file of a model shrinks that much"),
        ([("README.md", "hello")], "no config.json"),
        ([("config.json", "{}")] + [(f"{number}.json", "") for number in range(2_001)], "holds 2,002 files"),
    ],
    ids=["parent", "inside-out", "absolute", "windows", "link", "bomb", "no-model", "many"],
)
def test_a_hostile_zip_is_refused_and_writes_nothing(members, sentence, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(CheckpointError, match=sentence):
        unpack(archive(tmp_path, members), target)
    assert not list(target.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.zip", "target"]


def test_a_file_that_is_no_zip_or_was_cut_off_is_refused(tmp_path, capsys):
    path = tmp_path / "model.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(CheckpointError, match="cannot be unpacked"):
        unpack(path, tmp_path)
    whole = archive(tmp_path, [("config.json", os.urandom(5_000))])
    whole.write_bytes(whole.read_bytes()[:3_000])
    assert main(["import", str(whole), str(tmp_path / "run")]) == 2
    assert "cannot be unpacked" in capsys.readouterr().err


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_with_damaged_content_is_refused(method, tmp_path):
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w", method) as opened:
        opened.writestr("config.json", "a long text, which can be made shorter " * 100)
        begin = opened.infolist()[0].header_offset + 30 + len("config.json")
    content = bytearray(path.read_bytes())
    content[begin + 9 : begin + 40] = b"\xff" * 31
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be unpacked"):
        unpack(path, tmp_path)


def test_packing_and_unpacking_gives_the_files_back_and_nothing_else(tmp_path):
    folder = tmp_path / "my model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"\1" * 100)
    (folder / "run_me.py").write_text("raise SystemExit")
    pack(folder, tmp_path / "packed.zip")
    target = tmp_path / "target"
    target.mkdir()
    unpack(tmp_path / "packed.zip", target)
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "model.safetensors"]
    assert (target / "model.safetensors").read_bytes() == b"\1" * 100


def test_a_run_goes_through_a_zip_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "checkpoints", name="mine")
    assert main(["export", "mine", "mine.zip"]) == 0
    assert main(["import", "mine.zip", "--name", "again"]) == 0
    first, second = (path for path in sorted((tmp_path / "checkpoints").iterdir()) if path.is_dir())
    weights = [next(run.glob("step_*/model.safetensors")).read_bytes() for run in (first, second)]
    assert weights[0] == weights[1]
    shutil.rmtree(tmp_path / "checkpoints")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.zip"]
