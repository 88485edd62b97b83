"""A text of 5 000 words: the page answers while it draws, and after."""

import pytest

from tests.page.driving import run

SENTENCE = "The quick brown fox didn't jump over the lazy dog near the old river bank today. "  # 16 tokens and a stop
TEXT = SENTENCE * 313  # 5 008 words
# Frames come while the page draws; the longest time without one is how long a key press may wait.
WATCH = """() => {
    const seen = window.frames_ = { count: 0, longest: 0, done: false };
    let last = performance.now();
    const frame = (now) => {
        seen.count++;
        seen.longest = Math.max(seen.longest, now - last);
        last = now;
        if (!seen.done) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""


@pytest.mark.parametrize("panel", ["tag", "judge"])
def test_it_stays_responsive(page, panel):
    page.locator(f"#tab-{panel}").click()
    page.evaluate(WATCH)
    run(page, panel, TEXT)
    frames = page.evaluate("window.frames_.done = true, window.frames_")
    assert frames["count"] > 10
    assert frames["longest"] < 1500, "milliseconds; a tenth of it where the machine has nothing else to do"


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
