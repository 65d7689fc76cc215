"""What train.py does to a run folder, without training anything: `dummy_worker.py --run DIR [--steps N]`."""

import argparse
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from runs import control
from runs.folder import RunFolder
from runs.lock import RunLock, wait_for_slot
from runs.metrics import MetricsWriter
from runs.state import StateWriter


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--ignore-signals", action="store_true")
    options = parser.parse_args()
    run = RunFolder(options.run)
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: None if options.ignore_signals else stop.append(number))
    RunLock(run).acquire(timeout_seconds=0.5)
    state = StateWriter(run)
    state.set("queued", max_steps=options.steps)
    print("queued", flush=True)

    def on_wait(ahead: str | None) -> None:
        state.update(queued_behind=ahead)
        if "stop" in control.requested(run) or stop:
            state.set("stopped", "stopped while queued")
            sys.exit(0)

    wait_for_slot(run.path.parent, on_wait, run_id=run.id, poll_seconds=0.02)
    state.set("starting")
    metrics = MetricsWriter(run)
    state.set("running")
    print("running", flush=True)
    for step in range(1, options.steps + 1):
        metrics.write({"step": step, "train_loss_nats": 1.0 / step})
        state.step(step)
        requests = control.requested(run)
        if "stop" in requests or stop:
            control.clear(run, "stop")
            state.set("stopping")
            metrics.close()
            state.set("stopped")
            return 0
        time.sleep(0.005)
    metrics.close()
    state.set("finished")
    return 0


sys.exit(main())
