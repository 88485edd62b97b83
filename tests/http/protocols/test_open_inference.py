"""Triton's own Python client against the real server. What the client cannot do wrong: see test_out_of_bounds.py."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.conftest import STORE, Server
from tests.http.test_classify import classify
from tests.http.test_generate import generate
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


def test_an_error_is_raised_with_its_message(triton_client):
    with pytest.raises(InferenceServerException, match=r"no model 'nothing' is loaded; there is: tagger-"):
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
