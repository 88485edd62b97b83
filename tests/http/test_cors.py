"""Cross-origin requests, as the option allows them."""

import asyncio

import httpx
import pytest

from service.api.app import create_app
from service.api.protocols.tensors import HEADER
from service.engine.engine import Engine
from service.engine.loader import ModelLoading
from service.errors import ConfigurationError
from service.http.context import Context
from service.pipelines.catalog import Catalog
from service.settings import Settings, load_settings
from service.telemetry.metrics import Metrics
from tests.fakes import Device

PAGE = "https://example.org"


def ask(origins: tuple[str, ...], method: str, **headers: str) -> httpx.Response:
    settings, metrics = Settings(cors_origins=origins), Metrics()
    engine = Engine(settings, ModelLoading(settings, [], Device, metrics), metrics)
    app = create_app(Context(settings, metrics, engine, Catalog()))

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await client.request(method, "/livez", headers={"Origin": PAGE, **headers})

    return asyncio.run(send())


def preflight(origins: tuple[str, ...]) -> httpx.Response:
    wishes = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    return ask(origins, "OPTIONS", **wishes)


def test_an_origin_that_is_allowed_may_ask_and_read_the_headers():
    answer = preflight((PAGE, "http://localhost:3000"))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST"
    got = ask((PAGE,), "GET")
    assert got.headers["access-control-allow-origin"] == PAGE
    assert {"Retry-After", HEADER} <= set(got.headers["access-control-expose-headers"].split(", "))
    assert ask(("*",), "GET").headers["access-control-allow-origin"] == "*"


def test_no_other_origin_may():
    assert "access-control-allow-origin" not in preflight(("https://example.com",)).headers
    assert "access-control-allow-origin" not in ask((), "GET").headers


def test_the_option_is_read_as_a_list_and_checked(monkeypatch):
    monkeypatch.setenv("TAGWERK_CORS_ORIGINS", "https://a.org, http://localhost:3000")
    assert load_settings().cors_origins == ("https://a.org", "http://localhost:3000")
    monkeypatch.setenv("TAGWERK_CORS_ORIGINS", "example.org")
    with pytest.raises(ConfigurationError, match="TAGWERK_CORS_ORIGINS"):
        load_settings()
