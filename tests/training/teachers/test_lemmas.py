"""The lemma rules of unlabelled text: the same for a word with the same tags, and made of what is a word."""

import numpy as np

from service.text.lemmatizer import LEMMA
from tests.training import tiny
from training.tasks.tagging_batches import TEACHER_LABELS
from training.teachers.lemmas import agreeing


def test_the_rules_of_a_word_agree_and_prefer_a_lemma_that_is_a_word():
    task = tiny.tagging(splits=tiny.treebank_with_lemmas())
    lower, cut = (task.labels[LEMMA].index(rule) for rule in ("lower", "lower|end-1+"))
    verb, tag = task.labels["upos"].index("VERB"), task.labels["xpos"].index("VBZ")
    sentences = [("sinks",), ("dinks", "sinks"), ("sees",)]
    shares = {  # of the form as it is, and of the form without its end
        "sinks": (0.6, 0.4),
        "dinks": (0.9, 0.1),
        "sees": (1.0, 0.0),
    }
    words = [word for sentence in sentences for word in sentence]
    none = [0] * (TEACHER_LABELS - 2)
    outputs = {
        "upos": np.array([[verb, 0, *none]] * len(words)),
        "xpos": np.array([[tag, 0, *none]] * len(words)),
        LEMMA: np.array([[lower, cut, *none]] * len(words)),
        f"{LEMMA}_shares": np.array([[*shares[word], *none] for word in words], np.float32),
    }
    found = agreeing(task, sentences, outputs, ["sink", "sinks", "dinks"])
    rules, given = found[LEMMA], found[f"{LEMMA}_shares"]
    assert rules[0].tolist() == rules[2].tolist()
    assert given[0].tolist() == given[2].tolist()
    assert (rules[0, 0], rules[1, 0]) == (cut, lower), "sink is a word, dink is none"
    np.testing.assert_allclose(
        given[0, :2], [20 * 0.4 / (20 * 0.4 + 5 * 0.6), 5 * 0.6 / (20 * 0.4 + 5 * 0.6)], rtol=1e-5
    )
    assert (rules[3, 0], given[3, 0]) == (cut, 1.0), "the treebank has the word with these tags"
