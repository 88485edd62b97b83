"""Taggers that are exported with common sizes: they answer as before, and their graphs are the same."""

from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest

from service.artifact import manifest as artifact
from service.backend import tensorflow_private
from service.text.lemmatizer import LEMMA
from tests.training.tiny import tagging, treebank_with_lemmas
from training.data.dataset import collate
from training.models.common_sizes import LABELS, LONGEST, common_buckets, padded
from training.models.tagger import TaggerSizes
from training.run import export, versions
from training.run.loop import round_weights
from training.tasks.tagging import Tagging

# Of Keras, with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SIZES = TaggerSizes(word_embedding=8, character_embedding=4, character_units=4, affix_embedding=2, units=8)


def task_of(sentences: int) -> Tagging:
    """Returns a tiny task with common sizes. sentences: of train, which decide its words and labels."""
    splits = treebank_with_lemmas()
    return tagging(splits=splits | {"train": splits["train"][-sentences:]}, common_sizes=True, sizes=SIZES)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Tagging, keras.Model, Path]]:
    """Returns two tasks with other words and labels, their networks, rounded, and where these are exported."""
    made = []
    for sentences in (23, 9):
        task, store = task_of(sentences), tmp_path_factory.mktemp("store")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(export, "check_version", lambda folder: None)  # other tests check what is exported
            patch.setattr(tensorflow_private, "_loaded", Counter())  # as in a process that exports one model
            keras.utils.clear_session()
            model = task.network()
            task.compact(model)
            round_weights(task, model)
            made.append((task, model, export.export(task, model, [], store)))
    return made


@pytest.mark.parametrize("rounded", [False, True])
def test_a_padded_tagger_gives_the_same_labels_and_no_others(rounded):
    task = task_of(23)
    model = task.network()
    if rounded:
        task.compact(model)
        round_weights(task, model)
    inputs = collate(task.examples("dev")[:5]).inputs
    own, wide = task.predict(model, inputs), task.predict(padded(model), inputs)
    for head, labels in task.labels.items():
        assert wide[head].shape[-1] == max(len(labels), LABELS.get(head, 1))
        np.testing.assert_allclose(wide[head][..., : len(labels)], own[head], atol=1e-6, err_msg=head)
        assert not np.any(wide[head][..., len(labels) :])


def test_a_padded_version_is_restored_as_it_was(exported):
    task, model, folder = exported[0]
    manifest = artifact.read_manifest(folder)
    assert manifest.length_buckets[-1] == LONGEST
    assert manifest.endpoint.outputs[LEMMA].axes == ("B", "T", LABELS[LEMMA])
    restored = versions.restore(task, folder)
    round_weights(task, restored)
    for own, again in zip(model.weights, restored.weights, strict=True):
        np.testing.assert_array_equal(own, again, err_msg=own.path)


def test_taggers_of_other_words_and_labels_have_the_same_graph(exported):
    (one, _, first), (other, _, second) = exported
    assert one.labels != other.labels
    assert artifact.read_manifest(first).graph == artifact.read_manifest(second).graph


def test_what_belongs_to_the_labels_of_a_tagger_cannot_be_padded():
    model = TaggerSizes(affix_embedding=2, linear=True).network(10, 10, {"upos": 3, "xpos": 1, "feats": 2})
    with pytest.raises(ValueError, match="linear model"):
        padded(model)


@pytest.mark.parametrize(
    ("buckets", "expected"), [((4, 8), (4, LONGEST)), ((4, LONGEST, 296), (4, LONGEST)), ((LONGEST,), (LONGEST,))]
)
def test_the_longest_sentence_of_a_step_is_the_same_for_all(buckets, expected):
    assert common_buckets(buckets) == expected
