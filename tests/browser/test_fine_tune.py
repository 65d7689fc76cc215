"""Fine-tune in a real browser: a text is uploaded, adapters are trained, and the text before and after stands there."""

import pytest

from tests.app.fake_runs import TEXT, add_checkpoint, make_run


@pytest.fixture
def parent(server):
    run = make_run(server.folder / "checkpoints", name="brave-otter")
    add_checkpoint(run)
    return run


def wait_idle(page) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def test_from_a_checkpoint_to_what_it_writes_before_and_after(page, server, parent):
    page.goto(f"{server.url}/fine-tune")
    page.get_by_text("upload a text").wait_for()
    page.set_input_files(
        "input[type=file]", {"name": "mine.txt", "mimeType": "text/plain", "buffer": TEXT.encode() * 40}
    )
    page.get_by_text("begins at step 0 with the weights of brave-otter").wait_for()
    page.get_by_role("radio", name="LoRA adapters").click()
    page.get_by_text("numbers of adapters are trained beside").wait_for()
    wait_idle(page)
    page.wait_for_function("document.querySelectorAll('input[aria-label=\"Steps (max_steps)\"]').length == 1")
    page.get_by_label("Steps (max_steps)", exact=True).fill("12")
    page.get_by_label("Steps (max_steps)", exact=True).press("Enter")
    wait_idle(page)
    page.get_by_role("button", name="Start fine-tuning").click()
    page.get_by_text("12 of 12 steps").wait_for()
    page.get_by_text("from step 300 of brave-otter · LoRA of rank 8").wait_for()
    page.get_by_role("heading", name="Before and after").wait_for()
    wait_idle(page)
    page.get_by_role("button", name="Write with each").click()
    page.get_by_text("200 tokens ·").nth(1).wait_for()
    shown = page.get_by_text("on the parent's text")
    assert shown.count() == 0  # the run was made by hand: nobody knows its text
