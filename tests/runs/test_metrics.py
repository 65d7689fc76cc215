"""Writing and following metrics: torn lines, cuts, words for numbers, many threads, charts that keep every spike."""

import json
import math
import os
import random
import threading
import time
from pathlib import Path

import pytest

from runs import following, metrics
from runs.folder import RunFolder
from runs.metrics import MetricsReader, MetricsWriter, SamplesReader
from runs.thinning import GrowingSeries, bucket_width


def line(step: int, loss: float | str = 1.0, **more: float) -> str:
    return json.dumps({"step": step, "train_loss_nats": loss, **more}) + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def reader(path: Path) -> MetricsReader:
    return MetricsReader(path, refresh_seconds=0.0)


def test_what_is_written_is_read(run: RunFolder):
    writer = MetricsWriter(run)
    writer.write({"step": 0, "val_loss_nats": 4.0, "val_bits_per_byte": 2.5})
    writer.write({"step": 1, "train_loss_nats": 0.1 + 0.2, "grad_norm": float("nan")})
    writer.write({"step": 2, "train_loss_nats": float("inf"), "learning_rate": 1e-3})
    writer.close()
    reader = MetricsReader(run.metrics_path)
    assert reader.refresh() and len(reader) == 2
    assert reader.columns("step")["step"] == [1.0, 2.0]
    assert reader.columns("train_loss_nats")["train_loss_nats"] == [0.1 + 0.2, math.inf]  # bit for bit
    columns = reader.columns("grad_norm", "learning_rate", "unheard_of")
    assert math.isnan(columns["grad_norm"][0]) and columns["learning_rate"][1] == 1e-3
    assert all(math.isnan(value) for value in columns["unheard_of"]) and len(columns["unheard_of"]) == 2
    assert reader.evaluations == [{"step": 0.0, "val_loss_nats": 4.0, "val_bits_per_byte": 2.5}]
    assert reader.last()["train_loss_nats"] == math.inf
    assert '"inf"' in run.metrics_path.read_text()
    assert set(reader.columns()) == {"step", "train_loss_nats", "grad_norm", "learning_rate"}


def test_lines_wait_a_quarter_of_a_second(path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(metrics.time, "monotonic", lambda: clock[0])
    writer = MetricsWriter(path)
    writer.write({"step": 1})
    assert path.stat().st_size == 0
    clock[0] = 0.25
    writer.write({"step": 2})
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    writer.write({"step": 3})
    assert writer.offset() == path.stat().st_size == 36


def test_truncating_forgets_what_came_after(path: Path):
    writer = MetricsWriter(path)
    writer.write({"step": 1})
    kept = writer.offset()
    writer.write({"step": 2})
    writer.flush()
    writer.write({"step": 3})
    writer.truncate(kept)
    writer.write({"step": 4})
    writer.truncate(10**9)
    writer.write({"step": 5})
    writer.close()
    assert path.read_text() == '{"step": 1}\n{"step": 5}\n'


@pytest.mark.parametrize("content", ["", "{", '{"step": 1}\n{"st', '{"step": 1}\n'])
def test_a_torn_last_line_is_cut_off_when_writing_goes_on(path: Path, content: str):
    path.write_text(content)
    writer = MetricsWriter(path)
    writer.write({"step": 9})
    writer.close()
    complete = content[: content.rfind("\n") + 1]
    assert path.read_text() == complete + '{"step": 9}\n'


def test_truncating_inside_of_a_line_leaves_no_torn_one(path: Path):
    path.write_text(line(1) + line(2))
    writer = MetricsWriter(path)
    writer.truncate(len(line(1)) + 5)
    writer.close()
    assert path.read_text() == line(1)


def test_a_full_disk_neither_loses_nor_doubles_a_line(path: Path, monkeypatch: pytest.MonkeyPatch):
    writer = MetricsWriter(path)
    writer.write({"step": 1})
    real_write = os.write
    calls = []

    def write_some_then_fail(descriptor: int, data: memoryview) -> int:
        calls.append(len(data))
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real_write(descriptor, data[:4])

    monkeypatch.setattr(metrics.os, "write", write_some_then_fail)
    with pytest.raises(OSError, match="No space left"):
        writer.flush()
    monkeypatch.setattr(metrics.os, "write", real_write)
    writer.close()
    assert path.read_text() == '{"step": 1}\n'


def test_a_torn_line_waits_for_its_end(path: Path, reader: MetricsReader):
    assert not reader.refresh()
    path.write_text(line(1) + line(2)[:9])
    assert reader.refresh() and reader.columns("step")["step"] == [1.0]
    assert not reader.refresh()
    with path.open("a") as file:
        file.write(line(2)[9:])
    assert reader.refresh() and reader.columns("step")["step"] == [1.0, 2.0]


def test_a_file_that_shrank_is_read_anew(path: Path, reader: MetricsReader):
    path.write_text("".join(line(step) for step in range(10)))
    reader.refresh()
    path.write_text(line(0))
    assert reader.refresh() and reader.columns("step")["step"] == [0.0]
    path.unlink()
    assert reader.refresh() and reader.columns("step")["step"] == [] and reader.last() == {}


def test_a_file_that_was_cut_and_grew_again_is_read_anew(path: Path, reader: MetricsReader):
    path.write_text("".join(line(step, elapsed_seconds=1.0) for step in range(10)))
    reader.refresh()
    with path.open("r+") as file:  # what a resume does: cut to the checkpoint, go on with other times
        file.truncate(3 * len(line(0, elapsed_seconds=1.0)))
        file.seek(0, os.SEEK_END)
        file.write("".join(line(step, 0.5, elapsed_seconds=2.123) for step in range(3, 20)))
    assert reader.refresh()
    assert reader.columns("step")["step"] == [float(step) for step in range(20)]
    assert reader.columns("train_loss_nats")["train_loss_nats"] == [1.0] * 3 + [0.5] * 17


def test_another_file_of_the_same_name_is_read_anew(path: Path, reader: MetricsReader):
    path.write_text(line(1) + line(2))
    reader.refresh()
    other = path.with_name("other")
    other.write_text(line(7) + line(2) + line(3))
    other.replace(path)
    assert reader.refresh() and reader.columns("step")["step"] == [7.0, 2.0, 3.0]


def test_damaged_lines_are_left_out(path: Path, reader: MetricsReader):
    damaged = ["{", "[]", "7", "", '{"step": 1}, {"step": 2}', "[" * 100_000, "9" * 5_000, "\x00"]
    path.write_text(line(1) + "\n".join(damaged) + "\n" + line(2) + "{}, {}\n" + line(3))
    with path.open("ab") as file:
        file.write(b"\xff\xfe\n" + line(4).encode())
    reader.refresh()
    assert reader.columns("step")["step"] == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("value", ["true", "null", '"1.5"', "[1]", "1" * 400])
def test_what_is_no_number_is_nan(path: Path, reader: MetricsReader, value: str):
    path.write_text('{"step": 1, "train_loss_nats": 2.0, "grad_norm": ' + value + "}\n" + line(2))
    reader.refresh()
    assert math.isnan(reader.columns("grad_norm")["grad_norm"][0])
    assert reader.columns("train_loss_nats")["train_loss_nats"] == [2.0, 1.0]


def test_a_line_without_end_is_stepped_over(path: Path, reader: MetricsReader, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(following, "_CHUNK_BYTES", 64)
    monkeypatch.setattr(following, "_LINE_LIMIT_BYTES", 256)
    path.write_text(line(1) + "x" * 1_000)
    reader.refresh()
    with path.open("a") as file:
        file.write("x" * 500 + "\n" + line(2))
    reader.refresh()
    assert reader.columns("step")["step"] == [1.0, 2.0]


def test_a_value_that_comes_later_in_the_run_has_its_row(path: Path, reader: MetricsReader):
    path.write_text(line(1) + line(2))
    reader.refresh()
    with path.open("a") as file:
        file.write(line(3, skipped_steps=4.0) + line(4))
    reader.refresh()
    skipped = reader.columns("skipped_steps")["skipped_steps"]
    assert skipped[2] == 4.0 and [math.isnan(value) for value in skipped] == [True, True, False, True]


def test_the_number_of_columns_is_bounded(path: Path, reader: MetricsReader):
    path.write_text(line(1, **{f"key_{number}": 1.0 for number in range(500)}))
    reader.refresh()
    assert len(reader.columns()) == 64


def test_links_are_not_followed(path: Path, reader: MetricsReader, tmp_path: Path):
    (tmp_path / "elsewhere").write_text(line(1))
    path.symlink_to(tmp_path / "elsewhere")
    assert not reader.refresh() and len(reader) == 0
    with pytest.raises(OSError, match="symbolic link"):
        MetricsWriter(path)


def test_many_sessions_look_at_the_file_twice_a_second(path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(following.time, "monotonic", lambda: clock[0])
    path.write_text(line(1))
    reader = MetricsReader(path)
    assert reader.refresh() and reader.version == 1
    path.write_text(line(1) + line(2))
    clock[0] = 0.49
    assert not reader.refresh() and len(reader) == 1
    assert reader.refresh(force=True) and len(reader) == 2 and reader.version == 2
    path.write_text(line(1) + line(2) + line(3))
    clock[0] = 0.99
    assert reader.refresh() and len(reader) == 3
    clock[0] = 2.0
    assert not reader.refresh() and reader.version == 3


def test_readers_in_many_threads_see_whole_rows(path: Path):
    reader = MetricsReader(path, refresh_seconds=0.0)
    writer = MetricsWriter(path)
    problems: list[str] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            reader.refresh()
            columns = reader.columns("step", "train_loss_nats")
            if columns["step"] != [float(step) for step in range(len(columns["step"]))]:
                problems.append("steps are not in order")
            if columns["train_loss_nats"] != [2.0 * step for step in columns["step"]]:
                problems.append("a row was torn apart")
            x, y = reader.series("train_loss_nats", buckets=50)
            if y != [2.0 * value for value in x]:
                problems.append("a series was torn apart")

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for step in range(3_000):
        writer.write({"step": step, "train_loss_nats": 2.0 * step})
        if step % 100 == 0:
            writer.flush()
    writer.close()
    done.set()
    for thread in threads:
        thread.join()
    reader.refresh(force=True)
    assert len(reader) == 3_000 and not problems


def test_samples_are_followed_too(tmp_path: Path):
    path = tmp_path / "samples.jsonl"
    reader = SamplesReader(path, refresh_seconds=0.0)
    assert not reader.refresh() and reader.samples == []
    writer = MetricsWriter(path)
    writer.write({"step": 1, "text": "<b>ROMEO</b>:\n", "prompt": "\ud800"})
    writer.close()
    assert reader.refresh() and not reader.refresh()
    assert reader.samples[0]["text"] == "<b>ROMEO</b>:\n"
    path.write_text("")
    assert reader.refresh() and reader.samples == []


@pytest.mark.parametrize("count", [0, 1, 999, 1_000, 1_001, 54_321])
def test_thinning_keeps_order_ends_of_range_and_size(count: int):
    generator = random.Random(count)
    y = [generator.gauss(0.0, 1.0) for _ in range(count)]
    x, thinned = GrowingSeries(1_000, 0.0).extend(list(range(count)), y)
    assert len(x) <= 2_000
    assert x == sorted(set(x))
    assert thinned == [y[int(position)] for position in x]
    if count:
        assert (min(thinned), max(thinned)) == (min(y), max(y))
    if count <= 1_000:
        assert thinned == y


@pytest.mark.parametrize("position", [0, 1, 63, 64, 50_000, 99_998, 99_999])
@pytest.mark.parametrize("height", [9.0, -9.0])
def test_thinning_keeps_every_spike(position: int, height: float):
    y = [1.0] * 100_000
    y[position] = height
    x, thinned = GrowingSeries(1_000, 0.0).extend(range(100_000), y)
    assert (position, height) in set(zip(x, thinned, strict=True))


def test_values_that_are_not_finite_hide_no_others():
    y = [1.0, math.nan, 5.0, -math.inf, math.nan, math.nan, math.inf, math.nan, 3.0]
    x, thinned = GrowingSeries(3, 0.0).extend(range(9), y)
    assert [x[0], *thinned[:2]] == [0, 1.0, 5.0]
    assert x[2] == 4 and math.isnan(thinned[2])
    assert (x[3], thinned[3]) == (8, 3.0)


def test_an_average_is_thinned_to_one_smooth_line_inside_its_band():
    y = [2.0 + (-1) ** row * 0.5 for row in range(10_000)]
    x = list(range(10_000))
    middle, mean = GrowingSeries(100, 0.0, "mean").extend(x, y)
    assert len(mean) <= 100 and max(mean) - min(mean) < 0.02  # through the extremes it would go from 1.5 to 2.5
    for kind, value in (("lowest", 1.5), ("highest", 2.5)):
        assert GrowingSeries(100, 0.0, kind).extend(x, y) == (middle, [value] * len(mean))
    assert GrowingSeries(1, 0.0, "mean").extend([0, 1, 2, 3], [1.0, math.nan, 2.0, math.inf])[1] == [1.5]


def test_another_x_costs_no_second_look_at_the_curve(path: Path, reader: MetricsReader):
    rows = ({"step": n, "tokens_seen": 10 * n, "train_loss_nats": 1.0 + n % 3} for n in range(1, 4_001))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reader.refresh()
    steps, losses = reader.series("train_loss_nats", buckets=50, smoothing=0.9, kind="mean")
    tokens, again = reader.series("train_loss_nats", "tokens_seen", buckets=50, smoothing=0.9, kind="mean")
    assert again == losses and tokens == [10 * step for step in steps] and len(reader._series) == 1


def test_thinning_needs_a_bucket():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        GrowingSeries(0, 0.0).extend([1], [1])
    assert [bucket_width(count, 1_000) for count in (0, 1_000, 1_001, 2_000, 2_001)] == [1, 1, 2, 2, 4]


@pytest.mark.parametrize("smoothing", [0.0, 0.9])
def test_a_growing_series_is_the_one_drawn_at_once(smoothing: float):
    generator = random.Random(1)
    y = [generator.random() for _ in range(5_000)]
    x = [float(step) for step in range(5_000)]
    growing = GrowingSeries(100, smoothing)
    for end in (0, 1, 99, 100, 101, 257, 1_600, 1_601, 5_000):
        assert growing.extend(x[:end], y[:end]) == GrowingSeries(100, smoothing).extend(x[:end], y[:end])


def test_smoothing_is_a_weighted_mean_of_the_past_that_steps_over_nan(path: Path, reader: MetricsReader):
    path.write_text(line(1, 4.0) + line(2, 2.0) + line(3, "nan") + line(4, 1.0))
    reader.refresh()
    _, smooth = reader.series("train_loss_nats", smoothing=0.5)
    second = 1 / 11 * 4.0 + 10 / 11 * 2.0
    assert smooth == pytest.approx([4.0, second, second, 2 / 12 * second + 10 / 12 * 1.0])
    with pytest.raises(ValueError, match="smoothing"):
        reader.series("train_loss_nats", smoothing=1.0)


@pytest.mark.parametrize("smoothing", [0.6, 0.9, 0.98])
def test_smoothing_keeps_up_with_the_first_steps_and_still_smooths_the_last(smoothing: float):
    losses = [1.7 + 2.5 * math.exp(-step / 30) for step in range(2_000)]  # as a tiny model's: 4.2 to 1.7
    x = [float(step) for step in range(len(losses))]
    _, smooth = GrowingSeries(len(losses), smoothing).extend(x, losses)
    assert smooth[0] == losses[0] and max(abs(a - b) for a, b in zip(smooth, losses, strict=True)) < 0.1
    noisy = [1.0 + 0.1 * (-1) ** step for step in range(2_000)]
    _, smooth = GrowingSeries(len(losses), smoothing).extend(x, noisy)
    assert max(abs(value - 1.0) for value in smooth[-100:]) <= 0.1 * (1 - smoothing)


def test_series_follow_the_run_over_a_cut_and_any_x(path: Path, reader: MetricsReader):
    path.write_text("".join(line(step, float(step), tokens_seen=10.0 * step) for step in range(20)))
    reader.refresh()
    assert reader.series("train_loss_nats", x="tokens_seen")[0][-1] == 190.0
    path.write_text(line(0, 7.0))
    reader.refresh()
    assert reader.series("train_loss_nats") == ([0.0], [7.0])
    for smoothing in range(99):
        reader.series("train_loss_nats", smoothing=smoothing / 100)
    assert len(reader._series) == 32
    assert reader.series("train_loss_nats") == ([0.0], [7.0])


def test_a_hundred_thousand_steps_stay_cheap(path: Path, reader: MetricsReader):
    text = "".join(line(step, 1.0 / (step + 1), grad_norm=0.5, tokens_per_second=1e5) for step in range(100_000))
    path.write_text(text)
    start = time.process_time()
    reader.refresh()
    first = time.process_time() - start
    reader.series("train_loss_nats", smoothing=0.9)
    with path.open("a") as file:
        file.write("".join(line(step) for step in range(100_000, 100_100)))
    start = time.process_time()
    reader.refresh()
    reader.series("train_loss_nats", smoothing=0.9)
    update = time.process_time() - start
    assert len(reader) == 100_100
    assert first < 2.0, f"first parse took {first:.2f} s"
    assert update < 0.1, f"an update took {update:.3f} s"
