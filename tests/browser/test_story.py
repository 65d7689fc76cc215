"""The whole story in a real browser: build, train, watch, refresh, lose the server, come back, generate."""

import time
from pathlib import Path

import pytest

from runs.folder import RunFolder, list_runs
from runs.launch import find_worker
from runs.lock import is_locked
from runs.metrics import MetricsReader
from runs.state import read_status

LINE = ".st-key-loss .scatterlayer path.js-line"
FIRST_POINT_SECONDS = 90  # 5 s is the promise on a machine with a core to spare; tests may share theirs
ORPHANED_SECONDS = 15


def wait_idle(page) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def wait_for(condition, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.1)


def the_run(folder: Path) -> RunFolder:
    (run,) = list_runs(folder / "checkpoints")
    return run


def logged_steps(run: RunFolder) -> int:
    reader = MetricsReader(run.metrics_path)
    reader.refresh(force=True)
    return len(reader)


def fill(page, label: str, value: str) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Enter")
    wait_idle(page)


def start_training(page, url: str, steps: int) -> None:
    """Click LLaMA, change its positions to ALiBi, ask for so many steps, and Start."""
    page.goto(f"{url}/train")
    page.get_by_role("button", name="Start training").wait_for()
    wait_idle(page)
    page.locator(".st-key-preset-llama button").click()
    wait_idle(page)
    page.locator(".st-key-model-position").get_by_text("alibi", exact=True).click()
    page.get_by_text("modified", exact=False).first.wait_for()
    page.get_by_role("tab", name="Training").click()
    fill(page, "Steps (max_steps)", str(steps))
    page.get_by_role("button", name="Start training").click()


@pytest.fixture
def trained(page, server):
    """A page that watches a long run."""
    start_training(page, server.url, steps=100_000)
    page.locator(LINE).first.wait_for(state="attached", timeout=1e3 * FIRST_POINT_SECONDS)
    return the_run(server.folder)


def test_from_a_click_to_text(page, server):
    start_training(page, server.url, steps=400)
    started = time.monotonic()
    page.locator(LINE).first.wait_for(state="attached", timeout=1e3 * FIRST_POINT_SECONDS)
    print(f"first point after {time.monotonic() - started:.1f} s")
    run = the_run(server.folder)
    assert run.read_config().model.position == "alibi" and run.read_config().preset == "llama"
    assert run.id in page.url and page.title().startswith(run.read_label().name)

    before = page.locator(LINE).first.get_attribute("d")
    wait_for(lambda: page.locator(LINE).first.get_attribute("d") != before, 90, "a longer curve")
    page.reload()
    page.locator(LINE).first.wait_for(state="attached")
    page.get_by_text(run.read_label().name).first.wait_for()

    page.get_by_role("button", name="Stop and save").click()
    page.get_by_role("link", name="Generate text").wait_for()
    wait_for(lambda: read_status(run).terminal, 60, "the end of the run")
    page.get_by_role("link", name="Generate text").click()
    page.get_by_label("Prompt").fill("First Citizen")
    page.get_by_label("Prompt").press("Control+Enter")
    page.get_by_text("13 tokens").wait_for()
    page.get_by_role("button", name="Generate", exact=True).click()
    page.get_by_text("300 tokens").wait_for()
    text = page.locator(".st-key-text_view .tokens").inner_text()
    assert text.startswith("First Citizen") and len(text) > 250
    page.get_by_role("link", name="Home").click()
    wait_idle(page)
    page.get_by_role("link", name="Generate", exact=False).first.click()
    page.get_by_text("300 tokens").wait_for()
    assert page.locator(".st-key-text_view .tokens").inner_text() == text


def test_the_run_survives_the_server_and_any_page_finds_it_again(page, server, trained):
    server.kill()
    assert is_locked(trained)
    steps = logged_steps(trained)
    wait_for(lambda: logged_steps(trained) > steps, 30, "training without a server")
    server.start()
    page.goto(f"{server.url}/train?run={trained.id}")
    page.locator(LINE).first.wait_for(state="attached")
    page.get_by_role("button", name="Pause").wait_for()
    assert page.get_by_role("dialog").count() == 0


def test_two_tabs_see_a_killed_worker_its_second_one_and_the_end(page, server, trained):
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()  # paused: there is a checkpoint now
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause").wait_for()
    worker = find_worker(read_status(trained))
    assert worker is not None
    worker.kill()
    page.get_by_text("The process of this run is gone").wait_for(timeout=1e3 * ORPHANED_SECONDS)
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause").wait_for()
    wait_for(lambda: read_status(trained).attempt == 2, FIRST_POINT_SECONDS, "the second worker")

    other = page.context.new_page()
    other.set_default_timeout(60_000)
    other.goto(page.url)
    other.locator(LINE).first.wait_for(state="attached")
    other.get_by_role("button", name="Stop and save").click()
    page.get_by_role("link", name="Generate text").wait_for()
    wait_for(lambda: read_status(trained).state == "stopped", 60, "the stop")
    page.locator(".st-key-run_title").get_by_text("stopped").first.wait_for()
