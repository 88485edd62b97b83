"""Fetching corpora from a real server on this machine, with faults and a cut connection."""

import gzip
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service.errors import ConfigurationError
from training.data import corpora
from training.data.catalogue import CORPORA, Corpus
from training.data.corpora import CorpusError
from training.data.download import DownloadError, File

CONTENT = b"".join(b"line %d of the toy corpus\n" % i for i in range(2000))
Offer = Callable[..., None]


class Server(ThreadingHTTPServer):
    """Serves `content` at /toy.txt, of a body at most `cut` bytes; counts requests."""

    content: bytes | None = CONTENT
    cut: int | None = None
    requests = 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.server.content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content[: self.server.cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the toy corpus is downloaded to, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAGWERK_DATA_DIR", raising=False)
    return tmp_path / "data" / "toys"


@pytest.fixture
def offer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Makes `toy` the only corpus, at a server or at an address where nothing answers."""

    def offer(server: Server | None = None, *, lines: int | None = None, used: bytes = CONTENT) -> None:
        address = f"http://127.0.0.1:{server.server_port if server else 9}/toy.txt"
        file = File("toy.txt", address, size=len(CONTENT), sha256=hashlib.sha256(used).hexdigest(), lines=lines)
        toy = Corpus(title="Toys", folder="toys", licence="MIT", citation="Nobody (2000)", files={"text": file})
        monkeypatch.setattr(corpora, "CORPORA", {"toy": toy})

    return offer


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_downloads_once(server, folder, offer, capsys):
    offer(server)
    corpora.fetch(["toy"])
    assert names(folder) == ["toy.txt"]
    assert corpora.read("toy", "text").encode() == CONTENT
    corpora.fetch(["toy"])
    assert server.requests == 1
    assert "already here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "cut", "message"),
    [
        (CONTENT, 1000, "toy.txt cannot be downloaded .* fetch again"),
        (CONTENT.replace(b"toy", b"boy"), None, "has changed: sha256"),
        (None, None, r"toy\.txt answers with status 404"),
    ],
)
def test_a_fault_is_one_clear_message_and_leaves_nothing(content, cut, message, server, folder, offer):
    offer(server)
    server.content, server.cut = content, cut
    with pytest.raises(DownloadError, match=message):
        corpora.fetch(["toy"])
    assert names(folder) == []


def test_keeps_only_the_lines_that_are_wanted(server, offer):
    used = b"".join(CONTENT.splitlines(keepends=True)[:500])
    offer(server, lines=500, used=used)
    corpora.fetch(["toy"])
    assert corpora.read("toy", "text").encode() == used


@pytest.mark.parametrize("name", ["toy.txt", "toy.txt.gz"])
def test_takes_files_that_are_there_instead(name, folder, offer, monkeypatch, tmp_path):
    offer()
    theirs = tmp_path / "theirs" / "toys" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(gzip.compress(CONTENT) if name.endswith(".gz") else CONTENT)
    monkeypatch.setenv("TAGWERK_DATA_DIR", str(tmp_path / "theirs"))
    corpora.fetch(["toy"])
    assert names(folder) == []
    assert corpora.path("toy", "text") == theirs
    assert corpora.read("toy", "text").encode() == CONTENT


@pytest.mark.parametrize(
    ("name", "content"),
    [("toy.txt", CONTENT[:-1]), ("toy.txt.gz", gzip.compress(CONTENT)[:-20]), ("toy.txt.gz", CONTENT)],
)
def test_refuses_an_altered_file(name, content, folder, offer):
    offer()
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    with pytest.raises(CorpusError, match=f"{name} is not the published file"):
        corpora.path("toy", "text")


def test_a_missing_corpus_names_the_command_that_fetches_it(offer, monkeypatch):
    offer()
    with pytest.raises(CorpusError, match="tagwerk-train fetch toy"):
        corpora.path("toy", "text")
    with pytest.raises(CorpusError, match="no corpus is called 'game'; there are toy"):
        corpora.fetch(["game"])
    monkeypatch.setenv("TAGWERK_DATA_DIR", "nowhere")
    with pytest.raises(ConfigurationError, match="TAGWERK_DATA_DIR=nowhere is not a folder"):
        corpora.path("toy", "text")


def test_a_file_of_a_corpus_is_known_by_its_content(offer, tmp_path):
    offer()
    content = {"a.txt.gz": gzip.compress(CONTENT), "b.txt": CONTENT[:-1]}
    for name, bytes_ in content.items():
        (tmp_path / name).write_bytes(bytes_)
    known, own = (corpora.source(tmp_path / name, "CC0") for name in content)
    assert (known,) == corpora.sources("toy")
    assert (own.name, own.address, own.licence) == ("b.txt", "b.txt", "CC0")
    assert own.sha256 == hashlib.sha256(CONTENT[:-1]).hexdigest()


def test_every_corpus_is_pinned_and_described():
    for name, corpus in CORPORA.items():
        for source, file in zip(corpora.sources(name), corpus.files.values(), strict=True):
            assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
            pinned = r"/(r\d\.\d+|[0-9a-f]{12,64}|\d{8}T\d{6}Z)/|_v\d\.|part of the project"
            assert re.search(pinned, source.address), "an address names a version"
            assert source.licence == corpus.licence != ""
            assert file.size > 0
