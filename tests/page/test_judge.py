"""The panel Judge."""

from tests.page.driving import result_of, run

TEXT = "The acting is superb. But the plot is a mess, and the ending is an insult."


def test_scores_are_bars_and_figures(page, client):
    run(page, "judge", TEXT)
    result = client.post("/classify", json={"text": TEXT}).json()["results"][0]
    rows = page.locator("#judge .scores li")
    assert rows.count() == len(result["scores"])
    for (label, score), row in zip(result["scores"].items(), rows.all(), strict=True):
        words = row.inner_text().split()
        assert label in words
        assert abs(float(words[-2]) - score * 100) < 0.06
        bar = row.locator(".bar")
        filled = bar.evaluate("e => parseFloat(getComputedStyle(e, '::before').width) / e.clientWidth")
        assert abs(filled - score) < 0.02
    assert (
        page.locator("#judge .best")
        .inner_text()
        .startswith({"positive": "▲", "negative": "▼", "neutral": "■"}[result["label"]])
    )
    assert page.locator("#judge .summary").inner_text().startswith(result["label"])


def test_tokens_are_shaded_by_what_they_contribute_where_the_model_says(page):
    result = result_of(page, "/classify", lambda: run(page, "judge", TEXT)).json()["results"][0]
    if result.get("contributions") is None:
        assert page.locator("#judge .shaded").count() == 0, "a model that cannot say is judged by its scores alone"
        return
    tokens = result["contributions"]["tokens"]
    shaded = page.locator("#judge .shaded")
    assert shaded.evaluate("e => [...e.childNodes].map(n => n.firstChild?.data ?? n.data).join('')") == TEXT
    heaviest = max(tokens, key=lambda token: abs(token["contribution"]))
    sign = "−" if heaviest["contribution"] < 0 else "+"
    mark = page.locator(f"#judge mark.{'against' if sign == '−' else 'for'}", has_text=heaviest["text"]).first
    assert sign in mark.inner_text(), "the sign is a character"
    styles = {
        kind: page.locator(f"#judge mark.{kind}").first.evaluate("e => getComputedStyle(e).borderBottomStyle")
        for kind in ("for", "against")
        if page.locator(f"#judge mark.{kind}").count()
    }
    assert styles == {kind: {"for": "solid", "against": "dashed"}[kind] for kind in styles}, "and a pattern"
    first = page.locator("#judge .heaviest li").first.inner_text()
    assert heaviest["text"] in first
    assert sign in first


def test_each_sentence_is_judged_where_the_service_does_that(page):
    result = result_of(page, "/classify", lambda: run(page, "judge", TEXT)).json()["results"][0]
    sentences = result.get("sentences") or []
    assert page.locator("#judge .sentences li").count() == (len(sentences) if len(sentences) > 1 else 0)
    for sentence, row in zip(sentences, page.locator("#judge .sentences li").all(), strict=False):
        assert sentence["text"] in row.inner_text()
        assert sentence["label"] in row.inner_text()
