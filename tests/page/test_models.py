"""The menu of models."""

import json

from tests.page.conftest import opened
from tests.page.driving import answered, run, until


def test_a_menu_offers_the_models_of_a_task_where_there_are_several(browser, server, client):
    readiness = client.get("/readyz").json()
    tagger = next(model for model in readiness["models"] if model["task"] == "tag")
    other = {**tagger, "name": "a-tagger", "default": False}
    older = {**tagger, "version": "0", "share": 0.0, "default": False}
    readiness["models"] += [other, older, {**other, "name": "refused", "state": "refused"}]
    bodies = []

    def answer(route) -> None:
        bodies.append(json.loads(route.request.post_data))
        route.continue_(post_data=json.dumps({**bodies[-1], "model": tagger["name"]}))

    with opened(browser, server.url) as (page, _):
        page.route("**/readyz", lambda route: route.fulfill(json=readiness))
        page.route("**/tag", answer)
        page.goto("/")
        page.wait_for_selector("#tag .cost:not([hidden])")
        menu = page.locator("#tag").get_by_label("Model")
        versions = [f"English v{version}" for version in (tagger["version"], "0")]
        plain = ["English", *versions, "French", "a-tagger"]
        assert menu.locator("option").all_inner_texts() == ["automatic", *plain]
        assert page.get_by_label("Compare with").first.locator("option").all_inner_texts() == ["nothing", *plain]
        assert (menu.input_value(), bodies[-1]["language"]) == ("auto", "auto"), "the default"
        assert bodies[-1]["model"] == tagger["name"], "of texts in other languages"
        answered(page, "tag", lambda: menu.select_option("a-tagger"))
        assert bodies[-1]["model"] == "a-tagger"
        assert "model=a-tagger" in page.url
        page.reload()
        page.wait_for_selector("#tag .cost:not([hidden])")
        assert (menu.input_value(), bodies[-1]["model"]) == ("a-tagger", "a-tagger")
        page.locator("#tab-classify").click()
        assert page.locator("#classify .model:not([hidden])").count() == 0, "there is no choice"
        gone = (other, older)
        readiness["models"] = [m for m in readiness["models"] if m not in gone and m["name"] != "tagger-fr"]
        until(page, "!document.querySelector('#tag .model:not([hidden])')")


def test_examples_are_in_the_language_of_the_model(page):
    menu, field = page.get_by_label("Model").first, page.get_by_label("Text to tag")
    examples = page.locator("#tag .examples button")
    assert examples.all_inner_texts()[-1] == "French", "an example of each further language that is served"
    answered(page, "tag", lambda: menu.select_option(label="French"))
    assert field.input_value().startswith("Je n'ai pas vu"), "an example is replaced"
    assert examples.first.inner_text() == "Élisions"
    answered(page, "tag", lambda: menu.select_option(label="automatic"))
    answered(page, "tag", lambda: menu.select_option(label="English"))
    assert field.input_value().startswith("She didn't see")
    run(page, "tag", "Dogs bark.")
    answered(page, "tag", lambda: menu.select_option(label="French"))
    assert field.input_value() == "Dogs bark.", "one's own text is not"
