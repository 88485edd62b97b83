import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import errors
from service.engine.messages import Cancel, Done, Infer, Token, Unframer, error_of, failed, frame, pack, unpack
from service.engine.protocol import Sampled


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


MESSAGES = [
    Infer(1, "tagger", "1", [pack({"ids": np.arange(5, dtype=np.int32)})], 2.5),
    Infer(3, "tagger", "1", [pack({"ids": np.arange(5, dtype=np.int32)})], 2.5, ("upos", "xpos")),
    Cancel(7),
    Token(2, Sampled(40)),
    Token(2, Sampled(40, -0.5, ((40, -0.5), (41, -1.5)))),
    Done(1, [pack({"ids": np.arange(5, dtype=np.int32)})], 0.1, 0.2, 16),
]


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
