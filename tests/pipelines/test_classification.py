"""The score, magnitude and mixture of texts, by sentences whose probabilities are given."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from service.errors import InvalidInput
from service.pipelines.classification import ClassifiedText, check_explains, decode, encode
from service.pipelines.formats import write_classified
from service.tasks.sentiment import Sentiment
from service.text.interruptible import finish
from service.text.tokenizer import Tokenizer
from service.text.vocabulary import Vocabulary
from tests.fakes import version_of

LABELS = ("neutral", "positive", "negative")


def task(*labels: str) -> Sentiment:
    version = version_of("moods", "classify", labels={"sentiment": labels})
    return Sentiment(replace(version, vocabularies={"words": Vocabulary(["fine"])}), 40)


def classified(
    text: str, probabilities: Sequence[Sequence[float]], labels: Sequence[str] = LABELS, sentences: bool = True
) -> ClassifiedText:
    """Classifies a text. probabilities: of the whole text, and of its sentences if there are several  # [N, K]."""
    moods = task(*labels)
    encoded, _, sequences = finish(encode(moods, Tokenizer(), [text], False, sentences))
    assert len(sequences) == len(probabilities)
    outputs = {"probabilities": np.array(probabilities, np.float32)}
    (result,) = finish(decode(moods, encoded, outputs, False, sentences))
    return result


def test_the_magnitude_is_the_sum_of_the_strengths_of_the_sentences():
    found = classified("Good. Bad. So, so.", [[0.5, 0.375, 0.125], [0, 1, 0], [0.25, 0, 0.75], [0.75, 0, 0.25]])
    assert found.classification.score == 0.25
    assert found.sentences is not None
    assert [part.score for _, part in found.sentences] == [1, -0.75, -0.25]
    assert found.magnitude == 2
    assert found.mixed is True


@pytest.mark.parametrize(
    ("positive", "negative", "mixed"),
    [(0.5, -0.5, True), (0.49, -1, False), (1, -0.49, False), (1, 0.5, False), (-1, -0.5, False)],
)
def test_a_text_is_mixed_if_sentences_of_both_kinds_are_strong(positive, negative, mixed):
    rows = [[1 - abs(score), max(score, 0), max(-score, 0)] for score in (positive, negative)]
    assert classified("One. Two.", [[1, 0, 0], *rows]).mixed is mixed


@pytest.mark.parametrize(
    ("text", "wanted", "magnitude", "mixed", "sentences"),
    [
        ("Good, and bad.", True, 0.25, False, [(0, 14)]),  # is computed once
        (" ", True, 0, False, []),
        ("Good. Bad.", False, None, None, None),
    ],
)
def test_a_text_without_several_sentences_has_the_score_of_the_whole(text, wanted, magnitude, mixed, sentences):
    found = classified(text, [[0.25, 0.5, 0.25]], sentences=wanted)
    assert (found.classification.score, found.magnitude, found.mixed) == (0.25, magnitude, mixed)
    spans = [(sentence.start, sentence.end) for sentence, _ in found.sentences or ()]
    assert (None if found.sentences is None else spans) == sentences
    assert all(part == found.classification for _, part in found.sentences or ())


@pytest.mark.parametrize("labels", [("law", "sport"), ("positive", "other"), ("negative", "other")])
def test_labels_that_are_not_negative_and_positive_have_the_answer_without_a_score(labels):
    found = classified("Good. Bad.", [[0.25, 0.75], [1, 0], [0, 1]], labels)
    answer = b"".join(finish(write_classified(task(*labels).version, [found])))
    assert not any(name in answer for name in (b'"score"', b"magnitude", b"mixed"))


@pytest.mark.parametrize("contributions", [True, "positive", "none", ""])
def test_contributions_that_a_model_does_not_have_are_refused(contributions):
    moods = task(*LABELS)
    check_explains(moods, False)
    with pytest.raises(InvalidInput, match="allowed: false: moods/1 does not say"):
        check_explains(moods, contributions)
    moods.explains = True
    right = contributions in (True, "positive")
    refusal = pytest.raises(InvalidInput, match="allowed: true, false, or one of the labels neutral, positive, neg")
    with nullcontext() if right else refusal:
        check_explains(moods, contributions)
