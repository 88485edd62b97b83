"""How the page looks and reads: light, dark, small, by keyboard, to a screen reader, to the axe."""

from itertools import product

import pytest

from service.api.page import routes as served
from tests.page.conftest import opened
from tests.page.driving import LONG, answered, check_accessible, run, start, unfold

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


def fill_all(page) -> None:
    """Has an answer in each of the panels, and an error in the last one."""
    run(page, "tag", "She didn't see it. The old man the boats.")
    run(page, "classify", "The acting is superb. But the plot is a mess.")
    run(page, "generate", "ROMEO:", max_tokens=30, seed=7, n=2)
    page.evaluate("location.hash = '#generate?prompt=ROMEO:&temperature=11'")
    page.locator("#generate .primary").click()
    page.locator("#generate .message").wait_for()
    for folded in (".tools", ".cost"):
        for panel in ("tag", "classify", "generate"):
            page.evaluate(f"document.querySelector('#{panel} {folded}').open = true")
    unfold(page, ".strip details")


@pytest.mark.parametrize("size", [{}, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(open_page, size):
    page = open_page(reduced_motion="reduce", **size)
    of_scheme = {"light": (), "dark": ("color-contrast",)}  # nothing else depends on it
    fill_all(page)
    page.locator("#tab-classify").click()
    page.locator("#classify .feedback button").first.click()
    page.locator("#classify .told[data-kind=done]").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for panel in ("generate", "classify", "tag"):
            page.locator(f"#tab-{panel}").click()
            if panel == "tag":
                page.locator("#tag [role=option]").first.focus()
                assert page.locator("#tokens-card").is_visible()
            check_accessible(page, f"{panel}, {scheme}", of_scheme[scheme])
        page.keyboard.press("Escape")  # the card would lie over what is clicked next
    page.locator("#tag [role=option]", has_text="man").first.click()
    page.locator("#tag .feedback [name=upos]").select_option("VERB")
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        check_accessible(page, f"correction, {scheme}", of_scheme[scheme])
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_each_panel_answers_its_example_on_the_first_screen_of_a_phone(open_page):
    page = open_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    for panel, result in (("tag", ".sentence"), ("classify", ".scores"), ("generate", ".written")):
        page.locator(f"#tab-{panel}").click()
        page.wait_for_selector(f"#{panel} .cost:not([hidden])")
        box = page.locator(f"#{panel} {result}").first.bounding_box()
        page.evaluate("window.scrollTo(0, 0)")
        assert 0 < box["y"] < 500, panel
        assert page.locator(f"#{panel} .summary").bounding_box()["height"] < 30, f"{panel}: of one line"
        if panel != "generate":  # a generated text may be longer
            assert box["y"] + box["height"] < 664, f"{panel}, also between the bars of a browser"


def test_all_is_in_one_family_of_typefaces_but_programs(page):
    fill_all(page)
    all_of_body = "[...document.querySelectorAll('body *')].filter(e => !e.closest('pre'))"
    families = page.evaluate(f"[...new Set({all_of_body}.map(e => getComputedStyle(e).fontFamily))]")
    assert len(families) == 1, families


def test_nothing_is_wider_than_the_window(page):
    run(page, "tag", "Donaudampfschifffahrtsgesellschaft" * 5 + " didn't sail. https://example.org/" + "a" * 200)
    run(page, "classify", "unbelievably" * 20 + " good. Bad.")
    run(page, "generate", "A" * 300, max_tokens=100, seed=7, n=2)
    for width, panel in product((360, 768, 1440), ("classify", "generate", "tag")):
        page.set_viewport_size({"width": width, "height": 740})
        page.locator(f"#tab-{panel}").click()
        if panel == "tag":
            page.locator("#tag [role=option]").first.focus()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (width, panel)
        inside = f"[...document.querySelectorAll('#{panel} *')]"
        # Examples are a row that scrolls, where there is little room.
        outside = f"{inside}.filter(e => !e.closest('.examples') && e.getBoundingClientRect().right > innerWidth + 1)"
        assert page.evaluate(f"{outside}.map(e => e.outerHTML.slice(0, 80))") == [], width


def test_the_keyboard_reaches_every_function(open_page):
    page = open_page()
    page.wait_for_selector("#tag .cost:not([hidden])")

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert ring != "none", f"{selector} shows that it has the focus"
                return
        pytest.fail(f"Tab never came to {selector}")

    tab_to(".skip")
    page.keyboard.press("Enter")
    tab_to("#tab-tag")
    page.keyboard.press("ArrowRight")
    assert page.locator("#classify").is_visible()
    tab_to("#classify-text")
    page.keyboard.press("Control+A")
    page.keyboard.type("Awful.")
    page.keyboard.press("Control+Enter")
    page.locator("#classify .summary", has_text="negative").wait_for()
    tab_to("#classify .examples button")
    page.keyboard.press("Enter")
    page.locator("#classify .summary", has_text="positive").wait_for()
    page.locator("#tab-classify").focus()
    page.keyboard.press("End")
    tab_to("#generate .more summary")
    page.keyboard.press("Enter")
    for slider in ("max_tokens", "n"):
        tab_to(f"#generate [name={slider}]")
        page.keyboard.press("End")
    tab_to("#generate .primary")
    page.keyboard.press("Enter")
    page.locator("#generate .summary", has_text="writing").wait_for()
    tab_to("#generate .stop")
    page.keyboard.press("Enter")
    page.locator("#generate .facts", has_text="stopped").last.wait_for()
    assert page.evaluate("document.activeElement.matches('.primary')"), "the focus is not lost with the button"


def test_a_screen_reader_is_told_what_happens(page):
    run(page, "tag", "The dog sees it.")
    tree = page.locator("body").aria_snapshot()
    for part in (
        'heading "tagwerk"',
        'tab "Tag" [selected]',
        'textbox "Text to tag"',
        'listbox "Tagged tokens"',
        'group "Sentence 1"',
        'option "dog, NOUN, noun',
        'button "NOUN noun 1"',
        "status: 1 sentence in English, 5 tokens",
        'region "The service over the last ten seconds"',
    ):
        assert part in tree, f"{part} in\n{tree}"
    unnamed = "[...document.querySelectorAll('input, select, textarea')].filter(e => !e.labels.length).length"
    assert page.evaluate(unnamed) == 0


@pytest.mark.parametrize(("wish", "moves"), [("reduce", False), ("no-preference", True)])
def test_animations_follow_the_reduced_motion_setting(open_page, wish, moves):
    page = open_page(reduced_motion=wish)
    start(page, "generate", "ROMEO:", **LONG)
    page.locator(".writing").first.wait_for()
    name = page.evaluate("getComputedStyle(document.querySelector('.writing .written'), '::after').animationName")
    assert (name != "none") == moves
    assert page.evaluate("getComputedStyle(document.querySelector('.primary')).transitionDuration !== '0s'") == moves


@pytest.mark.parametrize("panel", ["tag", "classify", "generate"])
def test_each_example_is_answered(page, panel):
    page.locator(f"#tab-{panel}").click()
    page.wait_for_selector(f"#{panel} .cost:not([hidden])")
    examples = page.locator(f"#{panel} .examples button")
    assert examples.count() >= 4
    for example in examples.all():
        answered(page, panel, example.click)
        assert page.locator(f"#{panel} .message").is_hidden()


def test_the_page_is_small_and_requests_its_own_service_alone(browser, server):
    with opened(browser, server.url) as (page, seen):
        page.on("response", lambda response: seen.bodies.update({response.url: len(response.body())}))
        page.goto("/", wait_until="networkidle")
        page.wait_for_selector("#tag .cost:not([hidden])")
        assets = {url: size for url, size in seen.bodies.items() if "/page/" in url or url == f"{server.url}/"}
        files = served.assets().keys() - {"docs.html", "docs.js"}  # of /docs
        assert len(assets) == len(files), "each file of the page is needed"
        assert sum(assets.values()) < 150_000
        policy = """(url) => new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation", () => resolve(true));
            fetch(url).catch(() => setTimeout(() => resolve(false), 1000));
        })"""
        assert page.evaluate(policy, "https://example.org/"), "the policy forbids to ask others"
        seen.complaints.clear()
        seen.urls[:] = [url for url in seen.urls if "example.org" not in url]
