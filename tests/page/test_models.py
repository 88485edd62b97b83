"""The menu of models."""

import json

from tests.page.conftest import opened
from tests.page.driving import answered, until


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
