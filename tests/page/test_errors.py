"""What goes wrong, and the sentences that say so; from a service of its own, which these tests mistreat."""

import os
import signal

import pytest

from tests.conftest import start_server, store_of
from tests.e2e.processes import only
from tests.page.conftest import opened
from tests.page.driving import LONG, run, start

SETTINGS = {"TAGWERK_REQUEST_TIMEOUT_SECONDS": "2", "TAGWERK_MAX_TEXT_CHARACTERS": "5000"}


@pytest.fixture(scope="module")
def mistreated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistreated")
    store = store_of(folder / "store", "tagger-en", "lm-shakespeare")
    with start_server(folder / "log", **SETTINGS, TAGWERK_MODEL_STORE=str(store)) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def page(browser, mistreated):
    with opened(browser, mistreated.url) as (made, _):
        made.goto("/")
        made.wait_for_selector("#tag .cost:not([hidden])")
        yield made


def message(page, panel: str, text: str):
    found = page.locator(f"#{panel} .message", has_text=text)
    found.wait_for()
    assert found.get_attribute("role") == "alert"
    return found


def test_a_text_that_is_too_long_is_refused_with_the_limit(page):
    start(page, "tag", "word " * 1001)
    found = message(page, "tag", "The request is over a limit. Text: 5005 characters; allowed: at most 5000")
    assert page.get_by_label("Text to tag").get_attribute("aria-invalid") == "true"
    run(page, "tag", "Short.")
    assert found.is_hidden()


def test_an_error_midway_leaves_what_is_written(page):
    start(page, "generate", "ROMEO:", seed=7, **LONG)
    # All texts: the example, which is a single one, may have been interrupted before, where the machine is slow.
    page.locator("#generate .facts", has_text=", interrupted").nth(LONG["n"] - 1).wait_for()
    message(page, "generate", "Deadline exceeded. The deadline passed")
    texts = page.locator("#generate .written").evaluate_all("all => all.map(e => e.lastChild.data)")
    assert 0 < sum(map(len, texts)) < LONG["n"] * LONG["max_tokens"]
    assert page.locator("#generate .stop").is_hidden()


def test_a_lost_network_is_reported_and_found_again(page):
    page.context.set_offline(True)
    start(page, "tag", "Dogs bark.")
    message(page, "tag", "The service cannot be reached. The page keeps trying.")
    page.locator("#status[data-state=gone]").wait_for()
    page.context.set_offline(False)
    page.locator("#tag .word", has_text="bark").wait_for()
    assert page.locator("#tag .message").is_hidden()
    page.locator("#status[data-state=ready]").wait_for()


def test_a_process_that_dies_is_waited_for(page, mistreated):
    os.kill(only(mistreated), signal.SIGKILL)
    start(page, "tag", "Dogs bark.")
    waiting = page.locator("#tag .message[data-kind=waiting]", has_text="The page keeps trying.")
    waiting.wait_for(timeout=30_000)
    page.locator("#tag .word", has_text="bark").wait_for(timeout=200_000)
    assert page.locator("#tag .message").is_hidden()
    page.locator("#status[data-state=ready]").wait_for()
