"""How long the Compare page takes with many long runs: python -m benchmarks.compare_page.

Run folders are made by hand, 200 with 10,000 steps each by default, and the page is drawn through main.py as a browser
would have it drawn, without the browser: once cold (no file read yet), then again and again (a click), with three
ticked runs and with twelve. Printed are seconds by the clock; of the clicks the median and the slowest.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from config.presets import PRESET_NAMES, load_preset
from config.run_config import RunConfig
from runs import folder
from runs.files import write_json
from runs.folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent
EVALUATE_EVERY = 100


def main() -> int:
    """One line for each situation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--clicks", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)  # there the app finds checkpoints/
        runs = [make_run(folder.CHECKPOINTS, number, arguments.steps) for number in range(arguments.runs)]
        AppTest.from_file(ROOT / "main.py", default_timeout=120).run()  # Streamlit, pandas and the pages are loaded
        app = AppTest.from_file(ROOT / "main.py", default_timeout=120).run()
        print(f"{arguments.runs} runs of {arguments.steps:,} steps", flush=True)
        print(f"cold, three ticked       {timed(app.switch_page('pages/compare_runs.py')):6.2f} s", flush=True)
        report("click, three ticked", [timed(app) for _ in range(arguments.clicks)])
        app.session_state["compare_ticked"] = [run.id for run in runs[-12:]]
        app.session_state["compare_ticked_anew"] = True
        print(f"nine more ticked         {timed(app):6.2f} s", flush=True)
        report("click, twelve ticked", [timed(app) for _ in range(arguments.clicks)])
    return 0


def timed(app: AppTest) -> float:
    """Seconds of one run of the page."""
    started = time.perf_counter()
    app.run()
    assert not app.exception, app.exception
    return time.perf_counter() - started


def report(what: str, seconds: list[float]) -> None:
    """The median and the slowest."""
    print(f"{what:24} {statistics.median(seconds):6.2f} s   slowest {max(seconds):.2f} s", flush=True)


def make_run(checkpoints: Path, number: int, steps: int) -> RunFolder:
    """A finished run as a worker leaves it, without checkpoints, in a file of its own."""
    run = RunFolder(checkpoints.absolute() / f"20260101{number:06d}")
    run.path.mkdir(parents=True)
    preset = PRESET_NAMES[number % len(PRESET_NAMES)]
    config = RunConfig(model=load_preset(preset, "tiny").replace(n_layers=1 + number % 8), preset=preset, size="tiny")
    run.config_path.write_text(json.dumps(config.to_dict()))
    run.data_path.write_text(json.dumps({"d_vocab": 65, "corpus_sha256": "a" * 64}))
    run.metrics_path.write_text("".join(lines(steps, number)))
    write_json(
        run.state_path,
        {"state": "finished", "step": steps, "max_steps": steps, "best_val_loss_nats": 1.5 + number / 1_000},
    )
    return run


def lines(steps: int, number: int) -> list[str]:
    """Steps and evaluations of a curve that looks like learning."""
    found = []
    for step in range(1, steps + 1):
        loss = 1.5 + number / 1_000 + 2.5 * math.exp(-step / 300)
        line = {
            "step": step, "tokens_seen": 768 * step, "elapsed_seconds": 0.03 * step, "train_loss_nats": loss,
            "learning_rate": 1e-3, "grad_norm": 0.7, "tokens_per_second": 25_000.0, "batch_hash": 2**47 + step,
        }  # fmt: skip
        found.append(json.dumps(line) + "\n")
        if step % EVALUATE_EVERY == 0:
            row = {"step": step, "val_loss_nats": loss, "val_bits_per_byte": loss / math.log(2)}
            found.append(json.dumps(row) + "\n")
    return found


if __name__ == "__main__":
    raise SystemExit(main())
