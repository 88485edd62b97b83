"""The panel Generate."""

import json

import pytest

from tests.page.driving import LENGTH, LONG, run, start, unfold, until
from tests.waiting import wait_until

SHORT = {"max_tokens": 60, "seed": 7, "temperature": 0.7}


def written(page) -> list[str]:
    texts: list[str] = page.locator("#generate .written").evaluate_all("all => all.map(e => e.lastChild.data)")
    return texts


def test_every_control_reaches_the_service(page):
    wish = {"max_tokens": 20, "temperature": 0.3, "top_k": 5, "top_p": 0.9, "seed": 3, "n": 2}
    with page.expect_request(lambda one: "thou" in (one.post_data or "")) as request:
        run(page, "generate", "O ", stop="\\n\nthou", **wish)
    body = json.loads(request.value.post_data)
    assert body == {"prompt": "O ", "model": "lm-shakespeare", "stream": True, "stop": ["\n", "thou"], **wish}


def test_a_seed_repeats_its_text(page):
    page.locator("#tab-generate").click()
    run(page, "generate", "ROMEO:", max_tokens=60, seed="", n=2)
    first = written(page)
    page.locator("#generate .about button").nth(1).click()
    seed = page.locator("#generate [name=seed]").input_value()
    assert f"Use seed {seed}" in page.locator("#generate .about").nth(1).inner_text()
    run(page, "generate", "ROMEO:", max_tokens=60, n=1)
    assert written(page) == first[1:]
    run(page, "generate", "ROMEO:", max_tokens=60, seed="")
    assert written(page) != first[1:], "without a seed, another text"


def test_stop_stops_the_work_and_keeps_what_is_written(page, server):
    before = server.metric("tagwerk_cancelled_total")
    start(page, "generate", "ROMEO:", seed=7, **LONG)
    until(page, f"{LENGTH} > 20")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator("#generate .facts", has_text="stopped").last.wait_for()
    assert 20 < sum(map(len, written(page))) < LONG["n"] * LONG["max_tokens"]
    assert page.locator("#generate .message").is_hidden()
    assert page.get_by_role("button", name="Stop", exact=True).is_hidden()
    wait_until(lambda: server.metric("tagwerk_cancelled_total") == before + 1, 5, "that the service stops, too")


@pytest.mark.parametrize(("field", "value"), [("temperature", "11"), ("top_p", "0"), ("max_tokens", "0"), ("n", "129")])
def test_a_control_out_of_range_is_named(page, field, value):
    page.evaluate(f"location.hash = '#generate?prompt=ROMEO:&{field}={value}'")
    page.locator("#generate .primary").click()
    message = page.locator("#generate .message")
    message.get_by_text("The request is not valid.").wait_for()
    assert field.replace("_", " ") in message.inner_text().lower()
    assert page.locator("#generate [aria-invalid=true]").get_attribute("name") == field
    assert page.locator(f"#generate [name={field}]").is_visible(), "what is wrong is unfolded"
    run(page, "generate", "ROMEO:", **SHORT, n=1, top_p=1)
    assert message.is_hidden()
    assert page.locator("#generate [aria-invalid=true]").count() == 0


def test_sliders_say_their_values_and_take_any_of_a_link(page):
    page.evaluate("location.hash = '#generate?prompt=O&temperature=2.5&max_tokens=4095&top_k=0&n=40'")
    more = page.locator("#generate .more")
    page.locator("#generate").wait_for()
    assert more.locator("summary").inner_text() == "More temperature 2.5, 4095 characters, 40 texts"
    unfold(page, "#generate .more")
    assert more.locator("output").all_inner_texts() == ["2.5", "1", "all", "4095", "40"]
    more.get_by_label("Temperature").press("Home")
    assert more.locator("output").first.inner_text() == "0"


def test_characters_that_the_model_does_not_know_are_named(page):
    page.locator("#tab-generate").click()
    unknown = page.locator("#generate .unknown")
    page.locator("#generate-prompt").fill("Ros\u00e9 & \u2603\u2603\tROMEO:")
    unknown.wait_for()
    assert unknown.locator(".character").all_inner_texts() == ["\u00e9", "\u2603", "U+0009"]
    page.locator("#generate-prompt").fill("ROMEO:")
    unknown.wait_for(state="hidden")
