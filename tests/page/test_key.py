"""The form for an API key, which the page shows if the service requires one."""

import json

from service.errors import Unauthorized
from service.http.problem import document
from tests.page.conftest import opened

KEY = "tagwerk_a-key"
STORED = "[sessionStorage.getItem('tagwerk-api-key'), localStorage.length, document.cookie]"


def check_key(route) -> None:
    """Answers 401, as a service with keys does, unless the request has the key."""
    if route.request.headers.get("authorization") == f"Bearer {KEY}":
        route.continue_()
    else:
        body = json.dumps(document(Unauthorized("the API key is not known")))
        route.fulfill(status=401, content_type="application/problem+json", body=body)


def test_a_key_is_asked_for_where_one_is_required(browser, server):
    with opened(browser, server.url) as (page, _):
        page.route("**/tag", check_key)
        page.goto("/")
        form, message = page.locator("#key"), page.locator("#tag .message")
        message.get_by_text("This service requires an API key. Enter one in the field API key.").wait_for()
        assert form.is_visible()
        page.get_by_label("API key").fill("another")
        page.get_by_role("button", name="Use key").click()
        message.get_by_text("The service does not know this API key.").wait_for()
        page.get_by_label("API key").fill(KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("#tag .cost:not([hidden])")
        assert message.is_hidden()
        assert page.evaluate(STORED) == [KEY, 0, ""]
        assert page.get_by_label("API key").input_value() == "", "the key is not shown"
        page.reload()
        page.wait_for_selector("#tag .cost:not([hidden])")
        assert form.is_visible(), "the key can be forgotten"
        page.get_by_role("button", name="Forget key").click()
        assert page.evaluate(STORED) == [None, 0, ""]
        page.locator("#tag .primary").click()
        message.get_by_text("This service requires an API key.").wait_for()
