import numpy as np
import pytest
import tensorflow as tf

from service.artifact.manifest import Endpoint, TensorSpec
from service.backend import steps
from service.backend.compiling import Compiler
from service.backend.steps import FEW_WORDS, MANY_WORDS, WordCache
from service.errors import ConfigurationError

ENDPOINT = Endpoint(
    inputs={"word_ids": TensorSpec(dtype="int32", axes=("W",)), "char_ids": TensorSpec(dtype="int32", axes=("W", 3))},
    outputs={"projected": TensorSpec(dtype="float32", axes=("W", 2))},
)


class Projection:
    """Reads words of an id and three characters: their sum, and ten times their id. Notes what it reads."""

    def __init__(self) -> None:
        self.cache = WordCache(Compiler("/CPU:0"), self.project, ENDPOINT)
        self.cache.warm_up()
        read = self.cache._read
        self.sizes: list[int] = []

        def counted(cells):
            self.sizes.append(len(cells))
            return read(cells)

        self.cache._read = counted  # type: ignore[method-assign]

    def project(self, word_ids, char_ids):
        rows = [word_ids + tf.reduce_sum(char_ids, 1), 10 * word_ids]
        return {"projected": tf.cast(tf.stack(rows, axis=1), tf.float32)}

    def check(self, word_ids: np.ndarray, char_ids: np.ndarray) -> None:
        prepared = self.cache.prepare({"word_ids": word_ids, "char_ids": char_ids, "lengths": np.ones(1, np.int32)})
        assert prepared.keys() == {"rows", "lengths"}
        known = self.cache.tables["projected"].numpy()[prepared["rows"]]
        np.testing.assert_array_equal(known[..., 0], word_ids + char_ids.sum(-1))
        np.testing.assert_array_equal(known[..., 1], 10 * word_ids)

    def read(self, first: int, count: int) -> None:
        """Checks a sequence of so many words from this id on."""
        self.check(np.arange(first, first + count, dtype=np.int32)[None], np.zeros((1, count, 3), np.int32))


@pytest.fixture(params=[2000])
def projection(monkeypatch, request):
    monkeypatch.setattr(steps, "CACHED_WORDS", request.param)
    return Projection()


def of_words(number: int) -> pytest.MarkDecorator:
    """Has a test's table hold so many words."""
    return pytest.mark.parametrize("projection", [number], indirect=True)


def test_each_word_is_read_once_however_often_it_comes(projection):
    word_ids = np.array([[1, 2, 1], [2, 0, 1]], np.int32)
    char_ids = np.array([[[1, 2, 3], [4, 0, 0], [1, 2, 3]], [[4, 0, 0], [0, 0, 0], [1, 2, 3]]], np.int32)
    for _ in range(3):
        projection.check(word_ids, char_ids)
    assert projection.sizes == [FEW_WORDS]


def test_words_that_differ_in_one_input_alone_are_two(projection):
    char_ids = np.array([[[1, 2, 3], [1, 2, 3], [1, 2, 4]]], np.int32)
    projection.check(np.array([[5, 6, 6]], np.int32), char_ids)


def test_many_new_words_are_read_by_larger_calls_and_the_rest_by_small_ones(projection):
    projection.cache.warm_up()
    compiled = projection.cache._reads.copy()
    for count, sizes in (
        (60, [MANY_WORDS, MANY_WORDS]),
        (MANY_WORDS + 2 * FEW_WORDS, [MANY_WORDS, FEW_WORDS, FEW_WORDS]),
        (2 * FEW_WORDS + 1, [MANY_WORDS]),
        (FEW_WORDS + 1, [FEW_WORDS, FEW_WORDS]),
        (FEW_WORDS, [FEW_WORDS]),
    ):
        projection.sizes.clear()
        projection.read(100 * count, count)
        assert projection.sizes == sizes
    assert projection.cache._reads == compiled
    assert compiled.keys() == {FEW_WORDS, MANY_WORDS}, "no other is compiled by a request"


def test_larger_calls_whose_rows_differ_are_not_used(projection):
    read = projection.cache._read

    def rounded_otherwise(cells):
        rows = read(cells)["projected"]
        return {"projected": rows if len(cells) == FEW_WORDS else tf.experimental.numpy.nextafter(rows, 1e9)}

    projection.cache._read = rounded_otherwise
    projection.cache.warm_up()
    projection.read(0, 60)
    assert projection.sizes[-8:] == [FEW_WORDS] * 8


@of_words(10)
def test_memory_is_bounded_and_what_is_forgotten_is_read_again(projection):
    rng = np.random.default_rng(1)
    for _ in range(50):
        projection.check(rng.integers(0, 3, (2, 4), dtype=np.int32), rng.integers(0, 9, (2, 4, 3), dtype=np.int32))
        assert len(projection.cache._rows) <= 10
        assert projection.cache.tables["projected"].shape[0] == 10 + MANY_WORDS


@of_words(30)
def test_a_large_call_fills_the_table_to_its_last_row(projection):
    for first, count in ((0, 13), (100, 17), (0, 13)):
        projection.read(first, count)
    assert len(projection.cache._rows) == 30


@of_words(20)
def test_a_batch_of_more_words_than_the_table_has_rows_fails_and_the_next_is_right(projection):
    projection.read(0, 20)
    with pytest.raises(tf.errors.InvalidArgumentError, match="is not in"):
        projection.read(0, 20 + MANY_WORDS + 1)
    projection.read(0, 20)


def test_a_batch_that_may_have_more_words_than_the_table_is_refused_at_the_start(projection):
    projection.cache.check_batch(2000)
    with pytest.raises(ConfigurationError, match=r"up to 2001 words do not fit the 2000 .* lower TAGWERK_BATCH_SIZES"):
        projection.cache.check_batch(2001)
