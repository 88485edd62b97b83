"""The linear model beside a tagger: its sums, what a word adds to its neighbours, and the endpoints that are served."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests.training.tiny import LEXICON, TAGGER, tagging
from training.data.dataset import collate
from training.data.lexicon import Lexicon
from training.models.affixes import PREFIXES, ROWS, SHAPES, SUFFIXES
from training.models.linear_scores import LinearScores
from training.models.tagger import Tagger
from training.tasks.tagging import Tagging

WORDS, LABELS = 5, 3
SIZES = replace(TAGGER.sizes, affix_embedding=2, linear=True)


def randomized(linear: LinearScores) -> LinearScores:
    """Gives a linear model random weights; they are zeros at first."""
    rng = np.random.default_rng(1)
    for table in linear.tables:
        table.embeddings.assign(rng.normal(size=table.embeddings.shape))
    return linear


def with_linear_model(lexicon: Lexicon | None = None) -> tuple[Tagging, Tagger]:
    task = tagging(lexicon, sizes=SIZES)
    model = task.network()
    assert isinstance(model, Tagger)
    assert model.linear
    randomized(model.linear)
    return task, model


def test_a_word_is_scored_by_itself_its_affixes_its_shape_and_its_neighbours():
    linear = randomized(LinearScores(WORDS, LABELS))
    words, shapes = np.array([[1, 2, 4]]), np.array([[3, 0, 7]])
    affixes = np.random.default_rng(2).integers(0, ROWS, (PREFIXES + SUFFIXES, 1, 3))
    found = linear.total(linear(words, linear.of_spelling(list(affixes), shapes)))
    word, shape, affix, neighbour = (np.asarray(table.embeddings) for table in linear.tables)
    assert (len(word), len(shape), len(affix), len(neighbour)) == (WORDS, SHAPES, ROWS, ROWS)
    for t in range(3):
        own = slice(LABELS, 2 * LABELS)
        expected = word[words[0, t], own] + shape[shapes[0, t], own] + sum(affix[rows[0, t]] for rows in affixes)
        for beside, column in ((t + 1, 0), (t - 1, 2)):
            if 0 <= beside < 3:
                place = slice(column * LABELS, (column + 1) * LABELS)
                expected += word[words[0, beside], place] + shape[shapes[0, beside], place]
                part = slice(0, LABELS) if column == 0 else slice(LABELS, 2 * LABELS)
                expected += sum(neighbour[affixes[PREFIXES + n - 1][0, beside], part] for n in (2, 3))
        np.testing.assert_allclose(found[0, t], expected, atol=1e-5)


@pytest.mark.parametrize("lexicon", [None, LEXICON], ids=["no lexicon", "a lexicon"])
def test_served_endpoints_give_the_logits_of_the_whole_network(lexicon):
    task, model = with_linear_model(lexicon)
    inputs = collate(task.goldens()).inputs
    whole = model(**inputs, training=False)
    b, t = inputs["word_ids"].shape
    table = model.project(
        np.reshape(inputs["word_ids"], (b * t,)), np.reshape(inputs["char_ids"], (b * t, *inputs["char_ids"].shape[2:]))
    )
    assert table.shape == (b * t, model.projected_size)
    rows = np.arange(b * t, dtype=np.int32).reshape(b, t)
    joined, lengths = model.joined_head(), inputs["lengths"]
    tagged = model.tag_from_table(table, rows, lengths, joined)
    found = model.logits_from_outputs(tagged["outputs"], table, rows, lengths, joined)
    expected = np.concatenate([whole[head] for head in model.heads], axis=-1)
    valid = np.concatenate([expected[row, :length] for row, length in enumerate(inputs["lengths"])])
    np.testing.assert_allclose(found[: len(valid), : expected.shape[-1]], valid, atol=1e-4)


@pytest.mark.parametrize("lexicon", [None, LEXICON], ids=["no lexicon", "a lexicon"])
def test_the_network_and_the_linear_model_have_separate_gradients(lexicon):
    task, model = with_linear_model(lexicon)
    inputs = collate(task.goldens()).inputs
    apart = model(**inputs, training=True)
    assert set(apart) == {"upos", "xpos", "feats", "upos_linear", "xpos_linear", "feats_linear"}
    with tf.GradientTape(persistent=True) as tape:
        logits = model(**inputs, training=True)
        deep, linear = tf.reduce_sum(logits["upos"]), tf.reduce_sum(logits["upos_linear"])
    assert model.linear
    of_linear = [table.embeddings.value for table in model.linear.tables]
    assert tape.gradient(deep, of_linear) == [None] * len(of_linear)
    assert tape.gradient(linear, model.word_embedding.embeddings.value) is None
    assert None not in tape.gradient(linear, of_linear)
