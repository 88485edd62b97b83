"""Products in integers: close to those in floats, exact, and restored to the same floats."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from service.errors import ConfigurationError
from tests.training.cells.test_served_loops import as_served, random
from training.cells import GRU, LSTM
from training.cells.integers import LARGEST, MOST_TERMS, integers_of, product, restore_rows, round_rows, rounded
from training.cells.served_loops import per_position, unroll_rows
from training.cells.unroll import unroll, unroll_projected
from training.course.cells import ExtendedLSTM, IdentityRNN, SimpleRNN
from training.models.language_model import LanguageModel, LanguageModelSizes
from training.models.layers import Head

UNITS, WORDS = 24, 30
MAKE = {
    "LSTM": lambda: LSTM(5, UNITS, 2),
    "one direction": lambda: LSTM(5, UNITS),
    "GRU": lambda: GRU(5, UNITS, 2),
    "simple": lambda: SimpleRNN(5, UNITS, 2),
    "clipped projection": lambda: ExtendedLSTM(5, UNITS, 2, projection=UNITS // 2, projection_clip=0.5),
}
every_cell = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def in_bfloat16(q: Any, v: Any) -> Any:
    return tf.raw_ops.BatchMatMulV3(x=tf.cast(q, tf.bfloat16), y=tf.cast(v, tf.bfloat16), Tout=tf.float32)


MULTIPLY: dict[str, Callable[[Any, Any], Any]] = {
    "int8": ops.matmul,
    "float32": lambda q, v: ops.matmul(ops.cast(q, "float32"), ops.cast(v, "float32")),
    "bfloat16": in_bfloat16,
}


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 20),
    terms=st.sampled_from([1, 7, 64, MOST_TERMS]),
    extreme=st.booleans(),
)
def test_products_in_integers_and_in_floats_of_the_same_integers_are_the_same_to_the_bit(seed, rows, terms, extreme):
    rng = np.random.default_rng(seed)
    low = LARGEST if extreme else -LARGEST
    q, v = rng.integers(low, LARGEST + 1, (rows, terms)), rng.integers(low, LARGEST + 1, (terms, 5))
    x, scale = (q / LARGEST).astype("float32"), np.float32(rng.uniform(0.001, 1, (1, 5)))
    found = product(tf.constant(x), tf.constant(v.astype("int8")), tf.constant(scale))
    floats = np.matmul(q.astype("float32"), v.astype("float32"))
    np.testing.assert_array_equal(floats, (q @ v).astype("float32"))
    np.testing.assert_array_equal(found, floats * (scale * np.float32(1 / LARGEST)))


@pytest.mark.parametrize("terms", [64, MOST_TERMS])
@pytest.mark.parametrize("kind", MULTIPLY)
def test_compiled_products_of_extreme_integers_are_exact_in_integers_floats_and_bfloat16(kind, terms):
    compiled = tf.function(MULTIPLY[kind], jit_compile=True, autograph=False)
    rng = np.random.default_rng(terms)
    kernel = rng.choice([-LARGEST, LARGEST], (2, terms, 33)).astype("int8")
    kernel[..., 0], kernel[..., 1] = LARGEST, -LARGEST
    kernel[..., 2:9] = rng.integers(-LARGEST, LARGEST + 1, (2, terms, 7))
    signs = rng.choice([-LARGEST, LARGEST], (2, 16, terms)).astype("int8")
    states = {"highest": np.full_like(signs, LARGEST), "lowest": np.full_like(signs, -LARGEST), "signs": signs}
    for rows in (1, 2, 16):
        for name, q in states.items():
            for left, right in ((q[:, :rows], kernel), (q[0, :rows], kernel[0])):  # of two directions, and of a head
                found = compiled(tf.constant(left), tf.constant(right)).numpy()
                assert found.dtype == ("int32" if kind == "int8" else "float32")
                exact = left.astype("int64") @ right.astype("int64")
                np.testing.assert_array_equal(found, exact, err_msg=f"{name}, {rows} rows")


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), size=st.floats(1e-6, 1e6))
def test_weights_that_are_restored_are_rounded_to_the_same_integers(seed, size):
    weights = (size * np.random.default_rng(seed).normal(size=(2, 9, 4))).astype("float32")
    weights[:, :, 0] = 0.0
    integers, scale = integers_of(weights)
    assert np.abs(integers).max() == LARGEST
    assert (np.abs(integers * scale - weights) <= 0.5001 * scale).all()
    again, same = integers_of(integers * scale)
    np.testing.assert_array_equal(again, integers)
    np.testing.assert_array_equal(same, scale)


@every_cell
def test_a_cell_in_integers_computes_nearly_what_it_did_and_is_restored(make):
    cell, inputs, lengths = make(), random(3, 9, 5), np.array([9, 4, 1], np.int32)
    before, _ = unroll(cell, inputs, lengths)
    shapes = [tuple(weight.shape) for weight in cell.weights]
    assert cell.round_weights() == []
    after, _ = unroll(cell, inputs, lengths)
    np.testing.assert_allclose(after, before, atol=0.05)
    assert not np.array_equal(after, before)
    assert {weight.dtype for weight in cell.weights} == {"int8", "float32"}
    cell.restore_weights()
    assert sorted(tuple(weight.shape) for weight in cell.weights) == sorted(shapes)
    assert {weight.dtype for weight in cell.weights} == {"float32"}
    restored, _ = unroll(cell, inputs, lengths)
    np.testing.assert_allclose(restored, before, atol=0.05)
    cell.round_weights()
    again, _ = unroll(cell, inputs, lengths)
    np.testing.assert_array_equal(again, after)


@every_cell
def test_a_served_step_gives_a_sequence_the_same_bytes_in_any_batch_order_and_size(make):
    cell = make()
    cell.round_weights()
    head = Head(cell.directions * cell.state_sizes[0], 9)
    head.round_weights(cell.output_limit)
    table = random(WORDS, cell.directions * cell.gates * UNITS)
    rng = np.random.default_rng(1)

    def read(table: Any, rows: Any, lengths: Any) -> Any:
        outputs, state = unroll_rows(cell, table, rows, lengths, rounded=True)
        flat = ops.reshape(outputs, (-1, outputs.shape[-1]))

        def score(sequences: Any, positions: Any) -> dict[str, Any]:
            return {"logits": head(ops.take(flat, sequences * ops.shape(rows)[1] + positions, axis=0))}

        return per_position(score, rows, lengths)["logits"], state

    served = as_served(read)
    rows, lengths = rng.integers(0, WORDS, (6, 40)).astype("int32"), rng.integers(1, 41, 6).astype("int32")
    alone = [served(table, rows[i : i + 1], lengths[i : i + 1]) for i in range(6)]
    for order in ([5, 3, 1], [4, 4, 2, 0, 0, 0, 0]):
        logits, state = served(table, rows[order], lengths[order])
        for place, i in enumerate(order):
            start = lengths[order[:place]].sum()
            np.testing.assert_array_equal(logits[start : start + lengths[i]], alone[i][0][: lengths[i]])
            for part, wanted in zip(state, alone[i][1], strict=True):
                np.testing.assert_array_equal(part[:, place], wanted[:, 0])


def test_served_integers_give_the_outputs_of_the_network():
    cell, lengths = LSTM(5, UNITS, 2), np.array([7, 3], np.int32)
    table, rows = random(WORDS, 8 * UNITS), np.random.default_rng(1).integers(0, WORDS, (2, 7)).astype("int32")
    cell.round_weights()
    wanted, _ = unroll_projected(cell, ops.take(table, rows, axis=0), lengths)
    outputs, _ = unroll_rows(cell, tf.constant(table), rows, lengths, rounded=True)
    np.testing.assert_array_equal(outputs, rounded(wanted))


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), size=st.floats(1e-6, 1e6), directions=st.sampled_from([1, 2]))
def test_rows_of_products_are_rounded_by_a_scale_for_each_direction(seed, size, directions):
    rows = (size * np.random.default_rng(seed).normal(size=(3, 4, directions * 6))).astype("float32")
    rows[0, 0] = 0.0
    rows[..., :6] *= 0.01  # its own scale
    integers, scales = round_rows(tf.constant(rows), directions)
    assert (integers.dtype, integers.shape, scales.shape) == (tf.int8, rows.shape, (3, 4, directions))
    steps = np.repeat(scales.numpy(), 6, axis=-1)
    assert (np.abs(restore_rows(integers, scales) - rows) <= 0.5001 * steps).all()
    again = round_rows(restore_rows(integers, scales), directions)
    np.testing.assert_array_equal(again[0], integers)


@pytest.mark.parametrize("passed", [0, 3])
def test_a_table_of_integers_gives_what_its_floats_give(passed):
    cell, lengths = LSTM(5, UNITS, 2), np.array([7, 3], np.int32)
    table, rows = random(WORDS, 2 * (4 * UNITS + passed)), np.random.default_rng(1).integers(0, WORDS, (2, 7))
    integers, scales = round_rows(tf.constant(table), 2)
    wanted = unroll_rows(cell, restore_rows(integers, scales), rows.astype("int32"), lengths, passed=passed)
    found = unroll_rows(cell, integers, rows.astype("int32"), lengths, scales=scales, passed=passed)
    np.testing.assert_allclose(found[0], wanted[0], atol=1e-5)


def test_layers_above_another_multiply_its_output_in_integers_too():
    model = LanguageModel(9, LanguageModelSizes(embedding=5, units=4, layers=3, residual=True))
    ids, lengths = np.array([[3, 4, 5], [2, 3, 0]], np.int32), np.array([3, 2], np.int32)
    state = np.zeros((2, model.state_size), np.float32)
    before, _ = model.next(ids, lengths, state)
    (kept,) = model.round_weights()
    assert kept.endswith("/kernel"), "the head's: a residual output has no limit"
    first, second, third = model.cells
    assert [first.kernel.dtype, second.cell.kernel.dtype, third.cell.kernel.dtype] == ["float32", "int8", "float32"]
    after, _ = model.next(ids, lengths, state)
    np.testing.assert_allclose(after, before, atol=0.05)
    model.restore_weights()
    assert {weight.dtype for weight in model.weights} == {"float32"}


def test_weights_of_states_without_a_limit_stay_floats_and_are_named():
    for cell in (IdentityRNN(5, 4), ExtendedLSTM(5, 4, projection=2)):
        (kept,) = cell.round_weights()
        assert kept.endswith("/recurrent_kernel")
        assert cell.recurrent_kernel.dtype == "float32"
    head = Head(4, 2, "tags")
    assert head.round_weights(None) == ["tags/kernel"]
    assert head.kernel.dtype == "float32"


def test_sums_that_may_not_be_exact_are_refused():
    assert LARGEST * LARGEST * MOST_TERMS < 2**24 <= LARGEST * LARGEST * (MOST_TERMS + 1)
    with pytest.raises(ConfigurationError, match=r'1041 terms.* 1040 at most.*served_precision="float32"'):
        Head(MOST_TERMS + 1, 2).round_weights(1.0)
    head = Head(MOST_TERMS, 2)
    assert head.round_weights(1.0) == []
    assert head.kernel.dtype == "int8"
