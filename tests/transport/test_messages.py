import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import errors
from service.transport.client import infer_message, outcomes_of
from service.transport.messages import (
    Cancel,
    Done,
    Token,
    Unframer,
    column,
    error_of,
    failed,
    frame,
    pack,
    unpack,
    whole_numbers,
)
from service.transport.server import requests_of
from service.types import Sampled
from tests.engine.test_engines import TAGGER, request


def test_arrays_come_out_as_they_went_in():
    arrays = {
        "ids": np.arange(3, dtype=np.int32),
        "characters": np.arange(6, dtype=np.int32).reshape(3, 2)[:, ::-1],
        "probabilities": np.array([0.25, 0.75], np.float32),
        "nothing": np.zeros((0, 4), np.float32),
    }
    back = unpack(pack(arrays))
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


DONE = Done(
    ids=column([1, 2**40], np.int64),
    counts=column([1, 2], np.int64),
    tokens=column([5, 2], np.int64),
    timed=pack({"ids": np.arange(7, dtype=np.int32)}),
    others=pack({"sum": np.arange(3)}),
    queue_seconds=column([0.1, 0.2], np.float64),
    inference_seconds=column([0.3, 0.4], np.float64),
    batch_sizes=column([16, 2], np.int64),
)
MESSAGES = [
    infer_message([(1, request([0, 1, 2, 3, 4]))]),
    infer_message([(3, request([0], [1, 2], further=frozenset({"upos", "xpos"}))), (2**40, request([7] * 50))]),
    Cancel(7),
    Token(2, Sampled(40)),
    Token(2, Sampled(40, -0.5, ((40, -0.5), (41, -1.5)))),
    DONE,
]


def test_requests_come_out_of_their_columns_as_they_went_in():
    asked = [(1, request([5], [6, 7])), (2**40, request([8, 9, 10], seconds=2.0))]
    message = infer_message(asked)
    requests = requests_of(message, 2)
    assert whole_numbers(message.ids) == [1, 2**40]
    assert (requests.model, list(requests.counts)) == (TAGGER, [2, 1])
    for (_, inference), one in zip(asked, requests.each(), strict=True):
        assert one.sequences.lengths.tolist() == inference.sequences.lengths.tolist()
        assert one.sequences.values["ids"].tolist() == inference.sequences.values["ids"].tolist()
        assert one.deadlines[0] == pytest.approx(inference.deadline, abs=0.5)


def test_outcomes_come_out_of_their_columns_as_they_went_in():
    (first, one), (second, other) = outcomes_of(DONE)
    assert (first, second) == (1, 2**40)
    assert one.outputs["ids"].tolist() == [0, 1, 2, 3, 4]
    assert other.outputs["ids"].tolist() == [5, 6]
    assert (one.outputs["sum"].tolist(), other.outputs["sum"].tolist()) == ([0], [1, 2])
    assert (one.queue_seconds, one.inference_seconds, one.batch_size) == (0.1, 0.3, 16)
    assert (other.queue_seconds, other.inference_seconds, other.batch_size) == (0.2, 0.4, 2)


@given(st.lists(st.lists(st.sampled_from(MESSAGES), min_size=1)), st.integers(1, 50))
def test_frames_come_out_whole_however_the_stream_is_cut(batches, step):
    stream = b"".join(map(frame, batches))
    unframer = Unframer()
    received = [m for i in range(0, len(stream), step) for m in unframer.feed(stream[i : i + step])]
    assert received == [message for batch in batches for message in batch]


@pytest.mark.parametrize(
    "error",
    [
        errors.Overloaded("full", 2.5, 400),
        errors.DeadlineExceeded("late", {"queue": 0.5, "inference": 0.25}),
        errors.DeviceFailed("fire"),
        errors.ModelNotFound("none"),
        errors.EngineUnavailable("gone"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_errors_come_out_as_they_went_in(error):
    back = error_of(failed(3, error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    for extra in ("retry_after_seconds", "stages", "waiting"):
        assert getattr(back, extra, None) == getattr(error, extra, None)
