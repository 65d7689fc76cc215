"""Compare in a real browser: ticking rows, curves that follow, a chart as PNG, a report that asks nobody."""

from pathlib import Path

import pytest

from tests.app.compare_page import make

HEADER, ROW = 33, 33  # pixels of the table, which is a canvas
HOSTILE = "<img src=x onerror=alert(1)> **b** :red[x]"


def wait_idle(page) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


@pytest.fixture
def runs(server):
    checkpoints = server.folder / "checkpoints"
    return [make(checkpoints, name, preset=preset) for name, preset in (("plain-wren", "llama"), (HOSTILE, "gpt2"))]


def click_row(page, row: int) -> None:
    box = page.locator("[data-testid=stDataFrame] canvas").first.bounding_box()
    page.mouse.click(box["x"] + 16, box["y"] + HEADER + ROW * row + ROW / 2)
    page.wait_for_timeout(300)
    wait_idle(page)


def drawn(page, count: int) -> list[str]:
    """The colours of the curves, when there are so many."""
    lines = page.locator(".st-key-overlay_plot .scatterlayer .trace path.js-line")
    page.wait_for_function(
        "count => document.querySelectorAll('.st-key-overlay_plot .scatterlayer .trace').length === count", arg=count
    )
    return [lines.nth(at).evaluate("line => line.style.stroke") for at in range(count)]


def test_rows_are_ticked_and_everything_follows(page, browser, server, runs, tmp_path):
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(f"{server.url}/compare?runs={runs[0].id}&reference={runs[0].id}")
    (first,) = drawn(page, 1)
    click_row(page, 0)
    both = drawn(page, 2)
    assert first in both and len(set(both)) == 2
    for place in (".st-key-overlay_cards strong", "table.compared th"):
        assert page.locator(place).get_by_text(HOSTILE, exact=True).count() == 1
    assert runs[1].id in page.url and page.locator("table.compared .odd").count() > 3
    click_row(page, 1)
    assert drawn(page, 1) == [colour for colour in both if colour != first]
    page.get_by_label("Filter", exact=True).fill("plain")
    page.get_by_label("Filter", exact=True).press("Enter")
    wait_idle(page)
    assert len(drawn(page, 1)) == 1  # what is ticked stays ticked where it is not shown
    page.get_by_label("Filter", exact=True).fill("")
    page.get_by_label("Filter", exact=True).press("Enter")
    wait_idle(page)
    page.wait_for_timeout(500)
    click_row(page, 1)
    assert drawn(page, 2) == both

    with page.expect_download() as download:
        page.locator("button.save").first.click()
    assert download.value.suggested_filename == "comparison.png"
    picture = Path(download.value.path()).read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 9_000
    page.get_by_role("tab", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Report as HTML").click()
    download.value.save_as(tmp_path / "report.html")
    assert not dialogs
    page.set_viewport_size({"width": 800, "height": 1000})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    read_report(browser, tmp_path / "report.html")


def read_report(browser, path: Path) -> None:
    """The downloaded file, opened from the disk: it draws, asks nobody, and shows names as they are."""
    page = browser.new_page()
    asked, dialogs = [], []
    page.on("request", lambda sent: sent.url.startswith(("file:", "data:", "blob:")) or asked.append(sent.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelectorAll('.plot .scatterlayer .trace').length === 4")
    assert page.locator("td", has_text=HOSTILE).count() == 1 and page.locator("td img, th img").count() == 0
    assert not asked and not dialogs
    page.close()
