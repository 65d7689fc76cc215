"""Files that nobody should trust, mutated and hand-made: refused in a sentence, at once, and without taking memory."""

import json
import os
import random
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from components.model import build_model
from config.data_config import DataConfig
from config.errors import CheckpointError, ConfigError, RunError
from config.model_config import ModelConfig
from config.run_config import RunConfig
from runs.checkpoints import write_commit
from runs.folder import RunFolder, create_run
from runs.verification import WEIGHTS
from training.checkpoint import load_model, shapes_of
from training.gate import read_tensors

CONFIG = ModelConfig(d_model=8, n_layers=1, n_heads=2, d_mlp=16, n_ctx=8, d_vocab=11)
FIRST = "blocks.0.attention.qkv_proj.weight"


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    torch.set_num_threads(1)
    return {name: tensor.contiguous() for name, tensor in build_model(CONFIG, seed=1).state_dict().items()}


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[int, ...]]:
    return shapes_of(build_model(CONFIG, seed=1).state_dict())


def make_file(header: Any, numbers: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with this header, which may lie about its length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


def header_of(content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])


def numbers_of(content: bytes) -> bytes:
    return content[8 + int.from_bytes(content[:8], "little") :]


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One or more of what happens to files: flips, cuts, insertions, exchanged pieces; half of them in the header."""
    mutated = bytearray(content)
    header_end = 8 + int.from_bytes(content[:8], "little")
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(min(header_end if rng.random() < 0.5 else len(mutated), len(mutated)) or 1)
        match rng.randrange(5):
            case 0:
                mutated[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                del mutated[place:]
            case 2:
                mutated[place:place] = rng.randbytes(rng.randint(1, 64))
            case 3:
                other = rng.randrange(len(mutated) or 1)
                mutated[place : place + 8] = mutated[other : other + 8]
            case 4:
                mutated[place : place + 1] = rng.choice(
                    [b"[", b"{", b'"', b"9" * 40, b"-1", b"null", b"\xff", b"1e999"]
                )
        if not mutated:
            break
    return bytes(mutated)


def fuzz(folder: Path, tensors, shapes, count: int, seed: int) -> int:
    """Read `count` mutated files; how many were still read as tensors. Every other one must be a CheckpointError."""
    rng, content, file, read = random.Random(seed), save(tensors), folder / WEIGHTS, 0
    for _ in range(count):
        file.write_bytes(mutate(content, rng))
        started = time.perf_counter()
        try:
            found = read_tensors(file, shapes)
        except CheckpointError as error:
            assert len(str(error)) < 1_000 and "\n" not in str(error)
        else:
            read += 1
            assert {name: tuple(tensor.shape) for name, tensor in found.items()} == shapes
            assert all(torch.isfinite(tensor).all() for tensor in found.values())
        assert time.perf_counter() - started < 5
    return read


def test_mutated_weights_are_refused_or_fit(tmp_path, tensors, shapes):
    read = fuzz(tmp_path, tensors, shapes, count=3_000, seed=1)
    assert 0 < read < 1_500  # a flipped number is for the hash to find, not for the gate


@pytest.mark.slow
def test_many_mutated_weights_are_refused_or_fit(tmp_path, tensors, shapes):
    assert fuzz(tmp_path, tensors, shapes, count=300_000, seed=2) > 0


def replaced(content: bytes, **entry: Any) -> bytes:
    """The file with another header entry for its first tensor."""
    header = header_of(content)
    return make_file(header | {FIRST: header[FIRST] | entry}, numbers_of(content))


HOSTILE = {
    "a header of 2^63 bytes": lambda content: struct.pack("<Q", 2**63) + content[8:],
    "a header longer than the file": lambda content: make_file(b"{}", length=10_000),
    "a header of 5 MB": lambda content: make_file(
        {f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(80_000)}
    ),
    "a nested header": lambda content: make_file(b"[" * 5_000),
    "a list for a header": lambda content: make_file([1, 2]),
    "no tensors": lambda content: make_file({}),
    "one tensor missing": lambda content: make_file(
        {name: entry for name, entry in header_of(content).items() if name != FIRST}, numbers_of(content)
    ),
    "one tensor too many": lambda content: make_file(
        header_of(content) | {"more": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}, numbers_of(content)
    ),
    "a name twice": lambda content: make_file(
        json.dumps(header_of(content)).encode()[:-1] + f', "{FIRST}": {{}}}}'.encode(), numbers_of(content)
    ),
    "a shape that claims terabytes": lambda content: replaced(content, shape=[10**6, 10**6]),
    "a negative shape": lambda content: replaced(content, shape=[-8, -24]),
    "a huge number as shape": lambda content: replaced(content, shape=[10**4_000]),
    "another dtype": lambda content: replaced(content, dtype="F64"),
    "a dtype that is no word": lambda content: replaced(content, dtype=["F32"]),
    "places that overlap": lambda content: replaced(content, data_offsets=[0, 8]),
    "places outside the file": lambda content: replaced(content, data_offsets=[2**40, 2**40 + 768]),
    "no places": lambda content: replaced(content, data_offsets=None),
    "a cut file": lambda content: content[:-4],
    "something appended": lambda content: content + b"more",
    "a number that is not finite": lambda content: content[:-4] + struct.pack("<f", float("nan")),
    "nothing": lambda content: b"",
    "seven bytes": lambda content: content[:7],
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_hand_made_hostile_weights_are_refused_in_a_sentence(tmp_path, tensors, shapes, make):
    file = tmp_path / WEIGHTS
    file.write_bytes(make(save(tensors)))
    tracemalloc.start()
    started = time.perf_counter()
    try:
        with pytest.raises(CheckpointError) as caught:
            read_tensors(file, shapes)
        seconds, peak_bytes = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(file) in str(caught.value) and len(str(caught.value)) < 1_000
    assert seconds < 0.5 and peak_bytes < 10_000_000


def test_links_pipes_and_folders_are_no_weights(tmp_path, tensors, shapes):
    (tmp_path / "true").write_bytes(save(tensors))
    (tmp_path / "link").symlink_to(tmp_path / "true")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert read_tensors(tmp_path / "true", shapes).keys() == shapes.keys()
    for name in ("link", "pipe", "folder", "absent"):
        with pytest.raises(CheckpointError):
            read_tensors(tmp_path / name, shapes)


@pytest.fixture
def checkpoint(tmp_path: Path, tensors) -> Path:
    """A run with a sound checkpoint of CONFIG."""
    run = create_run(tmp_path / "checkpoints", RunConfig(model=CONFIG, data=DataConfig()), {})
    run.data_path.write_text(json.dumps({"d_vocab": CONFIG.d_vocab}))
    folder = run.step_path(5)
    folder.mkdir()
    (folder / WEIGHTS).write_bytes(save(tensors))
    write_commit(folder, step=5)
    return folder


def test_a_configuration_that_lies_about_the_weights_builds_nothing(checkpoint):
    assert load_model(checkpoint).config == CONFIG
    run = RunFolder(checkpoint.parent)
    config = json.loads(run.config_path.read_text())
    config["model"] |= {"d_model": 65_536, "n_layers": 1_024, "n_heads": 1_024, "d_mlp": 262_144}
    run.config_path.write_text(json.dumps(config))
    started = time.perf_counter()
    with pytest.raises(CheckpointError, match="do not belong together"):
        load_model(checkpoint)
    assert time.perf_counter() - started < 0.5


def hostile_configs(rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Configurations with one or two values that no run may have."""
    sizes = ["d_model", "n_layers", "n_heads", "n_kv_heads", "d_head", "d_mlp", "n_ctx"]
    values = [
        0, -1, True, 10**9, 10**18, 10**400, 1.5, float("nan"), float("inf"), "12", "x" * 100_000, [], {}, None,
        [[[[]]]], {"a": 1}, "\0", "../../etc", b"1",
    ]  # fmt: skip
    configs: list[dict[str, Any]] = [
        {"model": {"n_layers": 10**9}}, {"model": {"d_model": 65_536, "n_layers": 1_024, "n_heads": 1_024}, "more": 1},
        {"model": []}, {"model": None}, {"training": "fast"}, {"implementation": "pickle"}, {"format": 10**9},
        {"model": {f"f{n}": n for n in range(10_000)}},
    ]  # fmt: skip
    while len(configs) < count:
        chosen = {name: rng.choice(values) for name in rng.sample(sizes, 2)}
        if any(value not in (None,) for value in chosen.values()):
            configs.append({"model": chosen | {"norm": rng.choice(["rmsnorm", "evil", 7])}})
    return configs


def test_hostile_configurations_are_refused_at_once():
    configs = hostile_configs(random.Random(3), 200)
    started = time.perf_counter()
    problems = [problems_of(values) for values in configs]
    assert (time.perf_counter() - started) / len(configs) < 0.05
    assert sum(map(bool, problems)) > 180  # a few are merely odd: one kv head, no d_head
    assert all(len(message) < 1_000 for found in problems for message in found[:5])
    tracemalloc.start()
    for values in configs:
        problems_of(values)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 10_000_000


def problems_of(values: dict[str, Any]) -> list[str]:
    """What is wrong with a configuration; empty where nothing is."""
    try:
        RunConfig.from_dict(values)
    except ConfigError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize("content", [
    b'{"model": {"n_layers": 1e400}}', b'{"model": NaN}', b'{"model": {}, "model": {}}', b"[" * 100_000,
    b'{"format": ' + b"9" * 6_000 + b"}", b"\xff\xfe", b"", b"null", b'"text"',
])  # fmt: skip
def test_a_config_file_that_is_not_strict_json_is_refused(checkpoint, content):
    run = RunFolder(checkpoint.parent)
    run.config_path.write_bytes(content)
    started = time.perf_counter()
    with pytest.raises(RunError):
        run.read_config()
    assert time.perf_counter() - started < 0.05
