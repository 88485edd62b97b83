from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.manifest import Endpoint, TensorSpec
from service.tasks import tagging
from service.tasks.tagging import LONGEST_CACHED, Tagging, kept_of, windows
from service.text.interruptible import finish
from service.text.languages import make_tokenizer
from service.text.lemmatizer import LEMMA, NEXT_RULES, LemmaFile, Lemmatizer
from service.text.tokens import TokenSpan
from service.text.vocabulary import Vocabulary
from service.types import Array, Ragged
from tests.fakes import version_of

RULES = ("lower", "upper", "lower|end-1+", "=be", "lower|end-2+y")
LEMMAS = LemmaFile("abins", {"be": ["is"]}, {"3": {"=lexical": ["bin"]}}, {"4\t0": {"ban": "listed"}})
LEMMATIZER = Lemmatizer(RULES, LEMMAS)


NUMBERS = tuple(str(number) for number in range(40))


def tagger(lemmatizer: Lemmatizer | None = LEMMATIZER) -> Tagging:
    """Returns a tagger whose words and labels are NUMBERS, with windows of 8 tokens."""
    ids, letters = (TensorSpec(dtype="int32", axes=("B", "T", *rest)) for rest in ((), (4,)))
    labels = {"upos": NUMBERS, "xpos": NUMBERS, "feats": ("_",) * 40} | ({LEMMA: RULES} if lemmatizer else {})
    heads = {head: TensorSpec(dtype="float32", axes=("B", "T", len(of_head))) for head, of_head in labels.items()}
    endpoint = Endpoint(inputs={"word_ids": ids, "char_ids": letters}, outputs=heads)
    version = version_of("tagger", endpoints={"tag": endpoint}, labels=labels)
    vocabularies = {"words": Vocabulary(NUMBERS), "characters": Vocabulary([*"0123456789"])}
    return Tagging(replace(version, vocabularies=vocabularies, lemmatizer=lemmatizer), 8)


def tokens_of(words: Sequence[str]) -> list[TokenSpan]:
    return [TokenSpan(word, 0, len(word)) for word in words]


def outputs_of(upos: Array, *rules: Array) -> dict[str, Array]:
    """Returns the outputs of windows. upos, rules: ids for each token, the best rules first, each [T] int32."""
    outputs = {f"{head}_id": np.zeros_like(upos) for head in ("xpos", "feats")}
    outputs |= {"upos_id": upos} | {f"{head}_probability": np.ones(len(upos), np.float32) for head in ("upos", LEMMA)}
    return outputs | dict(zip((f"{LEMMA}_id", *NEXT_RULES), rules, strict=True))


@given(st.integers(1, 2000), st.integers(2, 128))
def test_windows_cover_each_token_once_and_fit(length, longest):
    found = windows(length, longest)
    kept = [i for window in found for i in range(window.keep_start, window.keep_end)]
    assert kept == list(range(length))
    for window in found:
        assert 0 <= window.start <= window.keep_start < window.keep_end <= window.end <= length
        assert window.end - window.start <= longest


@pytest.mark.parametrize("length", [129, 200, 224, 225, 5000])
def test_a_token_next_to_a_seam_has_context_on_both_sides(length):
    for window in windows(length, 128):
        assert window.start == 0 or window.keep_start - window.start >= 16
        assert window.end == length or window.end - window.keep_end >= 16


@given(st.lists(st.integers(1, 40), max_size=8))
def test_sentences_are_encoded_and_decoded_as_each_would_be_alone(lengths):
    """Longer ones in windows; the tags of a token depend on its word here, so each says which token it is of."""
    task = tagger(lemmatizer=None)
    sentences = [[NUMBERS[(length + place) % 40] for place in range(length)] for length in lengths]
    sequences = finish(task.encode(sentences))
    assert sequences.lengths.max(initial=0) <= 8
    assert sequences.values["word_ids"].shape == (sequences.tokens,)
    assert sequences.values["char_ids"].shape == (sequences.tokens, 4)
    ids = sequences.values["word_ids"] - 2
    outputs = {f"{head}_id": ids for head in ("upos", "xpos", "feats")}
    outputs["upos_probability"] = ids.astype(np.float32) / 64
    found = finish(task.decode([*map(tokens_of, sentences)], outputs, lemmas=True))
    assert [[tag.upos for tag in tags] for tags in found] == sentences
    assert [[tag.confidence * 64 for tag in tags] for tags in found] == [list(map(int, one)) for one in sentences]
    assert {tag.lemma for tags in found for tag in tags} <= {None}, "it has no lemma rules"


FORMS = ["is", "IS", "bins", "Bins", "bin", "ban", "an", "s", "Ωs", "½", "bans" * LONGEST_CACHED]


@given(st.data(), st.lists(st.lists(st.sampled_from(FORMS), max_size=20), max_size=6))
def test_a_token_has_the_lemma_of_its_form_tags_and_rules_wherever_it_is(data, sentences):
    """In one window or another, new or seen before; the outputs of each token are drawn."""
    task = tagger()
    lengths = [part.end - part.start for one in sentences for part in windows(len(one), task.longest) if one]
    draw = st.tuples(st.sampled_from([0, 3, 4]), *[st.integers(0, len(RULES) - 1)] * 3)
    columns = np.array([data.draw(draw) for _ in range(sum(lengths))], np.int32).reshape(-1, 4).T
    outputs = outputs_of(columns[0], *columns[1:])
    expected = []
    for words, kept in zip(sentences, kept_of(map(len, sentences), task.longest), strict=True):
        rows = [row for some in kept for row in columns.T[some].tolist()]
        expected.append(
            [LEMMATIZER.lemma(w, str(upos), "0", rules) for w, (upos, *rules) in zip(words, rows, strict=True)]
        )
    for _ in range(2):
        found = finish(task.decode([*map(tokens_of, sentences)], outputs, lemmas=True))
        assert [[tag.lemma for tag in tags] for tags in found] == expected
    found = finish(task.decode([*map(tokens_of, sentences)], outputs, lemmas=False))
    assert {tag.lemma for tags in found for tag in tags} <= {None}, "they are not wanted"


def test_a_lemma_is_looked_up_once_unless_its_form_is_long(monkeypatch):
    monkeypatch.setattr(tagging, "CACHED_LEMMAS", 2)
    task, choose = tagger(), Mock(wraps=LEMMATIZER.choose)
    monkeypatch.setattr(LEMMATIZER, "choose", choose)

    def lemmas(*words: str, rule: int = 2, others: tuple[int, int] = (0, 1), upos: int = 0) -> tuple[list[Any], Any]:
        """Returns the lemmas of words, and the words whose lemma was looked up."""
        choose.reset_mock()
        columns = (np.full(len(words), id, np.int32) for id in (upos, rule, *others))
        (tags,) = finish(task.decode([tokens_of(words)], outputs_of(*columns), lemmas=True))
        assert task._cached_lemma.cache_info().currsize <= 2
        assert task._cached_choice.cache_info().currsize <= 2
        return [tag.lemma for tag in tags], [call.args[0] for call in choose.call_args_list]

    assert lemmas("bins") == (["bin"], ["bins"])
    assert lemmas("bins") == (["bin"], [])
    assert lemmas("bins", rule=1) == (["BINS"], ["bins"]), "another rule is another lemma"
    assert lemmas("bins", rule=3) == (["bins"], ["bins"])
    assert lemmas("bins", rule=3, others=(1, 0)) == (["BINS"], ["bins"]), "by the rules that come next"
    assert lemmas("ban", upos=4) == (["listed"], []), "of the dictionary"
    long = "bin" * LONGEST_CACHED
    for _ in range(2):
        assert lemmas(long) == ([long[:-1]], [long])
    lemmas("ban", "an", "sn")
    assert lemmas("bins") == (["bin"], ["bins"]), "it has been forgotten"


def test_frequent_words_are_tagged_so_that_caches_have_them(monkeypatch):
    monkeypatch.setattr(tagging, "FREQUENT_WORDS", 20)
    task, tokenizer = tagger(), make_tokenizer("spacy-en", None)
    read = []

    def infer(sequence: Ragged) -> dict[str, Array]:
        read.append(sequence.values["word_ids"].tolist())
        zeros = np.zeros(len(read[-1]), np.int32)
        return outputs_of(zeros, zeros, zeros, zeros)

    assert [len(read) for _ in task.warm_up(tokenizer, infer)] == [1, 2, 3]
    assert read == [[*range(2, 10)], [*range(10, 18)], [*range(18, 22)]], "after padding and unknown words"
    assert (task._cached_encode.cache_info().currsize, task._cached_lemma.cache_info().currsize) == (20, 20)


def test_lemma_rules_are_no_candidates():
    task = tagger()
    assert not {name for name in task.candidate_outputs if name.startswith(LEMMA)}
    outputs = {name: np.zeros((1, 5), np.float32 if "prob" in name else np.int32) for name in task.candidate_outputs}
    (found,) = finish(task.candidates([1], outputs))
    assert found.heads.keys() == {"upos", "xpos", "feats"}
