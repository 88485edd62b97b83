"""What tests do with the page."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response

FIELDS = {"tag": "#tag-text", "classify": "#classify-text", "generate": "#generate-prompt"}
# Many more texts than the service writes at a time: they last until they are stopped, also where the browser is slow.
LONG: dict[str, Any] = {"max_tokens": 4000, "n": 32}
# The text of what `content-visibility: auto` lays out is empty until the browser has drawn a frame with it.
DRAWN = "new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
LENGTH = "document.querySelector('#generate .written')?.lastChild.data.length"


def until(page: Page, expression: str, seconds: float = 30) -> None:
    """Waits for an expression to come true. Playwright's own waiting for it breaks the page's policy: it uses eval."""
    for _ in range(int(seconds * 20)):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never came true: {expression}")


def unfold(page: Page, selector: str) -> None:
    """Opens what is folded away."""
    if page.locator(selector).get_attribute("open") is None:
        page.locator(f"{selector} > summary").click()


def answered(page: Page, panel: str, act: Callable[[], object]) -> None:
    """Does something, and waits for the panel to have shown the whole answer to it."""
    page.evaluate(f"document.querySelector('#{panel} .cost').hidden = true")
    act()
    page.wait_for_selector(f"#{panel} .cost:not([hidden])")
    page.wait_for_selector(f"#{panel} .answer[aria-busy=false]")
    page.evaluate(DRAWN)


def check_accessible(page: Page, what: str, rules: Sequence[str] = ()) -> None:
    """Runs the axe on what is shown, by default with all rules."""
    found = Axe().run(page, options={"runOnly": rules} if rules else None)
    assert found.violations_count == 0, f"{what}\n{found.generate_report()}"


def run(page: Page, panel: str, text: str, **fields: object) -> None:
    """Opens a panel, fills it in, presses its button, and waits for the answer."""
    start(page, panel, text, wait=True, **fields)


def start(page: Page, panel: str, text: str, wait: bool = False, **fields: object) -> None:
    """Opens a panel, fills it in, and presses its button."""
    page.locator(f"#tab-{panel}").click()
    page.wait_for_selector(f"#{panel} .answer:not([aria-busy=true])")  # of the example, when it is first seen
    page.locator(FIELDS[panel]).fill(text)
    if panel == "generate":
        unfold(page, "#generate .more")
    for name, value in fields.items():
        page.locator(f"#{panel} [name={name}]").fill(str(value))
    press = page.locator(f"#{panel} .primary").click
    if wait:
        answered(page, panel, press)
    else:
        press()


def result_of(page: Page, panel: str, text: str) -> dict[str, Any]:
    """Runs a panel on a text; returns the service's answer to that text, not to the example shown before."""

    def answers(response: Response) -> bool:
        body = response.request.post_data
        return response.ok and response.url.endswith(f"/{panel}") and json.loads(body or "{}").get("text") == text

    with page.expect_response(answers) as response:
        run(page, panel, text)
    answer: dict[str, Any] = response.value.json()
    return answer
