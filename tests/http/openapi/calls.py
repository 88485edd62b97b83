"""A call of each route of the OpenAPI document, for clients that are generated from it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx

from service.api.app import create_routes
from service.security.keys import Authenticator
from tests.artifact.test_manifest import write_version
from tests.http.running import running
from tests.http.scene import keyed, made_context

JSON = "application/json"
TEXTS = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["fine", "bad"]}
# By operation: the path's names, and a body. Others have neither.
CALLS: dict[str, tuple[dict[str, str], dict[str, Any] | None]] = {
    "tag": ({}, {"text": ["Dogs bark.", "fine"], "n_best": 2}),
    "classify": ({}, {"text": "A fine film.", "sentences": True}),
    "generate": ({}, {"prompt": "a", "max_tokens": 3, "logprobs": 1, "stop": ["zz"]}),
    "feedback": ({}, {"text": "fine", "tags": [{"token": 0, "upos": "VERB", "feats": "Number=Sing"}]}),
    "get_model": ({"name": "tagger"}, None),
    "get_model_version": ({"name": "tagger", "version": "1"}, None),
    "get_completion_model": ({"name": "lm"}, None),
    "create_completion": ({}, {"model": "lm", "prompt": "a", "max_tokens": 3, "logprobs": 1}),
    "model_metadata": ({"name": "classifier"}, None),
    "model_version_metadata": ({"name": "classifier", "version": "1"}, None),
    "model_ready": ({"name": "classifier"}, None),
    "model_version_ready": ({"name": "classifier", "version": "1"}, None),
    "model_infer": ({"name": "classifier"}, {"inputs": [TEXTS]}),
    "model_version_infer": ({"name": "classifier", "version": "1"}, {"id": "7", "inputs": [TEXTS]}),
    "change_serving": ({"name": "tagger-en"}, {"action": "use", "version": "1"}),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the document, with the names of the schemas of its body and its answer; None without one."""

    id: str
    tag: str
    method: str
    path: str
    status: int
    body: str | None
    answer: str | None
    described: dict[str, Any]

    def call(self) -> tuple[dict[str, str], dict[str, Any] | None]:
        """Returns the names of the path, and the body, of a call."""
        return CALLS.get(self.id, ({}, None))


@cache
def document(with_keys: bool = True) -> dict[str, Any]:
    """Returns the OpenAPI document of a service with or without API keys."""
    context = made_context()
    if with_keys:
        context.authenticator = Mock(Authenticator)
    return create_routes(context).openapi()


def operations() -> list[Operation]:
    """Returns the operations of the document of a service with API keys."""
    return [
        operation_of(method, path, described)
        for path, methods in document()["paths"].items()
        for method, described in methods.items()
    ]


def operation_of(method: str, path: str, described: dict[str, Any]) -> Operation:
    status = next(status for status in described["responses"] if status.startswith("2"))
    body, answer = schema_of(described.get("requestBody", {})), schema_of(described["responses"][status])
    (tag,) = described["tags"]
    return Operation(described["operationId"], tag, method, path, int(status), body, answer, described)


def schema_of(described: dict[str, Any]) -> str | None:
    content = described.get("content", {}).get(JSON)
    return None if content is None else content["schema"]["$ref"].rpartition("/")[2]


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[tuple[httpx.ASGITransport, str]]:
    """Yields the transport to a service with API keys that answers each of the calls, and a key for all of them."""
    authenticator, headers = keyed(folder / "keys.json", "all")
    write_version(folder / "store")
    async with running(authenticator, model_store=folder / "store", feedback_dir=str(folder)) as started:
        yield httpx.ASGITransport(started.app), headers["all"].rpartition(" ")[2]
