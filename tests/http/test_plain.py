"""A request has the same answer on both ways: as a plain request in the event loop, and through the application."""

import asyncio
import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import Server
from tests.http.running import Service, kept
from tests.http.scene import keyed, without_lemmas
from tests.http.wire import Answer, application, first_answer, post

NAMES: dict[str, list[object]] = {
    "/tag": ["tagger", "tagger/1", "tagger/9", "without-lemmas"],
    "/classify": ["classifier", "classifier/1", "classifier/2"],
}
REAL: dict[str, list[object]] = {"/tag": ["tagger-en", "tagger-fr"], "/classify": ["sentiment-en", "sentiment-en/999"]}
WRONG: list[Any] = [None, True, 7, 1.5, {}, {"a": "b"}, [], [[]], [7], ["fine", None], [[["fine"]]], float("nan")]
Values = tuple[list[Any], list[Any]]  # of a field: those that are right, and others
FLAG: Values = [True, False], [None, 0, "true"]
OPTIONS: dict[str, dict[str, Values]] = {
    "/tag": {
        "language": ([], [None, "en", "EN-us", "fr", "x", 7]),
        "n_best": ([1, 2, 5], [0, 6, -1, True, 1.0, "1", None]),
        "lemmas": FLAG,
        "format": (["json", "conllu", "conllu-chain", None], ["xml", 1]),
    },
    "/classify": {
        "contributions": ([True, False, "good", "positive"], [*FLAG[1], "negative", "", "\ud800", "x" * 200]),
        "sentences": FLAG,
    },
}
OFFSETS: Values = ["code_points", "utf16", "utf8"], ["bytes", "", None, 7]
FINE = [
    "fine",
    "A cat isn't 1 dog! Fine.",
    "Is it 21-7 boxes, BOXES or a cat's cats?",
    "\x7f",
    "\u2028x",
    "😀 é e\u0301",
]
TEXTS = st.one_of(
    st.text(max_size=20), st.sampled_from([*FINE, "", " ", "\t\n", "\ud800", "a\udfff b", "\0", "\u2028"])
)
LONG = st.sampled_from(["a " * 90, "fine! " * 30, "a" * 201, "it is\n\n" * 20])
HEADERS = {
    "Accept": ["*/*", "application/json", "text/x-conllu", "text/html", "text/x-conllu, */*;q=0.1", "*/*;q=0", ""],
    "Accept-Encoding": ["gzip", "gzip;q=0", "*", "identity, gzip;q=0.5", "br"],
    "X-Request-Timeout-Ms": ["60000", "999999999", "0", "-1", "1e3", "soon", "0000000001", "9999999999", ""],
    "X-Request-ID": ["mine", "a b", "\xe9", "x" * 200],
    "Connection": ["close", "keep-alive", "Close", "x"],
    "Origin": ["https://example.org"],
    "Upgrade": ["websocket", "h2c"],
    "Content-Encoding": ["identity", "gzip", "br"],
    "traceparent": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x"],
}
RAW = [
    b"", b" ", b"{", b"{}", b"[]", b"null", b'"fine"', b"7", b"NaN", b"\xff", b'\xef\xbb\xbf{"text":"a"}',
    b'{"text":"a","text":7}', b'{"text":7,"text":"a"}', b'{"text":"a","text":["b","c"]}', b'{"text":"a"} x',
    b'{"text":"a"}\n', b'{"text":"a",}', b'{"text":"a"}{"text":"b"}', b'{"te\\u0078t":"a"}',
    b'{"text":"\\ud83d\\ude00"}', b'{"text":"\\ud83d"}', b'{"text":"a\tb"}', b'{"text":"a\nb"}', b'{"text":"a\x00b"}',
    b'{"text":"\\x41"}', b'{"text":"\\u00e9\\/"}', b'{"text":"a","n_best":1.0}', b'{"text":"a","n_best":2e0}',
    b'{"text":"a","n_best":20e-1}', b'{"text":"a","n_best":01}', b'{"text":"a","n_best":-0}',
    b'{"text":"a","n_best":1' + b"0" * 400 + b"}", b'{"text":"a","lemmas":truE}', b'{"text":"a","\\ud800":1}',
    b'{"text":"a","model":"\\ud800"}', b'{"text":"a","":1}', b"[" * 2000, b'{"text":' * 300, b'{"tokens":[["a",""]]}',
    b'{"tokens":[["a","\xc2\xa0"]]}', b'{"tokens":[["a","\\u001f"]]}', b'{"tokens":[["a"],"b"]}', b"{'text': 'a'}",
    b'/* */{"text":"a"}', b'{"text":"a"/**/}', b'{"text":Infinity}', b'{"text":"\xed\xa0\x80"}',
    b'{"text":["a", "b", "c", "d"]}', b'{"text":["a","b","c","d","e"]}', b'{"text":"\xc0\xaf"}', b'{"text":"a',
    b'{"text"}',
]  # fmt: skip


class Sent(NamedTuple):
    """A request: its path, its headers besides those of the body, and its body."""

    path: str
    headers: list[str]
    body: bytes

    def plain(self) -> bytes:
        """Returns it as it is handled in the event loop, if it is valid at first sight."""
        return post(self.path, self.body, *self.headers)

    def charset(self) -> bytes:
        """Returns it as it is handled by the application."""
        return self.plain().replace(b"application/json", b"application/json; charset=utf-8", 1)

    def chunked(self) -> bytes:
        """Returns it as it is handled by the application."""
        head = post(self.path, b"", *self.headers).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked", 1)
        chunk = b"%x\r\n%b\r\n" % (len(self.body), self.body) if self.body else b""
        return head + chunk + b"0\r\n\r\n"


def bodies(path: str, names: dict[str, list[object]]) -> st.SearchStrategy[bytes]:
    """Returns a strategy for bodies of a path, right and wrong ones."""
    wrong, own = st.sampled_from(WRONG), names[path]
    fields = OPTIONS[path] | {"offsets": OFFSETS, "further": ([], WRONG)}
    fields["model"] = own, [name for some in names.values() for name in some] + ["nobody", "", "/", None, 7, "lm"]
    right = {name: st.sampled_from(values) for name, (values, _) in fields.items() if values}
    options = {name: st.sampled_from([*values, *others]) for name, (values, others) in fields.items()}
    fine = st.lists(st.sampled_from(FINE), min_size=1, max_size=4)
    inputs: list[dict[str, st.SearchStrategy[Any]]] = [
        {"text": st.one_of(TEXTS, st.lists(TEXTS, max_size=5), LONG, wrong)}
    ]
    right_inputs: list[dict[str, st.SearchStrategy[Any]]] = [{"text": st.one_of(st.sampled_from(FINE), fine)}]
    if path == "/tag":
        tokens = st.lists(st.lists(TEXTS, max_size=4), max_size=5)
        inputs += [{"tokens": st.one_of(tokens, wrong, st.just([["a"] * 90]))}, {**inputs[0], "tokens": tokens}, {}]
        right_inputs.append({"tokens": st.lists(fine, min_size=1, max_size=4)})

    def made(
        inputs: list[dict[str, st.SearchStrategy[Any]]], options: dict[str, st.SearchStrategy[Any]]
    ) -> st.SearchStrategy[bytes]:
        some = st.one_of([st.fixed_dictionaries(one, optional=options) for one in inputs])
        return st.builds(written, some, st.booleans())

    any_options = made(inputs, options)
    cut = st.builds(lambda body, end: body[:end], any_options, st.integers(0, 30))
    return st.one_of(made(right_inputs, right), made(inputs, right), any_options, st.sampled_from(RAW), cut)


def written(value: object, escaped: bool) -> bytes:
    return json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")


def requests(names: dict[str, list[object]], keys: list[str]) -> st.SearchStrategy[Sent]:
    """Returns a strategy for requests, with one of the keys if there are any."""
    headers = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in HEADERS.items()})
    lines = st.builds(
        lambda pairs, key: [f"{name}: {value}" for name, value in pairs.items()] + ([key] if key else []),
        st.one_of(st.just({}), headers),
        st.sampled_from(keys or [""]),
    )
    return st.sampled_from(["/tag", "/classify"]).flatmap(
        lambda path: st.builds(Sent, st.just(path), lines, bodies(path, names))
    )


BOUNDS: dict[str, Any] = {"max_items": 4, "max_text_characters": 200, "cors_origins": ("https://example.org",)}
BOUNDS["more"] = [without_lemmas("without-lemmas")]
EVENTS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture(scope="module")
def open_service() -> Iterator[tuple[asyncio.Runner, Service]]:
    """Starts a service without keys."""
    with kept(log_level="warning", **BOUNDS) as made:
        yield made


KEY_NAMES = ("web", "narrow", "boss", "rare")
AUTHORIZATIONS = ["", *KEY_NAMES, "web", "web", "Authorization: Bearer x", "Authorization: Basic x"]


@pytest.fixture(scope="module")
def keyed_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Service, dict[str, str]]]:
    """Starts a service with keys, of which `boss` lacks the scope and `rare` is over its rate."""
    authenticator, headers = keyed(tmp_path_factory.mktemp("keys") / "keys.json", *KEY_NAMES)
    with kept(authenticator, log_level="warning", **BOUNDS) as (runner, service):
        assert runner.run(service.answer(post("/classify", b"{}", headers["rare"]))).status == 422
        yield runner, service, headers


def check_same(running: tuple[asyncio.Runner, Service], sent: Sent, chunked: bool) -> Answer:
    """Sends a request on both ways; returns the answer."""
    runner, service = running
    plain: Answer = runner.run(service.answer(sent.plain()))
    before = service.through_application
    other = runner.run(service.answer(sent.chunked() if chunked else sent.charset()))
    assert service.through_application == before + 1
    assert plain == other
    assert plain.status < 500
    return plain


@settings(max_examples=400, suppress_health_check=EVENTS)
@given(sent=requests(NAMES, []), chunked=st.booleans())
@example(sent=Sent("/tag", [], b'{"text": "fine", "n_best": 2}'), chunked=False)
def test_a_request_has_the_same_answer_on_both_ways(open_service, sent, chunked):
    check_same(open_service, sent, chunked)


@pytest.mark.parametrize("path", ["/tag", "/classify"])
@pytest.mark.parametrize("number", range(len(RAW)))
def test_an_odd_body_has_the_same_answer_on_both_ways(open_service, path, number):
    for chunked in (False, True):
        check_same(open_service, Sent(path, [], RAW[number]), chunked)


@settings(max_examples=200, suppress_health_check=EVENTS)
@given(sent=requests(NAMES, AUTHORIZATIONS), chunked=st.booleans())
def test_a_request_with_a_key_has_the_same_answer_on_both_ways(keyed_service, sent, chunked):
    runner, service, keys = keyed_service
    headers = [keys.get(header, header) for header in sent.headers]
    answer = check_same((runner, service), sent._replace(headers=headers), chunked)
    assert answer.status != 200 or not {"web", "narrow"}.isdisjoint(sent.headers)


@pytest.mark.parametrize(
    ("accept", "coding"), [("gzip", "gzip"), ("br, gzip;q=0.5", "gzip"), ("gzip;q=0", None), ("identity", None)]
)
@pytest.mark.parametrize("closes", [False, True])
def test_a_large_answer_is_the_same_and_compressed_where_the_client_accepts_that(open_service, accept, coding, closes):
    headers = [f"Accept-Encoding: {accept}", *(["Connection: close"] if closes else [])]
    for form in ("json", "conllu"):
        body = json.dumps({"text": "a " * 100, "n_best": 5, "format": form}).encode()
        answer = check_same(open_service, Sent("/tag", headers, body), chunked=False)
        large = answer.header("vary") == "Accept-Encoding, Origin"
        assert large == (form == "json")
        assert answer.header("content-encoding") == (coding if large else None)
        if large and coding:
            assert len(json.loads(gzip.decompress(answer.body))["results"]) == 1
        assert answer.closes == closes == (answer.header("connection") == "close")


@pytest.mark.parametrize("way", [bytes, application])
def test_answers_close_as_many_connections_as_the_process_is_to_give_up(open_service, way):
    runner, service = open_service
    service.context.surplus = 2
    closed = [runner.run(service.answer(way(post("/classify")))).closes for _ in range(3)]
    assert (closed, service.context.surplus) == ([True, True, False], 0)


def over(connection: socket.socket, request: bytes) -> Answer:
    """Returns the answer to a request that is sent over a socket."""
    connection.sendall(request)
    data = b""
    while (found := first_answer(data)) is None:
        more = connection.recv(1_000_000)
        assert more, data
        data += more
    answer, rest = found
    assert not rest
    return answer


SOME_TEXTS = [
    "Dogs bark. The quick brown fox isn't jumping over 3 lazy dogs!",
    "Blorgs snorkled frimly, and the wugs were glipping.",
    "A warm, funny, engaging film. It is too long.",
    "Le chat n'aime pas les chiens.",
]


@settings(max_examples=100, suppress_health_check=EVENTS)
@given(
    sent=requests(REAL, []), chunked=st.booleans(), texts=st.none() | st.lists(st.sampled_from(SOME_TEXTS), min_size=1)
)
@example(sent=Sent("/tag", [], b"{}"), chunked=False, texts=[" ".join(f"w{n}s" for n in range(2000))])
def test_with_real_models_it_has_the_same_answer_on_both_ways(server: Server, sent, chunked, texts):
    """Those give many lemmas, and explain labels."""
    url = httpx.URL(server.url)
    if texts is not None:
        sent = sent._replace(body=written({**options_of(sent.body), "text": texts}, escaped=True))
    found: list[Answer] = []
    for request in (sent.plain(), sent.chunked() if chunked else sent.charset()):
        with socket.create_connection((url.host, url.port or 0), timeout=60) as connection:
            found.append(over(connection, request))
    plain, other = found
    assert plain == other
    assert plain.status < 500


def options_of(body: bytes) -> dict[str, Any]:
    """Returns the fields of a body besides its texts."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return {name: value[name] for name in value if name not in ("text", "tokens")} if isinstance(value, dict) else {}


def test_the_requests_of_these_tests_are_plain(open_service):
    runner, service = open_service
    for path in ("/tag", "/classify"):
        before = service.through_application
        for headers in ([], ["Accept: */*"], ["Connection: close"], ["Accept-Encoding: gzip", "X-Request-ID: mine"]):
            assert runner.run(service.answer(post(path, b'{"text": "fine"}', *headers))).status == 200
        assert service.through_application == before
