import numpy as np

from service.backend import spelling
from service.backend.spelling import SIZES, Spellings


def make() -> tuple[Spellings, list[int]]:
    """Spellings of words of three characters: their sum, twice. Notes the number of words of each step."""
    steps: list[int] = []

    def spell(char_ids: np.ndarray) -> np.ndarray:
        steps.append(len(char_ids))
        return np.repeat(char_ids.sum(axis=1, keepdims=True), 2, axis=1).astype(np.float32)

    return Spellings(spell, 3, 2), steps


def test_each_word_is_spelt_once_however_often_it_comes():
    spellings, steps = make()
    char_ids = np.array([[[1, 2, 3], [4, 0, 0], [1, 2, 3]], [[4, 0, 0], [0, 0, 0], [1, 2, 3]]], np.int32)
    for _ in range(3):
        made = spellings(char_ids)
        assert made.dtype == np.float32
        np.testing.assert_array_equal(made[..., 0], char_ids.sum(-1))
        np.testing.assert_array_equal(made[..., 1], char_ids.sum(-1))
    assert steps == [SIZES[0]]


def test_many_new_words_are_spelt_in_the_sizes_that_are_compiled():
    spellings, steps = make()
    char_ids = np.arange(3 * 600, dtype=np.int32).reshape(1, 600, 3)
    np.testing.assert_array_equal(spellings(char_ids)[0, :, 0], char_ids[0].sum(-1))
    assert steps == [512, 512]
    spellings(char_ids + 1)
    spellings.warm_up()
    assert set(steps) <= set(SIZES)


def test_memory_is_bounded_and_what_is_forgotten_is_spelt_again(monkeypatch):
    monkeypatch.setattr(spelling, "REMEMBERED_WORDS", 10)
    spellings, _ = make()
    rng = np.random.default_rng(1)
    for _ in range(50):
        char_ids = rng.integers(0, 50, (2, 4, 3), dtype=np.int32)
        np.testing.assert_array_equal(spellings(char_ids)[..., 0], char_ids.sum(-1))
        assert len(spellings._places) <= 10
        assert len(spellings._table) == 10
