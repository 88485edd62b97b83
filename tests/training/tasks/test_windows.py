"""Long texts in windows."""

from collections.abc import Mapping

import numpy as np

from training.data.dataset import Array, Example
from training.tasks.windows import label_probabilities


def test_windows_of_a_long_text_count_by_their_length():
    seen: list[int] = []

    def predict(inputs: Mapping[str, Array]) -> dict[str, Array]:
        seen.extend(inputs["lengths"].tolist())
        first = inputs["word_ids"][:, :1] / 100
        return {"probabilities": np.concatenate([first, 1 - first], axis=1)}

    texts = [np.arange(10, 17, dtype=np.int32), np.array([90], np.int32)]
    found = label_probabilities(predict, [Example("", {"word_ids": ids}) for ids in texts], longest=3)
    assert sorted(seen) == [1, 2, 2, 3]
    np.testing.assert_allclose(found[:, 0], [(3 * 0.10 + 2 * 0.13 + 2 * 0.15) / 7, 0.9])
