"""Triton's own Python client against the real server, and the protocol by hand where the client cannot be wrong."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from service.http.protocols.tensors import HEADER
from tests.conftest import STORE, Server
from tests.http.test_classify import classify
from tests.http.test_generate import generate
from tests.http.test_problems import check
from tests.http.test_tag import tag

TEXTS = ["She didn't see it.", "Dogs bark 🙂."]


@pytest.fixture(scope="module")
def triton_client(server: Server) -> Iterator[triton.InferenceServerClient]:
    made = triton.InferenceServerClient(server.url.removeprefix("http://"))
    yield made
    made.close()


def serving(name: str) -> str:
    """Returns the newest version in the store."""
    return str(max(int(folder.name) for folder in (STORE / name).iterdir()))


def strings(values: list[str], binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput("text", [len(values)], "BYTES")
    tensor.set_data_from_numpy(np.array([value.encode() for value in values], object), binary_data=binary)
    return tensor


def read(array: np.ndarray) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else value for value in array.tolist()]


def test_health_and_metadata(triton_client):
    assert triton_client.is_server_live()
    assert triton_client.is_server_ready()
    assert triton_client.is_model_ready("tagger-en")
    assert triton_client.is_model_ready("tagger-en", serving("tagger-en"))
    assert not triton_client.is_model_ready("nothing")
    assert not triton_client.is_model_ready("tagger-en", "999")
    server = triton_client.get_server_metadata()
    assert (server["name"], server["extensions"]) == ("tagwerk", ["binary_tensor_data"])
    model = triton_client.get_model_metadata("sentiment-en", serving("sentiment-en"))
    assert model["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert model["outputs"][1:] == [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        {"name": "score", "datatype": "FP32", "shape": [-1]},
    ]
    ids = triton_client.get_model_metadata("tagger-en.ids")
    assert [tensor["name"] for tensor in ids["inputs"]] == ["word_ids", "char_ids", "lengths"]
    assert {tensor["name"] for tensor in ids["outputs"]} >= {"upos_id", "upos_probability", "xpos_id", "feats_id"}


@pytest.mark.parametrize("binary", [True, False])
def test_texts_are_tagged(triton_client, client, binary):
    outputs = None if binary else [triton.InferRequestedOutput("sentences", binary_data=False)]
    result = triton_client.infer("tagger-en", [strings(TEXTS, binary)], outputs=outputs, request_id="42")
    found = [json.loads(value) for value in read(result.as_numpy("sentences"))]
    expected = tag(client, text=TEXTS)["results"]
    assert [[t["upos"] for s in r["sentences"] for t in s["tokens"]] for r in found] == [
        [t["upos"] for s in r["sentences"] for t in s["tokens"]] for r in expected
    ]
    response = result.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == (
        "42",
        "tagger-en",
        serving("tagger-en"),
    )


def test_texts_are_classified(triton_client, client):
    wanted = [triton.InferRequestedOutput("probabilities"), triton.InferRequestedOutput("label", binary_data=False)]
    result = triton_client.infer(
        "sentiment-en", [strings(["Good.", "Awful."])], serving("sentiment-en"), outputs=wanted
    )
    expected = classify(client, ["Good.", "Awful."])
    assert read(result.as_numpy("label")) == [answer["label"] for answer in expected]
    probabilities = result.as_numpy("probabilities")
    assert probabilities.dtype == np.float32
    for row, answer in zip(probabilities, expected, strict=True):
        assert np.allclose(row, list(answer["scores"].values()), atol=2e-5)
    every = triton_client.infer("sentiment-en", [strings(["Good.", "Awful."])])
    assert np.allclose(every.as_numpy("score"), [answer["score"] for answer in expected], atol=4e-5)
    assert every.as_numpy("score").dtype == np.float32


def test_texts_are_continued(triton_client, client):
    parameters = {"max_tokens": 20, "seed": 7, "n": 2}
    result = triton_client.infer("lm-shakespeare", [strings(["ROMEO:"])], parameters=parameters)
    expected = generate(client, max_tokens=20, seed=7, n=2)
    assert read(result.as_numpy("text")) == [answer["text"] for answer in expected]
    assert result.as_numpy("seed").tolist() == [7, 8]
    assert result.as_numpy("tokens").tolist() == [20, 20]


def test_token_ids_give_what_the_text_gives(triton_client, client):
    folder = STORE / "sentiment-en" / serving("sentiment-en")
    words = json.loads((folder / "words.json").read_text())["entries"]
    rows = [["a", "very", "good", "film"], ["awful"]]
    assert all(word in words for row in rows for word in row)
    ids = np.zeros((2, 4), np.int32)
    for row, tokens in zip(ids, rows, strict=True):
        row[: len(tokens)] = [words.index(token) + 2 for token in tokens]
    inputs = [triton.InferInput("word_ids", ids.shape, "INT32"), triton.InferInput("lengths", [2], "INT64")]
    inputs[0].set_data_from_numpy(ids)
    inputs[1].set_data_from_numpy(np.array([4, 1], np.int64), binary_data=False)
    probabilities = triton_client.infer("sentiment-en.ids", inputs).as_numpy("probabilities")
    expected = classify(client, [" ".join(row) for row in rows])
    assert np.allclose(probabilities, [list(answer["scores"].values()) for answer in expected], atol=2e-5)


def test_a_tagger_of_ids_gives_a_label_for_each_token(client):
    shape = [2, 3]
    body = {
        "inputs": [
            {"name": "word_ids", "shape": shape, "datatype": "INT32", "data": [[5, 6, 7], [8, 0, 0]]},
            {"name": "char_ids", "shape": [*shape, 12], "datatype": "INT32", "data": [2] * 72},
            {"name": "lengths", "shape": [2], "datatype": "INT32", "data": [3, 1]},
        ]
    }
    response = client.post("/v2/models/tagger-en.ids/infer", json=body)
    outputs = {output["name"]: output for output in response.json()["outputs"]}
    assert outputs["upos_id"]["shape"] == shape
    probabilities = np.reshape(outputs["upos_probability"]["data"], shape)
    assert (probabilities > 0).tolist() == [[True, True, True], [True, False, False]]


def test_an_error_is_raised_with_its_message(triton_client):
    with pytest.raises(InferenceServerException, match=r"no model 'nothing' is loaded; there is: tagger-en, .*\.ids"):
        triton_client.infer("nothing", [strings(["a"])])
    with pytest.raises(
        InferenceServerException, match="no model 'tagger-en/1' is loaded for this; there is: tagger-en/"
    ):
        triton_client.get_model_metadata("tagger-en", "1")
    with pytest.raises(InferenceServerException, match="unknown parameter"):
        triton_client.infer("tagger-en", [strings(["a"])], parameters={"colour": "red"})
    with pytest.raises(InferenceServerException, match="deadline") as caught:
        triton_client.infer("lm-shakespeare", [strings(["a"])], parameters={"max_tokens": 4096}, timeout=50_000)
    assert caught.value.status() == "504"


def tensor(**changes: object) -> dict[str, Any]:
    return {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"], **changes}


@pytest.mark.parametrize(
    ("inputs", "pointer", "allowed"),
    [
        ([], "/inputs", "at least 1 items"),
        ([tensor(name="words")], "/inputs/0/name", "text"),
        ([tensor(), tensor()], "/inputs/1/name", "each input once"),
        ([tensor(shape=[2])], "/inputs/0/shape", "the shape of the data"),
        ([tensor(shape=[0], data=[])], "/inputs/0/shape", "any length but 0"),
        ([tensor(shape=[1, 1])], "/inputs/0/shape", "[-1]"),
        ([tensor(shape=[-1])], "/inputs/0/shape", "the shape of the data"),
        ([tensor(datatype="FP64")], "/inputs/0/datatype", "BYTES, INT32, INT64, FP32"),
        ([tensor(datatype="INT32", data=[1])], "/inputs/0/datatype", "BYTES"),
        ([tensor(data=[1])], "/inputs/0/data", "elements of BYTES"),
        ([tensor(parameters={"binary_data_size": 9})], "/inputs/0/parameters/binary_data_size", "0 to 0"),
        ([tensor(colour=1)], "/inputs/0/colour", "the fields name, shape, datatype, parameters, data"),
    ],
)
def test_a_tensor_that_is_wrong_is_named(client, inputs, pointer, allowed):
    found = check(client.post("/v2/models/tagger-en/infer", json={"inputs": inputs}), 422)
    assert found.errors[0].pointer == pointer
    assert allowed in found.errors[0].allowed
    assert found.error == found.detail


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"word_ids": [[5, 20_000_000, 7]]}, "word_ids from 5 to 20000000"),
        ({"word_ids": [[5, -1, 7]]}, "word_ids from -1 to 7"),
        ({"lengths": [0]}, "lengths from 0 to 0"),
        ({"lengths": [4]}, "lengths from 4 to 4"),
        ({"lengths": [3, 3]}, "the shapes begin with [(1, 3)]"),
        ({"word_ids": [[2**40, 1, 1]]}, "too large"),
        ({"lengths": None}, "lengths is missing"),
    ],
)
def test_ids_that_are_no_tokens_are_refused(client, changes, problem):
    values = {"word_ids": [[5, 6, 7]], "lengths": [3], **changes}
    inputs = [
        {"name": name, "datatype": "INT32", "shape": list(np.shape(data)), "data": data}
        for name, data in values.items()
        if data is not None
    ]
    found = check(client.post("/v2/models/sentiment-en.ids/infer", json={"inputs": inputs}), 422)
    assert problem in found.errors[0].problem


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x01\x00\x00\x00", "cannot be read"),
        (b"\x01\x00", "cannot be read"),
        (b"\x01\x00\x00\x00\xff", "cannot be read"),
        (b"", "for 0 elements"),
    ],
)
def test_bytes_that_are_no_strings_are_refused(client, data, problem):
    given = {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}
    header = json.dumps({"inputs": [given]}).encode()
    url, headers = "/v2/models/tagger-en/infer", {HEADER: str(len(header))}
    assert problem in check(client.post(url, content=header + data, headers=headers), 422).errors[0].problem
    assert "follow" in check(client.post(url, content=header + data + b"more", headers=headers), 422).detail or problem
    assert check(client.post(url, content=header, headers={HEADER: "9999"}), 422).errors[0].pointer.endswith(HEADER)
    assert check(client.post(url, content=b"{"), 400).type.endswith("invalid-json")


def test_a_parameter_that_is_wrong_is_named(client):
    body = {"inputs": [tensor()], "parameters": {"temperature": -1}}
    found = check(client.post("/v2/models/lm-shakespeare/infer", json=body), 422)
    assert found.errors[0].pointer == "/parameters/temperature"
    assert (
        "/parameters/prompt"
        in check(
            client.post("/v2/models/lm-shakespeare/infer", json={**body, "parameters": {"prompt": "a"}}), 422
        ).detail
    )
