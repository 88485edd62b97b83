"""A real browser, headless, on the page of the real service."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.conftest import Server
from tests.page.chromium import FLAGS, WANTED, find_chromium


# Closed with the last test here: while it is open, nobody else in this thread can have an event loop.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        pytest.skip(WANTED)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


@dataclass
class Seen:
    """What a page asked for, and what its console said."""

    urls: list[str] = field(default_factory=list)
    bodies: dict[str, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def check(self, url: str) -> None:
        """Checks that the page has asked the service at `url` alone, and broken none of its own rules."""
        assert not [asked for asked in self.urls if urlsplit(asked).netloc not in ("", urlsplit(url).netloc)]
        failed = "Failed to load resource"  # the browser's own word for a status or a network that the test provoked
        assert not [said for said in self.complaints if not said.startswith(failed)]


@contextmanager
def opened(browser: Browser, url: str, **options) -> Iterator[tuple[Page, Seen]]:
    """A page on the service at `url`; whatever a test does, it asks nobody else and breaks none of its own rules."""
    context: BrowserContext = browser.new_context(
        base_url=url, **{"viewport": {"width": 1280, "height": 900}, **options}
    )
    context.set_default_timeout(60_000)
    page, seen = context.new_page(), Seen()
    page.on("request", lambda request: seen.urls.append(request.url))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("console", lambda message: seen.complaints.append(message.text))
    try:
        yield page, seen
        seen.check(url)
    finally:
        context.close()


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Opens the page with options of a browser context; returns it once the service is seen to be ready.

    With `clock`, the test may advance the page's clock.
    """
    with ExitStack() as stack:

        def go(clock: bool = False, **options) -> Page:
            page, _ = stack.enter_context(opened(browser, server.url, **options))
            if clock:
                page.clock.install()
            page.goto("/")
            page.wait_for_selector("#status[data-state=ready]")
            return page

        yield go


@pytest.fixture(scope="module")
def shared(browser: Browser, server: Server) -> Iterator[tuple[Page, Seen]]:
    """A page for the tests of a file, one after the other: opening one takes longer than most tests."""
    with opened(browser, server.url) as made:
        yield made


@pytest.fixture
def page(shared: tuple[Page, Seen], server: Server) -> Iterator[Page]:
    """The page as if it had not been opened before, at its first tab, with the answer to its first example."""
    page, seen = shared
    page.goto("/")
    page.wait_for_selector("#status[data-state=ready]")
    page.wait_for_selector("#tag .cost:not([hidden])")
    yield page
    page.unroute_all(behavior="ignoreErrors")
    page.evaluate("localStorage.clear(), sessionStorage.clear()")
    page.mouse.move(0, 0)
    page.goto("about:blank")
    seen.check(server.url)
    seen.urls.clear()
    seen.complaints.clear()
