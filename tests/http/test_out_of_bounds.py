"""Numbers, shapes and headers beyond all bounds: each is answered with 4xx and a short text, never with 5xx."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from service.api.protocols.tensors import HEADER
from service.http.representation import MOST_NAMES, qualities
from tests.http.scene import post, scene
from tests.http.test_problems import check


def infer(tensor: dict[str, Any], model: str = "classifier", **members: Any) -> httpx.Response:
    given = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["fine"], **tensor}
    return post(f"/v2/models/{model}/infer", json.dumps({"inputs": [given], **members}).encode())


@pytest.mark.parametrize(
    ("tensor", "status", "pointer"),
    [
        ({"shape": [10**400]}, 422, "/inputs/0/shape"),
        ({"shape": [-(10**400)]}, 422, "/inputs/0/shape"),
        ({"shape": [1e308]}, 422, "/inputs/0/shape/0"),
        ({"shape": [True]}, 422, "/inputs/0/shape/0"),
        ({"shape": [1] * 100_000}, 422, "/inputs/0/shape"),
        ({"shape": [65_536]}, 422, "/inputs/0/shape"),
        ({"data": ["fine"] * 65_536}, 413, "/inputs/0/data"),
        ({"datatype": ""}, 422, "/inputs/0/datatype"),
        ({"datatype": "bytes"}, 422, "/inputs/0/datatype"),
        ({"datatype": "F" * 100_000}, 422, "/inputs/0/datatype"),
        ({"data": [["fine"]]}, 422, "/inputs/0/data/0"),
        ({"data": [{"a": [1] * 1000}]}, 422, "/inputs/0/data/0"),
        ({"data": None, "parameters": {"binary_data_size": 10**400}}, 422, "/inputs/0/parameters/binary_data_size"),
        ({"data": None, "parameters": {"binary_data_size": 1.0}}, 422, "/inputs/0/parameters/binary_data_size"),
        ({"data": None, "parameters": {"binary_data_size": [1] * 9999}}, 422, "/inputs/0/parameters/binary_data_size"),
        ({"parameters": {str(n): n for n in range(100)}}, 422, "/inputs/0/parameters/0"),
        ({"parameters": {"binary_data_sise": 1}}, 422, "/inputs/0/parameters/binary_data_sise"),
        ({"name": "n" * 100_000}, 422, "/inputs/0/name"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_tensor_beyond_bounds_is_named(tensor, status, pointer):
    response = infer(tensor)
    found = check(response, status)
    assert found.errors[0].pointer == pointer
    assert len(response.content) < 3000


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


@pytest.mark.parametrize("name", ["max_tokens", "temperature", "top_k", "top_p", "seed", "n"])
@pytest.mark.parametrize("value", [10**400, -(10**400), 1e308])
def test_a_parameter_of_generation_beyond_bounds_is_named(name, value):
    found = infer({}, "lm", parameters={name: value})
    assert check(found, found.status_code).status in (413, 422)


@pytest.mark.parametrize("inputs", [[], [1] * 100_000, [{}], {"a": 1}, "a", None])
def test_inputs_that_are_none_are_refused(inputs):
    assert check(post("/v2/models/classifier/infer", json.dumps({"inputs": inputs}).encode()), 422).errors


@pytest.mark.parametrize(
    ("data", "shape", "status"),
    [
        (b"\0\0\0\0" * 5, [5], 200),
        (b"\0\0\0\0" * 500_000, [5], 422),
        (b"\0\0\0\0" * 500_000, [500_000], 413),
        (b"\xff\xff\xff\xff", [1], 422),
        (b"\0\0\0", [1], 422),
        (b"", [0], 422),
    ],
)
def test_strings_of_no_length_are_counted_like_others(data, shape, status):
    given = {"name": "text", "shape": shape, "datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}
    header = json.dumps({"inputs": [given]}).encode()
    assert post("/v2/models/classifier/infer", header + data, {HEADER: str(len(header))}).status_code == status


@pytest.mark.parametrize(
    "length", ["9" * 400, "0" * 400 + "5", "-1", "+1", "1.0", "1e3", " 5", "", "²"], ids=lambda length: length[:5]
)
def test_a_length_of_the_json_beyond_bounds_is_named(length):
    content = json.dumps({"inputs": []}).encode()

    async def test() -> httpx.Response:
        async with scene() as client:
            headers = [(b"content-type", b"application/json"), (HEADER.encode(), length.encode("latin-1"))]
            return await client.post("/v2/models/classifier/infer", content=content, headers=headers)

    assert check(asyncio.run(test()), 422).errors[0].pointer == f"/headers/{HEADER}"


@pytest.mark.parametrize("value", ["9" * 400, "0" * 400, "-5", "1e3", "0", "", "²³", "1_000", "soon"])
def test_a_timeout_beyond_bounds_is_named(value):
    async def test() -> httpx.Response:
        async with scene() as client:
            headers = [(b"content-type", b"application/json"), (b"x-request-timeout-ms", value.encode("latin-1"))]
            return await client.post("/classify", content=b'{"text": "fine"}', headers=headers)

    assert check(asyncio.run(test()), 422).errors[0].pointer == "/headers/X-Request-Timeout-Ms"


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
