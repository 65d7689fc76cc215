"""Look inside in a real browser: heads drawn and chosen by a click, parts switched off, tokens that are no markup."""

import pytest

from tests.app import fake_runs
from tests.app.fake_runs import add_checkpoint, make_run

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def run(server, monkeypatch):
    monkeypatch.setattr(fake_runs, "TEXT", fake_runs.TEXT + HOSTILE)  # so that its tokenizer can read it
    run = make_run(server.folder / "checkpoints", name="brave-otter")
    add_checkpoint(run)
    return run


def wait_idle(page) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def test_a_head_is_looked_at_and_a_part_switched_off(page, server, run):
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(f"{server.url}/look-inside?run={run.id}")
    field = page.get_by_label("Text", exact=True)
    field.fill(HOSTILE)
    field.press("Control+Enter")
    page.get_by_text(f"step 300 · {len(HOSTILE)} tokens").wait_for()
    wait_idle(page)
    assert page.locator(".head").count() == 4
    page.get_by_role("button", name="layer 1 head 1").click()
    page.locator(".gtitle", has_text="Layer 1, head 1").wait_for()
    assert page.locator('.head[aria-pressed="true"]').get_attribute("data-head") == "1/1"

    page.get_by_role("tab", name="Logit lens").click()
    page.locator(".lens td").first.wait_for()
    rows = page.locator(".lens tbody th").all_text_contents()
    assert "".join(rows).replace("␣", " ") == HOSTILE
    assert page.locator(".lens img").count() == 0

    page.get_by_role("tab", name="Switch parts off").click()
    page.get_by_role("button", name="Measure every part").click()
    page.get_by_role("switch", name="layer 0 MLP: loss").click()
    page.get_by_text("Without layer 0 MLP").wait_for()
    wait_idle(page)
    assert page.get_by_role("switch", name="layer 0 MLP").get_attribute("aria-checked") == "false"
    assert not dialogs
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
