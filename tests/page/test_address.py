"""The address, which follows the tab and the form, and is followed by them."""

from urllib.parse import parse_qs, urlsplit

from tests.page.driving import answered, run, unfold


def address(page) -> tuple[str, dict[str, str]]:
    """Returns the tab and the fields of the address."""
    tab, _, query = urlsplit(page.url).fragment.partition("?")
    return tab, {name: values[0] for name, values in parse_qs(query).items()}


def test_back_and_forward_show_what_was_shown(page):
    field = page.get_by_label("Text to tag")
    run(page, "tag", "Dogs bark.")
    run(page, "classify", "Awful.")
    assert address(page) == ("classify", {"text": "Awful."})
    page.go_back()  # to the text that was there when the tab was opened
    page.go_back()
    page.locator("#tag .word", has_text="bark").wait_for()
    assert address(page) == ("tag", {"text": "Dogs bark.", "model": "auto"})
    assert field.input_value() == "Dogs bark."
    page.go_forward()
    page.go_forward()
    page.locator("#classify .summary", has_text="negative").wait_for()
    assert page.get_by_label("Text to classify").input_value() == "Awful."


def test_an_address_that_is_typed_is_followed(page):
    page.evaluate("location.hash = '#classify?text=Superb.'")
    page.locator("#classify .summary", has_text="positive").wait_for()
    assert page.get_by_label("Text to classify").input_value() == "Superb."
    page.evaluate("location.hash = '#generate?prompt=ROMEO&seed=7&length=1'")
    page.locator("#generate").wait_for()
    assert page.locator("#generate-prompt").input_value() == "ROMEO"
    assert page.locator("#generate .written").count() == 0, "a link alone generates nothing"
    page.go_back()
    assert page.locator("#classify").is_visible()


def test_a_text_too_long_for_an_address_is_gone_back_to(page):
    text = "A dog barks. " * 700
    run(page, "tag", text)
    assert address(page) == ("tag", {})
    unfold(page, "#tag .tools")
    page.get_by_role("button", name="Copy link").first.click()
    page.locator("#tag .summary", has_text="The text is too long for a link.").wait_for()
    answered(page, "tag", page.locator("#tag .examples button").first.click)
    answered(page, "tag", page.go_back)
    assert page.get_by_label("Text to tag").input_value() == text
