"""A worker without torch: holds the lock, writes states, metrics and samples, and obeys messages.

python -m tests.app.fake_worker RUN_FOLDER STEPS_PER_SECOND
"""

import random
import sys
import time
from pathlib import Path

from runs import control
from runs.folder import RunFolder
from runs.lock import RunLock
from runs.metrics import MetricsWriter
from runs.state import StateWriter
from tests.app.fake_runs import loss_at, sample_at, step_line


def main(folder: str, steps_per_second: float) -> None:
    run = RunFolder(Path(folder))
    settings = run.read_config().training
    noise = random.Random(0)
    with RunLock(run):
        state = StateWriter(run)
        metrics, samples = MetricsWriter(run), MetricsWriter(run.samples_path)
        state.set("queued", max_steps=settings.max_steps)
        state.set("starting")
        state.set("running")
        for step in range(settings.max_steps + 1):
            if step % settings.eval_interval == 0:
                loss = loss_at(step) + 0.05
                metrics.write({"step": step, "val_loss_nats": loss, "val_bits_per_byte": loss / 0.6931})
                samples.write({"step": step, "prompt": "\n", "text": sample_at(step)})
                samples.flush()
            if step:
                metrics.write(step_line(step, settings.max_steps, noise))
            state.step(step)
            time.sleep(1 / steps_per_second)
            if "pause" in control.requested(run):
                metrics.flush()
                state.set("paused")
                while "pause" in control.requested(run) and "stop" not in control.requested(run):
                    time.sleep(0.05)
                state.set("running")
            if "stop" in control.requested(run):
                state.set("stopping")
                break
        metrics.flush()
        state.set("stopped" if step < settings.max_steps else "finished")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
