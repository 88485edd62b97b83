from typing import Any

import numpy as np
import tensorflow as tf

from service.backend.generation_model import sample, uniform

compiled = tf.function(sample, jit_compile=True, reduce_retracing=True)
LOGITS = np.log(np.array([0.9, 0.9, 0.5, 0.3, 0.15, 0.05], np.float32))  # PAD and UNK first, the most probable of all


def outputs(count: int, temperature=1.0, top_k=0, top_p=1.0, first_seed=0) -> dict[str, Any]:
    def column(value, dtype):
        return np.full(count, value, dtype)

    found: dict[str, Any] = compiled(
        np.tile(LOGITS, (count, 1)),
        column(temperature, np.float32),
        column(top_k, np.int32),
        column(top_p, np.float32),
        np.arange(first_seed, first_seed + count, dtype=np.int64),
        column(3, np.int64),
    )
    return found


def draw(count: int, **wishes) -> np.ndarray:
    ids: np.ndarray = outputs(count, **wishes)["ids"].numpy()
    return ids


def shares(ids: np.ndarray) -> np.ndarray:
    return np.bincount(ids, minlength=len(LOGITS)) / len(ids)


def test_temperature_zero_takes_the_most_probable_that_is_not_reserved():
    assert set(draw(50, temperature=0)) == {2}


def test_samples_are_as_frequent_as_they_are_probable():
    np.testing.assert_allclose(shares(draw(4000)), [0, 0, 0.5, 0.3, 0.15, 0.05], atol=0.03)


def test_temperature_sharpens_and_flattens():
    np.testing.assert_allclose(shares(draw(4000, temperature=0.5))[2:4], [0.685, 0.247], atol=0.03)
    assert shares(draw(4000, temperature=10))[5] > 0.2


def test_top_k_and_top_p_keep_the_most_probable():
    np.testing.assert_allclose(shares(draw(4000, top_k=2)), [0, 0, 0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(shares(draw(4000, top_p=0.6)), [0, 0, 0.625, 0.375, 0, 0], atol=0.03)
    assert set(draw(50, top_k=1)) == {2}
    assert set(draw(50, top_p=1e-6)) == {2}


def test_logprobs_are_those_of_the_distribution_before_temperature_and_the_like():
    for wishes in ({}, {"temperature": 0}, {"temperature": 3, "top_k": 2, "top_p": 0.3}):
        found = {name: values.numpy() for name, values in outputs(20, **wishes).items()}
        np.testing.assert_allclose(found["logprobs"], np.log([0.5, 0.3, 0.15, 0.05])[found["ids"] - 2], rtol=1e-5)
        assert found["top_ids"][0, :4].tolist() == [2, 3, 4, 5]
        np.testing.assert_allclose(found["top_logprobs"][:, :4], np.log([[0.5, 0.3, 0.15, 0.05]] * 20), rtol=1e-5)


def test_a_number_is_a_function_of_its_seed_and_position_alone():
    seeds, positions = np.array([1, 2, 1, 2**52], np.int64), np.array([0, 0, 1, 0], np.int64)
    together = uniform(seeds, positions).numpy()
    alone = [uniform(seeds[i : i + 1], positions[i : i + 1]).numpy()[0] for i in range(4)]
    assert together.tolist() == [float(value) for value in alone]
    assert len(set(together.tolist())) == 4
    assert all(0 <= value < 1 for value in together)
