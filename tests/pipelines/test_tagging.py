"""What the network of a shipped tagger reads of texts."""

import unicodedata
from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest

from service.artifact.manifest import ModelVersion
from service.pipelines.tagging import decode, encode, joined_tokens, split_texts
from service.store.registry import load_version
from service.tasks.tagging import Tagging
from service.text.languages import make_tokenizer
from service.text.lemmatizer import LEMMA, NEXT_RULES
from service.text.normalization import normalize
from service.text.slices import finish
from service.text.tokenizer import Token
from tests.conftest import STORE

TEXTS = {
    "tagger-fr": "Qu'est-ce qu'il a dit? \"L'été, c'était déjà l'époque d'être à l'hôtel\", n'est-ce pas, aujourd'hui.",
    "tagger-en": "It's the café's naïve owner who said: \"Don't!\" They're o'clock-watching.",
}


@cache
def tagger(name: str) -> ModelVersion:
    """Returns the version of a shipped tagger."""
    (folder,) = (STORE / name).iterdir()
    return load_version(folder, whole=False)


@pytest.mark.parametrize("name", TEXTS)
def test_variants_of_a_text_are_read_alike(name: str) -> None:
    version = tagger(name)
    task, tokenizer = Tagging(version, 100), make_tokenizer(version.manifest.tokenizer, version.segmenter)
    text = TEXTS[name]
    typographic = text.replace("'", "’").replace("-", "\u2011")
    variants = [typographic, unicodedata.normalize("NFD", text), unicodedata.normalize("NFD", typographic)]
    expected, *found = finish(split_texts(tokenizer, [text, *variants]))
    inputs = finish(encode(task, [expected]))
    assert inputs.values["word_ids"].mean() > 2  # some words are known
    for split in found:
        assert "".join(t.text for s in split.sentences for t in s.tokens) == split.text.replace(" ", "")
        given = finish(joined_tokens([[t.text for t in s.tokens] for s in split.sentences]))
        for way in ([split], given):
            read = finish(encode(task, way))
            assert read.lengths.tolist() == inputs.lengths.tolist()
            for key, values in inputs.values.items():
                np.testing.assert_array_equal(read.values[key], values)


@pytest.mark.parametrize("name", TEXTS)
def test_emoji_and_currencies_are_symbols_without_features_wherever_they_stand(name: str) -> None:
    """Also where the network is sure that they are something else, and in sentences longer than its windows."""
    task = Tagging(tagger(name), 8)
    emoji = ["😀", "👍🏽", "❤️", "♥", "☺", "🇫🇷", "👩‍👩‍👧", "1️⃣", "🫠", "😀😀", "€", "£", "₹"]
    sentences = [emoji, ["→", "a", "“", "➍", "#", "1"], [*"abcdefgh", *emoji, *"ijkl"], ["😀"]]
    split = finish(joined_tokens(sentences))
    lengths = finish(task.encode(sentences)).lengths
    labels, cells = task.version.manifest.labels, int(lengths.sum())
    assert labels["upos"][0] == "NOUN"
    outputs = {f"{head}_probability": np.full(cells, 0.5, np.float32) for head in ("upos", LEMMA)}
    outputs["feats_id"] = np.ones(cells, np.int32)
    outputs |= dict.fromkeys(("upos_id", "xpos_id", f"{LEMMA}_id", *NEXT_RULES), np.zeros(cells, np.int32))
    for head, (ids, probabilities) in task.version.manifest.candidate_outputs.items():
        count = min(3, len(labels[head]))
        outputs[ids] = np.tile(np.arange(count, dtype=np.int32), (cells, 1))
        outputs[probabilities] = np.full((cells, count), 0.25, np.float32)
    before = {key: values.copy() for key, values in outputs.items()}
    tagged = finish(decode(task, split, outputs, lemmas=True, candidates=True))
    for text, tokens in zip(tagged, sentences, strict=True):
        assert text.candidates is not None
        best = text.candidates[0].of(slice(None), 2)
        for token, tag, nearest in zip(tokens, text.tags[0], best, strict=True):
            if token in emoji:
                assert (tag.upos, tag.feats, tag.confidence, tag.lemma) == ("SYM", {}, 1.0, token)
                assert nearest["upos"] == [{"tag": "SYM", "probability": 1.0}, {"tag": "NOUN", "probability": 0.0}]
                assert nearest["feats"][0] == {"tag": "_", "probability": 1.0}
            else:
                assert (tag.upos, tag.confidence) == ("NOUN", 0.5)
                assert tag.feats
                assert nearest["upos"][0] == {"tag": "NOUN", "probability": 0.25}
    for key, values in before.items():
        np.testing.assert_array_equal(outputs[key], values)  # may be views of other requests' outputs


def test_an_old_form_of_it_is_read_as_it() -> None:
    english, french = Tagging(tagger("tagger-en"), 100), Tagging(tagger("tagger-fr"), 100)
    for form in ("'T", "'t", "’t"):
        read = finish(english.encode([[form, "is"]])).values
        for key, values in finish(english.encode([["it", "is"]])).values.items():
            np.testing.assert_array_equal(read[key], values)
        zero = np.zeros(1, np.int32)
        outputs = {f"{head}_id": zero for head in ("xpos", "feats", LEMMA)} | dict.fromkeys(NEXT_RULES, zero)
        pron = np.array([english.version.manifest.labels["upos"].index("PRON")])
        outputs |= {"upos_id": pron} | {f"{head}_probability": np.ones(1, np.float32) for head in ("upos", LEMMA)}
        ((tag,),) = finish(english.decode([[Token(form, 0, 2)]], outputs, lemmas=True))
        assert tag.lemma == "it"
    assert (
        finish(french.encode([["'t"]])).values["char_ids"].tolist()
        != finish(french.encode([["it"]])).values["char_ids"].tolist()
    )


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("tagger-fr", 'Il parle d\'"exigence absolue". "Nous avions bon espoir." Elle rit.'),
        ("tagger-en", 'He said "True love is around the corner"...and "left."  "Why?" Nobody knows.'),
        ("tagger-da", 'Hun skriver til "Nat". "Det er godt." Han går.'),
        ("tagger-nl", 'Hij zei: "Ik kom." Zij lachte.'),
    ],
)
def test_a_text_is_split_alike_with_the_quotes_of_a_keyboard_and_those_of_print(model: str, text: str) -> None:
    version = tagger(model)
    tokenizer = make_tokenizer(version.manifest.tokenizer, version.segmenter)
    expected = [[(t.start, t.end) for t in s.tokens] for s in tokenizer.sentences(text)]
    for opening, closing in ("“”", "„“", "””", "″″"):
        parts = text.split('"')
        printed = parts[0] + "".join(mark + part for mark, part in zip((opening, closing) * 9, parts[1:], strict=False))
        found = tokenizer.sentences(printed)
        assert [[(t.start, t.end) for t in s.tokens] for s in found] == expected
        assert [t.text for s in found for t in s.tokens] == [printed[t.start : t.end] for s in found for t in s.tokens]


@pytest.mark.parametrize("model", ["tagger-en", "tagger-fr", "tagger-de"])
def test_a_text_is_split_alike_with_three_dots_and_with_the_character_of_print(model: str) -> None:
    version = tagger(model)
    tokenizer = make_tokenizer(version.manifest.tokenizer, version.segmenter)
    text = "Well... I do not know.... Wait ...what? And so on... etc. a...b (...) ..... End..."
    printed = text.replace("...", "…")
    expected, found = tokenizer.sentences(text), tokenizer.sentences(printed)
    assert [[normalize(t.text) for t in s.tokens] for s in found] == [[t.text for t in s.tokens] for s in expected]
    assert [t.text for s in found for t in s.tokens] == [printed[t.start : t.end] for s in found for t in s.tokens]


@pytest.mark.parametrize(
    ("model", "marks"), [("tagger-fr", '"“”„'), ("tagger-en", '"“”„″'), ("tagger-en", ["...", "…"])]
)
def test_quotes_and_dots_of_print_are_read_as_plain_ones(model: str, marks: Iterable[str]) -> None:
    """Where the treebank lacks them, as in French; in English, where it has some, as well."""
    task = Tagging(tagger(model), 100)
    plain, *others = (finish(task.encode([["dit", mark, "non"]])).values for mark in marks)
    for other in others:
        np.testing.assert_array_equal(other["word_ids"], plain["word_ids"])
        np.testing.assert_array_equal(other["char_ids"], plain["char_ids"])
