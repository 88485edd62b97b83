"""What the network of a shipped tagger reads of texts."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from service.artifact.manifest import ModelVersion
from service.pipelines.tagging import decode, joined_tokens
from service.store.registry import load_version
from service.tasks.tagging import Tagging
from service.text.interruptible import finish
from service.text.languages import make_tokenizer
from service.text.lemmatizer import LEMMA, NEXT_RULES
from service.text.tokenizer import Tokenizer
from service.text.tokens import TokenSpan
from tests.conftest import STORE


@cache
def tagger(language: str) -> ModelVersion:
    """Returns the version of a shipped tagger."""
    (folder,) = (STORE / f"tagger-{language}").iterdir()
    return load_version(folder, whole=False)


def tokenizer(language: str) -> Tokenizer:
    """Returns the tokenizer of a shipped tagger."""
    version = tagger(language)
    return make_tokenizer(version.manifest.tokenizer, version.segmenter)


def encoded(language: str, tokens: Sequence[str]) -> list[list[Any]]:
    """Returns the ids of tokens and of their characters."""
    values = finish(Tagging(tagger(language), 100).encode([tokens])).values
    return [values[name].tolist() for name in ("word_ids", "char_ids")]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_emoji_and_currencies_are_symbols_without_features_wherever_they_stand(language: str) -> None:
    """Also where the network is sure that they are something else, and in sentences longer than its windows."""
    task = Tagging(tagger(language), 8)
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
    english = Tagging(tagger("en"), 100)
    for form in ("'T", "'t", "’t"):
        assert encoded("en", [form, "is"]) == encoded("en", ["it", "is"])
        zero = np.zeros(1, np.int32)
        outputs = {f"{head}_id": zero for head in ("xpos", "feats", LEMMA)} | dict.fromkeys(NEXT_RULES, zero)
        pron = np.array([english.version.manifest.labels["upos"].index("PRON")])
        outputs |= {"upos_id": pron} | {f"{head}_probability": np.ones(1, np.float32) for head in ("upos", LEMMA)}
        ((tag,),) = finish(english.decode([[TokenSpan(form, 0, 2)]], outputs, lemmas=True))
        assert tag.lemma == "it"
    assert encoded("fr", ["'t"]) != encoded("fr", ["it"])


@pytest.mark.parametrize(("language", "marks"), [("fr", '"“”„'), ("en", '"“”„″'), ("en", ["...", "…"])])
def test_quotes_and_dots_of_print_are_read_as_plain_ones(language: str, marks: Iterable[str]) -> None:
    """Where the treebank lacks them, as in French; in English, where it has some, as well."""
    plain, *others = (encoded(language, ["dit", mark, "non"]) for mark in marks)
    assert others == [plain] * len(others)
