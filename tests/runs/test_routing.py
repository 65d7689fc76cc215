"""Routing is read from lines that a worker wrote, and from nothing else."""

import pytest

from runs.folder import RunFolder
from runs.metrics import MetricsReader, MetricsWriter
from runs.routing import Routing, parse_routing

LINE = {"step": 20, "val_loss_nats": 2.0, "expert_shares": [[0.5, 0.25, 0.25], [0.1, 0.6, 0.3]],
        "router_entropy_nats": [1.0, 0.5]}  # fmt: skip


def test_a_line_of_an_evaluation_is_read():
    routing = parse_routing(LINE)
    assert routing == Routing(20.0, ((0.5, 0.25, 0.25), (0.1, 0.6, 0.3)), (1.0, 0.5))
    assert routing.busiest == pytest.approx(1.8) and routing.idlest == pytest.approx(0.3)


@pytest.mark.parametrize("changes", [
    {"expert_shares": None}, {"expert_shares": []}, {"expert_shares": [[]]}, {"expert_shares": [[1.0], 2]},
    {"expert_shares": [[0.5, 0.5], [1.0]]}, {"expert_shares": [["a", 0.5], [0.5, 0.5]]},
    {"expert_shares": [["nan", 0.5], [0.5, 0.5]]}, {"router_entropy_nats": [1.0]}, {"router_entropy_nats": "x"},
    {"expert_shares": [[0.0] * 5_000] * 2}, {"expert_shares": [[1.0]] * 2_000, "router_entropy_nats": [1.0] * 2_000},
], ids=lambda changes: str(changes)[:50])  # fmt: skip
def test_what_makes_no_sense_is_left_out(changes):
    assert parse_routing(LINE | changes) is None


def test_the_newest_evaluation_counts_and_a_dense_run_has_none(tmp_path):
    run = RunFolder(tmp_path)
    writer, reader = MetricsWriter(run), MetricsReader(run.metrics_path, refresh_seconds=0)
    writer.write({"step": 0, "val_loss_nats": 3.0})
    writer.flush()
    reader.refresh(force=True)
    assert reader.routing is None
    for step in (10, 20):
        writer.write(LINE | {"step": step})
        writer.write({"step": step + 1, "train_loss_nats": 2.0, "expert_balance": 1.1})
    writer.close()
    reader.refresh(force=True)
    assert reader.routing.step == 20 and reader.evaluations[-1]["val_loss_nats"] == 2.0
    assert reader.columns("expert_balance")["expert_balance"] == [1.1, 1.1]
