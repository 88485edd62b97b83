"""The best labels of each token are found on the device: few numbers leave it, and nothing is compiled for them."""

import numpy as np
import tensorflow as tf

from service.artifact.manifest import CANDIDATES
from service.backend.saved_model import TensorFlowBackend
from tests.backend.test_saved_model import newest
from tests.batches import padded, rows_of


def test_the_candidates_of_each_head_are_its_most_probable_labels_and_ties_go_to_the_lower_id() -> None:
    version = newest("tagger-en")
    manifest = version.manifest
    model = TensorFlowBackend("cpu").load_sequence_model(version.folder, manifest)
    list(model.warm_up([2], 8))
    rng = np.random.default_rng(3)
    examples = [
        {"word_ids": rng.integers(1, 500, n, dtype=np.int32), "char_ids": rng.integers(0, 30, (n, 12), dtype=np.int32)}
        for n in (8, 5)
    ]
    batch = padded(examples, manifest.endpoint.inputs, (2, 8))
    names = [name for pair in manifest.candidate_outputs.values() for name in pair]
    outputs = rows_of(model.start(batch.inputs, frozenset([*names, *manifest.heads]))(), batch, model.timed_outputs)
    for output, length in zip(outputs, (8, 5), strict=True):
        for head, (ids, probabilities) in manifest.candidate_outputs.items():
            expected = np.argsort(-output[head], axis=-1, kind="stable")[:, :CANDIDATES]
            assert output[ids].shape == output[probabilities].shape == (length, CANDIDATES)
            assert output[ids].dtype == np.int32
            assert output[ids].tolist() == expected.tolist()
            assert output[ids][:, 0].tolist() == output[f"{head}_id"].tolist()
            values = np.take_along_axis(output[head], expected, axis=-1)
            assert output[probabilities].tolist() == values.tolist()

    asked_for_less = model.start(batch.inputs)()
    assert not asked_for_less.keys() & {*names, *manifest.heads}
    assert tf.math.top_k(tf.zeros([3, 7]), 5).indices.numpy().tolist() == [[0, 1, 2, 3, 4]] * 3
