"""The Generate page in a real browser: colours, alternatives on hover, regrowing at a click, text that is no markup."""

import time

import pytest

from tests.app import fake_runs
from tests.app.fake_runs import add_checkpoint, make_run

HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(2)> $x$ :red[x] ![](http://example.org/x.png) **b**"


@pytest.fixture
def run(server, monkeypatch):
    monkeypatch.setattr(fake_runs, "TEXT", fake_runs.TEXT + HOSTILE)  # so that its tokenizer can read and write it
    run = make_run(server.folder / "checkpoints", name="brave-otter")
    add_checkpoint(run)
    return run


def wait_idle(page) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def open_page(page, server, run, *, prompt: str, tokens: int) -> None:
    page.goto(f"{server.url}/generate?run={run.id}")
    page.get_by_label("New tokens", exact=True).fill(str(tokens))
    page.get_by_label("Prompt").fill(prompt)
    page.get_by_label("Prompt").press("Control+Enter")
    page.get_by_text(f"{len(prompt)} tokens").wait_for()
    wait_idle(page)


def generate(page, count: int) -> None:
    page.get_by_role("button", name="Generate", exact=True).click()
    wait_for_text(page, count)


def wait_for_text(page, count: int, texts: int = 1) -> None:
    page.get_by_text(f"{count:,} tokens ·").wait_for()
    page.get_by_role("button", name="Generate", exact=True).wait_for()
    wait_idle(page)
    assert page.locator(".tokens").count() == texts


def wait_for_tokens(page, count: int) -> None:
    """Until the text is complete and has so many tokens that can be clicked."""
    deadline = time.monotonic() + 60
    while page.locator(".token.live").count() != count:
        assert time.monotonic() < deadline, page.locator(".token.live").count()
        time.sleep(0.05)
    wait_idle(page)


def text_of(page) -> str:
    return page.locator(".tokens").first.text_content()


def test_a_click_on_a_coloured_token_writes_on_from_there(page, server, run):
    open_page(page, server, run, prompt="First", tokens=30)
    generate(page, 30)
    assert page.locator(".token.live").count() == 0
    page.get_by_text("Colour by probability").click()
    page.locator(".token.live").first.wait_for()
    first = text_of(page)
    live = page.locator(".token.live")
    assert live.count() == 30 and len(first) == 5 + 30
    tints = {live.nth(at).evaluate("token => token.style.background") for at in range(30)}
    assert len(tints) > 1  # the less likely, the darker

    live.nth(9).hover()
    tip = page.locator(".tip:visible").text_content()
    assert "% likely" in tip and "likeliest here:" in tip and tip.count("%") == 6

    live.nth(9).click()
    assert not page.locator(".tip:visible").count()
    entries = page.get_by_role("menuitem")
    assert entries.count() == 6 and entries.first.evaluate("entry => entry.matches(':focus')")
    others = entries.locator("span:first-child").all_text_contents()[1:]
    page.get_by_label("Prompt", exact=True).click()
    assert not page.get_by_role("menu").is_visible()  # whoever goes elsewhere closes it
    live.nth(9).click()
    at = next(at for at, other in enumerate(others) if other != first[5 + 9] and other.isalpha())
    entries.nth(at + 1).click()
    wait_for_tokens(page, 9 + 1 + 30)
    assert text_of(page).startswith(first[: 5 + 9] + others[at]) and len(text_of(page)) == 5 + 9 + 1 + 30

    second = text_of(page)
    page.locator(".page").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("menuitem").first.wait_for()
    page.keyboard.press("Escape")
    assert not page.get_by_role("menu").is_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # the first entry: write on from here
    wait_for_tokens(page, 3 + 30)
    third = text_of(page)
    assert third[:8] == second[:8] and third != second[: len(third)] and len(third) == 5 + 3 + 30
    assert page.get_by_text("· seed 2").count()


def test_text_is_shown_as_it_is_and_every_stage_has_its_panel(page, server, run):
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    open_page(page, server, run, prompt=HOSTILE, tokens=20)
    page.get_by_text("What may come next").click()
    page.locator(".panel").nth(2).wait_for()
    assert page.locator(".panel .bar").count() == 3 * 12
    page.get_by_label("Samples", exact=True).fill("3")
    page.get_by_label("Samples", exact=True).press("Enter")
    wait_idle(page)
    page.get_by_role("button", name="Generate", exact=True).click()
    wait_for_text(page, 60, texts=3)
    page.get_by_text("Colour by probability").click()
    page.locator(".token.live").nth(59).wait_for()
    assert all(text.startswith(HOSTILE) and len(text) == len(HOSTILE) + 20
               for text in page.locator(".tokens").all_text_contents())  # fmt: skip
    assert page.get_by_text(HOSTILE[-20:], exact=False).count()
    markup = "script, img, b, strong, em, .katex, [style*=red]"
    assert not dialogs and page.locator(".tokens").locator(markup).count() == 0
    assert page.locator("[data-testid=stMain] :is(img, .katex, strong)").count() <= 1  # the card's title
    assert page.get_by_role("meter").get_attribute("aria-valuemax") == "32"
    for width in (1280, 800):
        page.set_viewport_size({"width": width, "height": 1000})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
