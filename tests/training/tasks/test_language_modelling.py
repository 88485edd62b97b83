"""The language model: that it learns, that its state carries a text on, and that all of a text is measured."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from service.text.vocabulary import encode_tokens
from tests.training.tiny import LANGUAGE_MODEL, SOURCE, VERSE, alike, language_model, trained
from training.metrics.scores import CROSS_ENTROPY
from training.run.loop import make_predict
from training.tasks.language_modelling import END, SAMPLE, LanguageModelling, words


def ids_of(task: LanguageModelling, text: str) -> Any:
    return encode_tokens(text, task.vocabularies["characters"])


def test_learns_a_verse_by_heart(tmp_path):
    task = language_model(epochs=15, learning_rate=0.04, sizes=replace(LANGUAGE_MODEL.sizes, layers=1))
    predict = make_predict(task, trained(task, tmp_path))

    ids, said = ids_of(task, VERSE[:9]), ""
    width = task.endpoint.inputs["state"].axes[1]
    assert isinstance(width, int)
    state = np.zeros((1, width), np.float32)
    while len(said) < len(VERSE):
        outputs = predict({"ids": ids[None], "lengths": np.array([len(ids)], np.int32), "state": state})
        ids, state = outputs["logits"].argmax(axis=-1).astype(np.int32), outputs["state"]
        said += task.vocabularies["characters"].string(ids[0])
    assert said == VERSE[9:] + VERSE[:9]
    ((start, sampled),) = task.samples(predict).items()
    assert (start, len(sampled)) == ("\n", SAMPLE)


def test_each_chunk_continues_the_chunk_before_it():
    task = language_model()
    batches = task.train_batches(np.random.default_rng(0))
    assert {batch.inputs["ids"].shape for batch in batches} == {(4, 16)}
    for batch in batches:
        assert np.array_equal(batch.inputs["ids"][:, 1:], batch.targets["ids"][:, :-1])
    for before, after in pairwise(batches):
        assert np.array_equal(before.targets["ids"][:, -1], after.inputs["ids"][:, 0])


@pytest.mark.parametrize("length", [30, 200, 3000])
def test_the_loss_of_windows_is_the_loss_of_one_pass_over_the_text(length):
    text = "".join(np.random.default_rng(0).choice(list("abcd"), 10 * length))
    task = language_model(text, test_share=0.1, dev_share=0.5)
    ids = ids_of(task, text[-length:])

    def counting(inputs: Any) -> dict[str, Any]:
        """Says a probability of the next character that depends on the last one and on all before it."""
        state = 0.5 * inputs["state"] + inputs["ids"]
        logits = np.zeros((len(state), len(task.vocabularies["characters"])))
        logits[:, 2] = state[:, 0]
        return {"logits": logits, "state": state}

    losses, state = [], 0.0
    for id, target in pairwise(ids):
        state = 0.5 * state + id
        logits = np.array([0, 0, state, 0, 0, 0])
        losses.append(np.log(np.exp(logits).sum()) - logits[target])
    metrics = {metric.name: metric.value for metric in task.evaluate(counting, "test")}
    assert metrics[CROSS_ENTROPY] == pytest.approx(np.mean(losses), abs=1e-4)
    assert metrics["bits per character"] == pytest.approx(np.mean(losses) / math.log(2), abs=1e-4)


@pytest.mark.parametrize("overlap", [0, 5])
def test_overlapping_windows_have_a_loss_at_their_new_positions_alone(overlap):
    task = language_model(overlap=overlap)
    batches = task.train_batches(np.random.default_rng(0))
    assert {batch.inputs["ids"].shape for batch in batches} == {(4, overlap + 16)}
    for before, after in pairwise(batches):
        assert np.array_equal(before.inputs["ids"][:, 16:], after.inputs["ids"][:, :overlap])
    model = task.network()
    batch, *_ = batches
    other = batch.targets["ids"].copy()
    other[:, :overlap] = 1  # what these are makes no difference
    losses = [
        task.loss(model, batch.inputs, {"ids": ids}, task.initial_state())[0] for ids in (batch.targets["ids"], other)
    ]
    assert losses[0] == losses[1]


def test_words_are_learnt_and_their_perplexity_is_measured(tmp_path):
    sizes = replace(LANGUAGE_MODEL.sizes, layers=1)
    recipe = replace(LANGUAGE_MODEL, unit="word", epochs=10, learning_rate=0.05, sizes=sizes)
    verse = words(" the cat saw the dog \n the dog ran \n" * 30)
    assert verse[:7] == ["the", "cat", "saw", "the", "dog", END, "the"]
    task = LanguageModelling(recipe, alike(verse[:70]) | {"train": verse}, (SOURCE,))
    predict = make_predict(task, trained(task, tmp_path))
    nats, perplexity = task.evaluate(predict, "dev")
    assert perplexity.name == "perplexity"
    assert perplexity.value == pytest.approx(math.exp(nats.value), abs=0.01)
    assert perplexity.value < 1.5
    assert "the dog ran" in task.samples(predict)[END]
