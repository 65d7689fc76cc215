"""Runs in a line each: the right numbers, from the end of the file alone, read again only when something changed."""

import contextlib
import csv
import io
import json
import math
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from config.lora_config import LoraConfig
from config.run_config import RunConfig
from config.sizes import count_parameters, flops_per_token
from runs import summaries
from runs.export import curves_csv, summaries_csv
from runs.files import write_json
from runs.folder import RunFolder, create_run
from runs.state import StateWriter
from runs.summaries import SummaryBook, change_sentence


def step_line(step: int) -> str:
    line = {"step": step, "tokens_seen": 768 * step, "elapsed_seconds": 0.5 * step, "train_loss_nats": 4.0 - step / 1e5}
    return json.dumps(line) + "\n"


def evaluation_line(step: int, loss: float | str) -> str:
    bits = loss if isinstance(loss, str) else 2 * loss
    return json.dumps({"step": step, "val_loss_nats": loss, "val_bits_per_byte": bits}) + "\n"


def fill(run: RunFolder, steps: int = 300, best: float = 1.5) -> None:
    """What a worker leaves: an evaluation at every hundredth step, the last one not the best."""
    lines = [evaluation_line(0, 4.0)]
    for step in range(1, steps + 1):
        lines += [step_line(step)] + ([evaluation_line(step, best + 0.1)] if step % 100 == 0 else [])
    run.metrics_path.write_text("".join(lines))
    write_json(run.data_path, {"d_vocab": 65, "corpus_sha256": "a" * 64})
    StateWriter(run).set("finished", step=steps, max_steps=steps, best_val_loss_nats=best)


def read(run: RunFolder) -> summaries.Summary:
    (summary,) = SummaryBook().read([run])
    return summary


def test_a_summary_has_the_numbers_of_the_run(run: RunFolder, config: RunConfig):
    fill(run)
    found = read(run)
    model = config.with_vocabulary(65)
    assert (found.config, found.model, found.corpus) == (config, model, "a" * 64)
    assert found.parameters == count_parameters(model)
    assert (found.tokens_seen, found.elapsed_seconds, found.tokens_per_second) == (768 * 300, 150.0, 1536.0)
    assert found.flops == 768 * 300 * flops_per_token(model)
    assert (found.best_loss_nats, found.best_bits_per_byte) == (1.5, pytest.approx(3.0))
    assert found.size_bytes >= run.metrics_path.stat().st_size
    assert (found.status.state, found.label) == ("finished", run.read_label())


def test_frozen_weights_cost_a_third_less(root: Path, config: RunConfig):
    run = create_run(root, replace(config, lora=LoraConfig(lora_rank=4)), {})
    fill(run)
    model = config.with_vocabulary(65)
    assert read(run).flops == 768 * 300 * flops_per_token(model, frozen=True) < 768 * 300 * flops_per_token(model)


def test_a_run_that_has_just_begun_knows_little(run: RunFolder):
    found = read(run)
    assert (found.parameters, found.flops, found.best_loss_nats, found.best_bits_per_byte) == (None,) * 4
    assert (found.tokens_seen, found.tokens_per_second) == (0, None)


@pytest.mark.parametrize("content", ["", "\n", '{"step": 1, "train_lo', "not json\n", evaluation_line(0, "nan")])
def test_files_that_say_nothing_useful_are_no_error(run: RunFolder, content: str):
    run.metrics_path.write_text(content)
    StateWriter(run).set("failed", best_val_loss_nats=2.0)
    found = read(run)
    assert found.best_loss_nats == 2.0 and found.best_bits_per_byte is None and found.tokens_seen == 0


def test_a_damaged_configuration_is_told_and_hurts_nobody_else(root: Path, config: RunConfig, run: RunFolder):
    fill(run)
    other = create_run(root, config, {})
    other.config_path.write_text("{")
    found, damaged = SummaryBook().read([run, other])
    assert found.config == config and damaged.config is None
    assert change_sentence(found, damaged) == "its configuration cannot be read"
    assert change_sentence(damaged, found) == "own architecture"


def test_only_what_changed_is_read_again(run: RunFolder, monkeypatch):
    fill(run)
    opened = []
    real = summaries.open_regular
    monkeypatch.setattr(summaries, "open_regular", lambda path: opened.append(path) or real(path))
    book = SummaryBook()
    assert book.read([run])[0].tokens_seen == 768 * 300
    book.read([run])
    assert opened == [run.metrics_path]
    with run.metrics_path.open("a") as file:
        file.write(step_line(301) + '{"step": 302, "tokens_seen": 9')  # torn: it waits until it is complete
    assert book.read([run])[0].tokens_seen == 768 * 301 and len(opened) == 2
    run.metrics_path.unlink()
    assert book.read([run])[0].tokens_seen == 0
    assert book.read([]) == [] and not book._digests  # what is gone is forgotten


def test_of_a_long_file_the_end_alone_is_read(run: RunFolder, monkeypatch):
    fill(run, steps=10_000)
    size, read_bytes = run.metrics_path.stat().st_size, []

    @contextlib.contextmanager
    def counting(path):
        with open(path, "rb") as file:

            class Counted:
                seek = file.seek

                def read(self, n):
                    read_bytes.append(n)
                    return file.read(n)

            yield Counted()

    monkeypatch.setattr(summaries, "open_regular", counting)
    assert read(run).best_bits_per_byte == pytest.approx(3.0)
    assert sum(read_bytes) <= summaries.CHUNK_BYTES < size / 10


def test_an_evaluation_far_from_the_end_is_found(run: RunFolder):
    fill(run, steps=100)
    with run.metrics_path.open("a") as file:
        file.writelines(step_line(step) for step in range(101, 5_000))  # several chunks
    assert run.metrics_path.stat().st_size > 4 * summaries.CHUNK_BYTES
    found = read(run)
    assert found.best_bits_per_byte == pytest.approx(3.0) and found.tokens_seen == 768 * 4_999


def test_another_text_of_the_same_name_is_told(root: Path, config: RunConfig, run: RunFolder):
    fill(run)
    other = create_run(root, config, {})
    fill(other)
    book = SummaryBook()
    reference, same = book.read([run, other])
    assert change_sentence(reference, same) == "the same configuration"
    assert change_sentence(reference, reference) == "the reference"
    write_json(other.data_path, {"d_vocab": 65, "corpus_sha256": "b" * 64})
    reference, same = SummaryBook().read([run, other])
    assert change_sentence(reference, same) == "the same configuration, and the text itself is another"


def test_the_size_is_measured_again_when_a_checkpoint_comes(run: RunFolder, make_checkpoint):
    fill(run)
    book = SummaryBook()
    before = book.read([run])[0].size_bytes
    os.utime(run.path, (1, 1))  # a folder that changed within the clock's grain
    make_checkpoint(run, 100, weights=b"\2" + bytes(7) + b"{}" + bytes(10_000))
    assert book.read([run])[0].size_bytes > before + 10_000


def test_csv_has_a_line_for_each_run_and_no_formulas(root: Path, config: RunConfig, run: RunFolder):
    fill(run)
    other = create_run(root, RunConfig(model=config.model.replace(n_layers=8)), {}, name="=HYPERLINK(1)")
    fill(other, best=1.25)
    reference, second = SummaryBook().read([run, other])
    rows = list(csv.DictReader(io.StringIO(summaries_csv([reference, second], reference))))
    assert [row["run"] for row in rows] == [run.id, other.id]
    assert rows[1]["name"] == "'=HYPERLINK(1)" and rows[1]["Architecture: Layers"] == "8"
    assert float(rows[1]["best_val_loss_nats"]) == 1.25 and int(rows[0]["tokens_seen"]) == 768 * 300
    curves = list(csv.DictReader(io.StringIO(curves_csv([reference, second]))))
    assert len(curves) == 2 * (300 + 4)
    assert math.isclose(sum(float(row["val_loss_nats"] or 0) for row in curves), 4 + 3 * 1.6 + 4 + 3 * 1.35)


def test_two_hundred_long_runs_take_less_than_a_second(root: Path, config: RunConfig):
    """Of processor time, from nothing; benchmarks/compare_page.py measures the whole page by the clock."""
    first = create_run(root, config, {})
    fill(first, steps=10_000)
    runs = [first]
    for number in range(199):
        runs.append(RunFolder(root / f"20260101{number:06d}"))
        runs[-1].path.mkdir()
        for file in filter(Path.is_file, first.path.iterdir()):
            os.link(file, runs[-1].path / file.name)
    book = SummaryBook()
    started = time.process_time()
    assert len(book.read(runs)) == 200
    assert time.process_time() - started < 1.0
    started = time.process_time()
    book.read(runs)
    assert time.process_time() - started < 0.3
