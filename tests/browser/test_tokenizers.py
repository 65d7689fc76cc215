"""The Tokenizers page in a real browser: hovering, text that looks like markup, stepping through merges."""


def wait_idle(page) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def test_a_text_is_drawn_explained_and_never_run(page, server):
    page.goto(f"{server.url}/tokenizers")
    page.locator(".token").first.wait_for()
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    text = '<img src=x onerror="alert(1)"> **low** lower lowest low low'
    field = page.get_by_label("Text", exact=True)
    field.fill(text)
    field.press("Control+Enter")
    page.locator(".st-key-tokenizer-source").get_by_text("The text above").click()
    page.get_by_text("bpe stops there").wait_for()
    wait_idle(page)
    assert "".join(page.locator(".token").all_text_contents()).replace("␣", " ") == text
    assert not dialogs and page.locator(".tokens img, .tokens strong").count() == 0

    page.locator(".token").first.hover()
    tip = page.locator(".tip:visible")
    assert tip.text_content() == "<\ntoken 60\nbytes 3c"

    page.get_by_role("tab", name="Merges").click()
    page.locator(".token.marked").first.wait_for()
    assert set(page.locator(".token.marked").all_text_contents()) == {"lo"}
    page.get_by_role("button", name="Next").click()
    page.locator(".token.marked", has_text="low").first.wait_for()
    assert set(page.locator(".token.marked").all_text_contents()) == {"low"}

    page.get_by_role("tab", name="Vocabulary size").click()
    page.locator(".st-key-sizes .scatterlayer path.js-line").first.wait_for(state="attached")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
