"""The languages of texts."""

import numpy as np
import pytest

from service.text.identifier import LONGEST, UNDETERMINED, Identifier, features, identifier, letters_of
from training.models import languages

SENTENCES = {
    "en": "The children were playing in the garden while it was raining.",
    "fr": "Les enfants jouaient dans le jardin pendant qu'il pleuvait.",
    "es": "Los niños jugaban en el jardín mientras llovía toda la tarde.",
    "pt": "As crianças brincavam no jardim enquanto chovia muito lá fora.",
    "de": "Die Kinder spielten im Garten, während es draußen regnete.",
    "nl": "De kinderen speelden in de tuin terwijl het buiten regende.",
    "sv": "Barnen lekte i trädgården medan det regnade utanför huset.",
    "da": "Børnene legede i haven, mens det regnede udenfor hele dagen.",
    "it": "I bambini giocavano nel giardino mentre fuori pioveva forte.",
    "pl": "Dzieci bawiły się w ogrodzie, podczas gdy na dworze padał deszcz.",
    "fi": "Lapset leikkivät puutarhassa, kun ulkona satoi vettä koko päivän.",
    "el": "Τα παιδιά έπαιζαν στον κήπο ενώ έξω έβρεχε.",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_identified(language: str) -> None:
    for text in (SENTENCES[language], SENTENCES[language].upper(), SENTENCES[language] * 100):
        found = identifier().identify(text)
        assert (found.language, found.probability > 0.5) == (language, True)


@pytest.mark.parametrize("text", ["", " \n", "123 + 4", "🙂 … ?", "https://example.org/le-jardin", "a@example.org"])
def test_a_text_without_letters_is_undetermined(text: str) -> None:
    assert letters_of(text) == ""
    assert identifier().identify(text) == (UNDETERMINED, 0.0)


def test_only_what_begins_a_text_is_read() -> None:
    assert identifier().identify("a" * LONGEST) == identifier().identify("a" * LONGEST + "é")


def test_served_languages_are_preferred_in_doubt() -> None:
    weights = np.zeros((2, 3), np.int8)
    model = Identifier(("da", "en", "sv"), weights, np.array(1.0, np.float32), np.log(np.array([0.3, 0.3, 0.4])))
    assert model.identify("x", ["da", "en"]) == ("da", 0.3)
    for among in (None, ["en"], ["fi"]):
        assert model.identify("x", among) == ("sv", 0.4)


def test_equal_forms_of_a_text_have_equal_features() -> None:
    ids = features("Été", 2**10).tolist()
    assert ids == features("e\u0301te\u0301!", 2**10).tolist()
    assert len(ids) == 5 + 4 + 3 + 2 + 1
    assert max(ids) < 2**10


def test_training_separates_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "EPOCHS", 30)
    sentences = {tag: [[SENTENCES[tag], SENTENCES[tag].lower()]] for tag in ("en", "fr")}
    model = languages.fit(sentences, 60, {"fi": [SENTENCES["fi"]]}, rows=2**12)
    assert [model.identify(SENTENCES[tag]).language for tag in ("en", "fr", "fi")] == ["en", "fr", "fi"]
    assert Identifier.parse(languages.content_of(model)).identify("The garden") == model.identify("The garden")
