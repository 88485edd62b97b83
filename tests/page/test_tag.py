"""The panel Tag."""

from collections import Counter

import pytest

from tests.page.driving import answered, result_of, run

TEXT = "She didn't see it. Dogs bark loudly!"
LONG = "The quick brown fox didn't jump over the lazy dog near the old river bank today. " * 313  # 5 008 words


@pytest.fixture
def tagged(page):
    run(page, "tag", TEXT)
    return page


def test_a_text_is_tagged_as_the_service_tags_it(tagged, client):
    sentences = client.post("/tag", json={"text": TEXT}).json()["results"][0]["sentences"]
    tokens = [token for sentence in sentences for token in sentence["tokens"]]
    assert tagged.locator("#tag .word").all_inner_texts() == [token["text"] for token in tokens]
    tags = [tag.split("\n")[0].split(" ")[0] for tag in tagged.locator("#tag .tokens .tag").all_inner_texts()]
    assert [tag.rstrip("0123456789%") for tag in tags] == [token["upos"] for token in tokens]
    assert tagged.locator("#tag .sentence").count() == len(sentences) == 2
    assert "2 sentences" in tagged.locator("#tag .summary").inner_text()


def test_sentences_and_words_of_several_tokens_are_visibly_one(tagged):
    word = tagged.locator("#tag .multiword")
    assert word.count() == 1
    assert word.get_attribute("aria-label") == "didn't, one word"
    assert word.locator(".word").all_inner_texts() == ["did", "n't"]
    first, second = (tagged.locator("#tag .sentence").nth(i).bounding_box() for i in (0, 1))
    assert first["y"] + first["height"] <= second["y"], "sentences begin on lines of their own"


def test_tags_are_told_apart_without_colour(tagged):
    """By their letters, which stand at each token, and by the pattern of their lines."""
    look = "e => { const s = getComputedStyle(e); return s.borderBottomStyle + ' ' + s.borderBottomWidth }"
    lines = {
        option.get_attribute("data-upos"): option.locator(".word").evaluate(look)
        for option in tagged.locator("#tag [role=option]").all()
    }
    assert len(set(lines.values())) >= 4, lines
    for entry in tagged.locator("#tag .legend li:not([hidden])").all():
        tag, name = entry.locator(".tag").inner_text(), entry.locator(".name").inner_text()
        assert tag.isupper()
        assert len(name) > 3


def test_the_pointer_shows_confidence_and_features(tagged):
    token = tagged.locator("#tag [role=option]", has_text="She")
    token.hover()
    card = tagged.locator("#tokens-card")
    text = card.inner_text()
    assert card.is_visible()
    for part in ("PRON", "pronoun", "%", "PRP", "Case", "Nom"):
        assert part in text, part
    card.hover()
    assert card.is_visible(), "the pointer may move onto the card"
    tagged.locator("h1").hover()
    card.wait_for(state="hidden")


def test_the_keyboard_shows_the_same_and_tab_stops_once(tagged):
    options = tagged.locator("#tag [role=option]")
    assert tagged.locator("#tag [role=option][tabindex='0']").count() == 1
    options.first.focus()
    card = tagged.locator("#tokens-card")
    assert "pronoun" in card.inner_text()
    assert options.first.get_attribute("aria-describedby") == "tokens-card"

    def focused() -> str:
        word: str = tagged.evaluate("document.activeElement.querySelector('.word').textContent")
        return word

    for key, word in [
        ("ArrowRight", "did"),
        ("ArrowRight", "n't"),
        ("ArrowLeft", "did"),
        ("ArrowDown", "Dogs"),
        ("End", "!"),
        ("ArrowUp", "Dogs"),
        ("ArrowUp", "She"),
        ("ArrowUp", "She"),
        ("End", "!"),
        ("ArrowRight", "!"),
        ("Home", "She"),
    ]:
        tagged.keyboard.press(key)
        assert focused() == word, key
    assert options.first.get_attribute("aria-label").startswith("She, PRON, pronoun, ")
    tagged.keyboard.press("Escape")
    assert card.is_hidden()
    tagged.keyboard.press("ArrowRight")
    assert card.is_visible()
    tagged.keyboard.press("Tab")
    assert card.is_hidden()
    assert tagged.evaluate("document.activeElement.closest('.tokens')") is None
    assert tagged.locator("#tag [role=option][tabindex='0'] .word").inner_text() == "did", "Tab comes back to it"


def test_alternatives_are_shown(page):
    answer = result_of(page, "tag", "I can can a can.")
    tokens = answer["results"][0]["sentences"][0]["tokens"]
    page.locator("#tag [role=option]").nth(1).hover()
    shown = page.locator("#tokens-card .ranking").first.locator("li").all_inner_texts()
    considered = [tag["tag"] for tag in tokens[1]["n_best"]["upos"]]
    assert len(considered) > 1
    assert [row.split()[0] for row in shown] == considered
    assert all("%" in row for row in shown)


def test_the_legend_counts_what_occurs_and_highlights(tagged):
    shown = tagged.locator("#tag .tokens [role=option]").evaluate_all("all => all.map(e => e.dataset.upos)")
    entries = tagged.locator("#tag .legend li:not([hidden])")
    counts = {e.locator(".tag").inner_text(): int(e.locator(".number").inner_text()) for e in entries.all()}
    assert counts == Counter(shown)
    noun = tagged.locator("#tag .legend button", has_text="NOUN").first
    noun.click()
    assert noun.get_attribute("aria-pressed") == "true"
    plain = tagged.locator("#tag [role=option]:not(.faded) .word")
    assert plain.all_inner_texts() == ["Dogs"]
    run(tagged, "tag", "A dog barks.")
    assert plain.all_inner_texts() == ["dog"], "the next text is highlighted as well"
    run(tagged, "tag", "She sleeps.")
    assert tagged.locator("#tag .faded").count() == 0, "a text without nouns is not all grey"
    run(tagged, "tag", "A dog barks.")
    assert tagged.locator("#tag .faded").count() == 0


def test_typing_tags_without_a_button(page):
    field = page.get_by_label("Text to tag")
    field.fill("")
    answered(page, "tag", lambda: field.press_sequentially("Cats sleep."))
    page.locator("#tag .word", has_text="sleep").wait_for()


def test_it_says_which_tagger_answers_a_text_in_a_language_without_one(page):
    run(page, "tag", "Собака спит на старом диване, потому что она очень устала.")
    assert " in Russian (tagged as English), " in page.locator("#tag .summary").inner_text()
    run(page, "tag", "Le chien dort sur le vieux canapé.")
    assert " in French, " in page.locator("#tag .summary").inner_text()


def test_characters_beyond_the_basic_plane_stay_whole(page):
    run(page, "tag", "I ❤ 🙂 and 𝒜𝒷 <b>bold</b> &amp; co.")
    words = "".join(page.locator("#tag .word").all_inner_texts())
    assert words == "I❤🙂and𝒜𝒷<b>bold</b>&amp;co."
    assert page.locator("#tag .tokens b").count() == 0


def test_five_thousand_tokens_are_one_tab_stop_and_all_reachable(page):
    run(page, "tag", LONG)
    options = page.locator("#tag [role=option]")
    assert options.count() > 5000
    assert page.locator("#tag [role=option][tabindex='0']").count() == 1
    options.first.focus()
    page.keyboard.press("End")
    last = page.locator("#tag [role=option]:focus")
    assert last.text_content().startswith(".")
    assert last.is_visible()
    box = last.bounding_box()
    assert 0 <= box["y"] <= 900, "the page has scrolled to it"
    page.get_by_label("Text to tag").press("End")
    page.keyboard.type(" Yes")
    assert page.get_by_label("Text to tag").input_value().endswith(" Yes")
