"""Live charts in a real browser: drawn into the same picture once a second, never empty, and a zoom stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.fake_runs import make_run
from tests.browser.test_story import LINE, wait_for

ROOT = Path(__file__).parents[2]
REDRAWS = 4
# Looks at every frame: whether the picture is still the same one, and whether its lines are in it.
WATCH = """() => {
  const count = window.watched = { frames: 0, empty: 0, redraws: 0, pictures: new Set() };
  let before = null;
  const look = () => {
    const picture = document.querySelector('.st-key-loss svg.main-svg');
    const line = picture?.querySelector('.scatterlayer path.js-line')?.getAttribute('d');
    count.frames += 1;
    count.pictures.add(picture);
    if (!line) count.empty += 1;
    if (line !== before) count.redraws += 1;
    before = line;
    requestAnimationFrame(look);
  };
  look();
}"""
BUSY = [sys.executable, "-c", "while True: pass"]


@pytest.fixture
def growing_run(server):
    """A run whose worker writes metrics without training."""
    run = make_run(server.folder / "checkpoints", steps=0, max_steps=100_000)
    for path in (run.metrics_path, run.samples_path, run.state_path):
        path.unlink()
    worker = subprocess.Popen([sys.executable, "-m", "tests.app.fake_worker", str(run.path), "50"], cwd=ROOT)
    yield run
    worker.kill()
    worker.wait()


@pytest.fixture
def loaded_machine():
    """Two processes that take what they get."""
    busy = [subprocess.Popen(BUSY) for _ in range(2)]
    yield
    for process in busy:
        process.kill()
        process.wait()


def shown_range(page) -> list[float]:
    return page.evaluate("document.querySelector('.st-key-loss .js-plotly-plot')._fullLayout.xaxis.range.slice()")


def test_live_charts_are_never_empty_and_keep_the_zoom(page, server, growing_run, loaded_machine):
    page.goto(f"{server.url}/train?run={growing_run.id}")
    page.locator(LINE).first.wait_for(state="attached")
    page.evaluate(WATCH)
    wait_for(lambda: page.evaluate("watched.redraws") > REDRAWS, 90, "redraws")
    seen = page.evaluate("({...watched, pictures: watched.pictures.size})")
    assert seen["empty"] == 0 and seen["pictures"] == 1, seen

    box = page.locator(".st-key-loss .nsewdrag").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.2 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=5)
    page.mouse.up()
    wait_for(lambda: shown_range(page)[0] > 0, 30, "the zoom")
    zoomed, redraws = shown_range(page), page.evaluate("watched.redraws")
    wait_for(lambda: page.evaluate("watched.redraws") > redraws + 2, 90, "redraws after the zoom")
    assert shown_range(page) == zoomed
