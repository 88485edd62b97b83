"""A text of 5 000 words: the page answers while it draws, and after."""

import pytest

from tests.page.driving import run

SENTENCE = "The quick brown fox didn't jump over the lazy dog near the old river bank today. "  # 16 tokens and a stop
TEXT = SENTENCE * 313  # 5 008 words
# The page draws in slices, and lets the browser do something else between them.
WATCH = """() => {
    window.pauses_ = 0;
    const pause = scheduler.yield.bind(scheduler);
    scheduler.yield = () => { window.pauses_++; return pause(); };
}"""


@pytest.mark.parametrize("panel", ["tag", "classify"])
def test_it_stays_responsive(page, panel):
    page.locator(f"#tab-{panel}").click()
    page.evaluate(WATCH)
    run(page, panel, TEXT)
    assert page.evaluate("window.pauses_") > 0


def test_five_thousand_tokens_are_one_tab_stop_and_all_reachable(page):
    run(page, "tag", TEXT)
    options = page.locator("#tag [role=option]")
    assert options.count() > 5000
    assert page.locator("#tag [role=option][tabindex='0']").count() == 1
    options.first.focus()
    page.keyboard.press("End")
    last = page.locator("#tag [role=option]:focus")
    assert last.inner_text().startswith(".")
    assert last.is_visible()
    box = last.bounding_box()
    assert 0 <= box["y"] <= 900, "the page has scrolled to it"
    page.get_by_label("Text to tag").press("End")
    page.keyboard.type(" Yes")
    assert page.get_by_label("Text to tag").input_value().endswith(" Yes")
