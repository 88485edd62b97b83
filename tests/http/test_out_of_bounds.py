"""Numbers, shapes and headers beyond all bounds: each is answered with 4xx and a short text, never with 5xx."""

import json
from typing import Any

import httpx
import pytest

from service.api.protocols.tensors import HEADER
from service.http.representation import MOST_NAMES, qualities
from tests.http.running import post, scene
from tests.http.test_problems import check


def infer(tensor: dict[str, Any], model: str = "classifier", **members: Any) -> httpx.Response:
    given = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["fine"], **tensor}
    return post(f"/v2/models/{model}/infer", json.dumps({"inputs": [given], **members}).encode())


@pytest.mark.parametrize(
    ("tensor", "status", "place", "allowed"),
    [
        ({"shape": [10**400]}, 422, "shape", ""),
        ({"shape": [-(10**400)]}, 422, "shape", ""),
        ({"shape": [1e308]}, 422, "shape/0", ""),
        ({"shape": [True]}, 422, "shape/0", ""),
        ({"shape": [1] * 100_000}, 422, "shape", ""),
        ({"shape": [65_536]}, 422, "shape", ""),
        ({"data": ["fine"] * 65_536}, 413, "data", ""),
        ({"datatype": ""}, 422, "datatype", ""),
        ({"datatype": "bytes"}, 422, "datatype", ""),
        ({"datatype": "F" * 100_000}, 422, "datatype", ""),
        ({"data": [["fine"]]}, 422, "data/0", ""),
        ({"data": [{"a": [1] * 1000}]}, 422, "data/0", ""),
        ({"data": None, "parameters": {"binary_data_size": 10**400}}, 422, "parameters/binary_data_size", ""),
        ({"data": None, "parameters": {"binary_data_size": 1.0}}, 422, "parameters/binary_data_size", ""),
        ({"data": None, "parameters": {"binary_data_size": [1] * 9999}}, 422, "parameters/binary_data_size", ""),
        ({"parameters": {str(n): n for n in range(100)}}, 422, "parameters/0", ""),
        ({"parameters": {"binary_data_sise": 1}}, 422, "parameters/binary_data_sise", ""),
        ({"name": "n" * 100_000}, 422, "name", ""),
        ({"name": "words"}, 422, "name", "'text'"),
        ({"shape": [2]}, 422, "shape", "the number of texts"),
        ({"shape": [0], "data": []}, 422, "data", "at least 1 item"),
        ({"datatype": "INT32", "data": [1]}, 422, "datatype", "'BYTES'"),
        ({"parameters": {"binary_data_size": 9}}, 422, "data", "one of the two"),
        ({"data": None, "parameters": {"binary_data_size": 9}}, 422, "parameters/binary_data_size", "0 to 0"),
        ({"colour": 1}, 422, "colour", "the fields name, shape, datatype, parameters, data"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_tensor_that_is_wrong_is_named(tensor, status, place, allowed):
    response = infer(tensor)
    found = check(response, status)
    assert found.errors[0].pointer == f"/inputs/0/{place}"
    assert allowed in found.errors[0].allowed
    assert found.error == found.detail
    assert len(response.content) < 3000


@pytest.mark.parametrize(
    ("model", "texts", "parameters", "status", "pointer"),
    [
        ("lm", ["a"], {"max_tokens": 10**6}, 413, "/parameters/max_tokens"),
        ("lm", ["a"], {"temperature": -1}, 422, "/parameters/temperature"),
        ("lm", ["a"], {"colour": 1}, 422, "/parameters/colour"),
        ("lm", ["a", "b" * 300_000], {}, 413, "/inputs/0/data/1"),
        ("classifier", ["b" * 300_000], {}, 413, "/inputs/0/data"),
        ("classifier", ["a"], {"text": "b"}, 422, "/parameters/text"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_a_task_refuses_is_named_where_the_protocol_has_it(model, texts, parameters, status, pointer):
    response = infer({"shape": [len(texts)], "data": texts}, model, parameters=parameters)
    found = check(response, status)
    assert found.errors[0].pointer == pointer
    assert found.detail.startswith(f"{pointer}: ")


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"parameters": {"timeout": 10**400}}, "/parameters/timeout"),
        ({"parameters": {"timeout": -(10**400)}}, "/parameters/timeout"),
        ({"parameters": {"timeout": 0}}, "/parameters/timeout"),
        ({"parameters": {"timeout": True}}, "/parameters/timeout"),
        ({"parameters": {"timeout": 1.5}}, "/parameters/timeout"),
        ({"parameters": {"timeout": "1" * 100_000}}, "/parameters/timeout"),
        ({"parameters": {"p" * 100_000: 1}}, "/parameters/" + "p" * 60),
        ({"parameters": {str(n): n for n in range(100)}}, "/parameters"),
        ({"outputs": [{"name": "o" * 100_000}]}, "/outputs/0/name"),
        ({"outputs": [1] * 100_000}, "/outputs"),
        ({"outputs": [{"name": "label"}, {"name": "probabilities"}, {"name": "label"}]}, "/outputs/2/name"),
        ({"outputs": [{"name": "label"}] * 64}, "/outputs/1/name"),
        ({"outputs": [{"name": "label", "parameters": {"classification": 3}}]}, "/outputs/0/parameters/classification"),
        ({"outputs": [{"name": "label", "parameters": {"binary_data": 1}}]}, "/outputs/0/parameters/binary_data"),
        ({"parameters": {"binary_data_output": "yes"}}, "/parameters/binary_data_output"),
        ({"id": "i" * 100_000}, "/id"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_member_beyond_bounds_is_named(members, pointer):
    response = infer({}, **members)
    assert check(response, 422).errors[0].pointer == pointer
    assert len(response.content) < 2000


@pytest.mark.parametrize("name", ["max_tokens", "temperature", "top_k", "top_p", "seed", "n", "prompt"])
@pytest.mark.parametrize("value", [10**400, -(10**400), 1e308])
def test_a_parameter_of_generation_beyond_bounds_is_named(name, value):
    response = infer({}, "lm", parameters={name: value})
    found = check(response, response.status_code)
    assert found.status in (413, 422)
    assert found.errors[0].pointer.endswith(f"/{name}")


@pytest.mark.parametrize(
    ("inputs", "pointer"),
    [
        ([], "/inputs"),
        ([1] * 100_000, "/inputs"),
        ([{}, {}], "/inputs"),
        ([{}], "/inputs/0/name"),
        ("a", "/inputs"),
        (None, "/inputs"),
    ],
)
def test_inputs_that_are_none_are_refused(inputs, pointer):
    found = check(post("/v2/models/classifier/infer", json.dumps({"inputs": inputs}).encode()), 422)
    assert found.errors[0].pointer == pointer


@pytest.mark.parametrize(
    ("data", "size", "shape", "status", "problem"),
    [
        (b"\0\0\0\0" * 5, 20, [5], 200, None),
        (b"\0\0\0\0" * 500_000, 2_000_000, [5], 422, "got [5] for 6 elements"),
        (b"\0\0\0\0" * 500_000, 2_000_000, [500_000], 413, "500000 items"),
        (b"\xff\xff\xff\xff", 4, [1], 422, "cannot be read"),
        (b"\0\0\0", 3, [1], 422, "cannot be read"),
        (b"\x01\0\0\0\xff", 5, [1], 422, "cannot be read"),
        (b"", 0, [0], 422, "got [0]"),
        (b"", 0, [1], 422, "for 0 elements"),
        (b"\x01\0\0\0amore", 5, [1], 422, "4 bytes after the tensors"),
    ],
)
def test_strings_in_bytes_are_those_of_the_shape_or_refused(data, size, shape, status, problem):
    given = {"name": "text", "shape": shape, "datatype": "BYTES", "parameters": {"binary_data_size": size}}
    header = json.dumps({"inputs": [given]}).encode()
    response = post("/v2/models/classifier/infer", header + data, {HEADER: str(len(header))})
    if problem is None:
        assert response.status_code == status
    else:
        assert problem in check(response, status).errors[0].problem


LENGTHS = ["9" * 400, "0" * 400 + "5", "9999", "-1", "+1", "1.0", "1e3", " 5", "", "²"]
TIMEOUTS = ["9" * 400, "0" * 400, "-5", "1e3", "0", "", "²³", "1_000", "soon"]


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        *((HEADER, "/v2/models/classifier/infer", value) for value in LENGTHS),
        *(("X-Request-Timeout-Ms", "/classify", value) for value in TIMEOUTS),
    ],
    ids=lambda value: value[:5],
)
async def test_a_number_in_a_header_beyond_bounds_is_named(name, path, value):
    headers = [(b"content-type", b"application/json"), (name.encode(), value.encode("latin-1"))]
    body = b'{"text": "fine"}' if path == "/classify" else b'{"inputs": []}'
    async with scene() as client:
        refused = await client.post(path, content=body, headers=headers)
    assert check(refused, 422).errors[0].pointer == f"/headers/{name}"


def test_qualities_are_read_from_a_bounded_part_of_a_header():
    assert qualities("gzip;q=0.5, br, *;q=0") == {"gzip": 0.5, "br": 1.0, "*": 0.0}
    assert qualities("a;level=1;q=0.25 , b; Q = 0.5") == {"a": 0.25, "b": 0.5}
    wrong = ["nan", "inf", "-1", "2", "1" * 400, "x", ""]
    assert set(qualities(",".join(f"a{n};q={q}" for n, q in enumerate(wrong))).values()) == {0.0}
    assert len(qualities(",".join(f"a{n};q=0.1" for n in range(15_000)))) == MOST_NAMES


def test_a_long_accept_header_is_answered():
    accept = ",".join(f"a/{n};q=0.{n}" for n in range(2000))
    assert check(post("/classify", b'{"text": "fine"}', {"accept": accept}), 406)
    assert post("/classify", b'{"text": "fine"}', {"accept": "*/*;q=0.1," + accept}).status_code == 200
