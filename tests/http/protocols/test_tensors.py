import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.api.protocols.tensors import read, tensor_of, write
from service.errors import InvalidFields, InvalidInput
from service.settings import Settings
from service.text.interruptible import finish

STRINGS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)
INPUT = st.fixed_dictionaries(
    {"name": st.just("text"), "shape": st.lists(st.integers(-1, 3), max_size=4), "datatype": st.text(max_size=3)}
    | {"datatype": st.sampled_from(["BYTES", "INT32"])},
    optional={
        "data": st.lists(VALUES, max_size=4),
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 12) | VALUES}),
    },
)


@given(st.lists(INPUT, max_size=2), st.binary(max_size=12))
def test_whatever_comes_is_read_or_refused(inputs, data):
    header = json.dumps({"inputs": inputs}).encode()
    try:
        request, texts = read(header + data, str(len(header)), Settings())
    except (InvalidInput, InvalidFields):
        return
    assert [[len(texts)]] == [given.shape for given in request.inputs]


@given(STRINGS, st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=5), st.booleans())
def test_what_is_written_is_read_again(texts, numbers, binary):
    tensors = [tensor_of("text", "BYTES", texts), tensor_of("number", "FP32", numbers)]
    chunks, header_length = finish(write({}, tensors, frozenset({"text", "number"} if binary else ())))
    content = b"".join(chunks)
    assert (header_length is not None) == binary
    end = len(content) if header_length is None else header_length
    text, number = json.loads(content[:end])["outputs"]
    size = text.get("parameters", {}).get("binary_data_size", 0)
    body = json.dumps({"inputs": [text]}).encode()
    assert read(body + content[end : end + size], str(len(body)), Settings())[1] == texts
    found = np.frombuffer(content[end + size :], np.float32).tolist() if binary else number["data"]
    assert found == np.array(numbers, np.float32).tolist()
