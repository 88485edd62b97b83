"""Fetching corpora from a real server on this machine, with ranges, faults and a cut connection."""

import gzip
import hashlib
import re
import resource
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service.errors import ConfigurationError
from training.data import corpora
from training.data.catalogue import CORPORA, Corpus
from training.data.corpora import CorpusError
from training.data.download import DownloadError, File

CONTENT = b"".join(b"line %d of the toy corpus\n" % i for i in range(2000))


class Server(ThreadingHTTPServer):
    """Serves `files` by path; sends at most `cut` bytes of a body; remembers each Range header."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/toy.txt": CONTENT}
        self.cut: int | None = None
        self.ranges = True
        self.seen: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.seen.append(asked)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if asked and self.server.ranges:
            wanted = re.fullmatch(r"bytes=(\d+)-", asked)
            assert wanted is not None
            start = int(wanted[1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self.wfile.write(content[start:][: self.server.cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the toy corpus is downloaded to, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAGWERK_DATA_DIR", raising=False)
    return tmp_path / "data" / "toys"


def offer(monkeypatch: pytest.MonkeyPatch, address: str, *, lines: int | None = None, used: bytes = CONTENT) -> None:
    """Makes `toy` the only corpus."""
    checksum = hashlib.sha256(used).hexdigest()
    file = File(name="toy.txt", address=f"{address}/toy.txt", size=len(CONTENT), sha256=checksum, lines=lines)
    toy = Corpus(title="Toys", folder="toys", licence="MIT", citation="Nobody (2000)", files={"text": file})
    monkeypatch.setattr(corpora, "CORPORA", {"toy": toy})


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_downloads_once(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(monkeypatch, server.address)
    corpora.fetch(["toy"])
    assert names(folder) == ["toy.txt"]
    assert corpora.read("toy", "text").encode() == CONTENT
    assert "toy.txt" in capsys.readouterr().out

    corpora.fetch(["toy"])
    assert len(server.seen) == 1
    assert "already here" in capsys.readouterr().out


def test_goes_on_where_the_connection_broke(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, server.address)
    server.cut = 1000
    with pytest.raises(DownloadError, match="fetch again to go on"):
        corpora.fetch(["toy"])
    assert names(folder) == ["toy.txt.part"]
    assert (folder / "toy.txt.part").read_bytes() == CONTENT[:1000]

    server.cut = None
    corpora.fetch(["toy"])
    assert server.seen == [None, "bytes=1000-"]
    assert corpora.read("toy", "text").encode() == CONTENT
    assert names(folder) == ["toy.txt"]


def test_starts_again_at_a_server_without_ranges(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, server.address)
    folder.mkdir(parents=True)
    (folder / "toy.txt.part").write_bytes(CONTENT[:1000])
    server.ranges = False
    corpora.fetch(["toy"])
    assert corpora.read("toy", "text").encode() == CONTENT


def test_takes_a_part_that_is_complete(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, server.address)
    folder.mkdir(parents=True)
    (folder / "toy.txt.part").write_bytes(CONTENT)
    corpora.fetch(["toy"])
    assert server.seen == []
    assert names(folder) == ["toy.txt"]


def test_a_wrong_checksum_leaves_nothing(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, server.address)
    server.files["/toy.txt"] = CONTENT.replace(b"toy", b"boy")
    with pytest.raises(DownloadError, match="has changed: sha256"):
        corpora.fetch(["toy"])
    assert names(folder) == []


def test_a_missing_address_leaves_nothing(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, server.address)
    server.files.clear()
    with pytest.raises(DownloadError, match=r"toy\.txt answers with status 404"):
        corpora.fetch(["toy"])
    assert names(folder) == []


def test_no_network_is_one_clear_message(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"http://127\.0\.0\.1:9/toy\.txt cannot be downloaded"):
        corpora.fetch(["toy"])
    assert names(folder) == []


def test_a_full_disk_leaves_nothing(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, server.address)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # the disk takes 10 000 bytes a file
    try:
        with pytest.raises(DownloadError, match=r"toy\.txt cannot be written: File too large"):
            corpora.fetch(["toy"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(folder) == []


def test_keeps_only_the_lines_that_are_wanted(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = b"".join(CONTENT.splitlines(keepends=True)[:500])
    offer(monkeypatch, server.address, lines=500, used=used)
    corpora.fetch(["toy"])
    assert corpora.read("toy", "text").encode() == used


@pytest.mark.parametrize("name", ["toy.txt", "toy.txt.gz"])
def test_takes_files_that_are_there_instead(
    name: str, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(monkeypatch, server.address)
    theirs = tmp_path / "theirs" / "toys" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(gzip.compress(CONTENT) if name.endswith(".gz") else CONTENT)
    monkeypatch.setenv("TAGWERK_DATA_DIR", str(tmp_path / "theirs"))
    corpora.fetch(["toy"])
    assert server.seen == []
    assert names(folder) == []
    assert corpora.path("toy", "text") == theirs
    assert corpora.read("toy", "text").encode() == CONTENT


@pytest.mark.parametrize(
    ("name", "content"),
    [("toy.txt", CONTENT[:-1]), ("toy.txt.gz", gzip.compress(CONTENT)[:-20]), ("toy.txt.gz", CONTENT)],
)
def test_refuses_an_altered_file(name: str, content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "http://127.0.0.1:9")
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    with pytest.raises(CorpusError, match=f"{name} is not the published file"):
        corpora.path("toy", "text")


def test_what_is_missing_names_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(CorpusError, match="tagwerk-train fetch toy"):
        corpora.path("toy", "text")
    with pytest.raises(CorpusError, match="no corpus is called 'game'; there are toy"):
        corpora.fetch(["game"])
    monkeypatch.setenv("TAGWERK_DATA_DIR", "nowhere")
    with pytest.raises(ConfigurationError, match="TAGWERK_DATA_DIR=nowhere is not a folder"):
        corpora.path("toy", "text")


def test_what_is_made_by_hand_is_not_downloaded_and_says_how_it_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = File("toy.txt", "https://example.org/toy", 1, "0" * 64, by_hand="the lines of all its files")
    monkeypatch.setattr(corpora, "CORPORA", {"toy": Corpus("Toy", "toy", "CC0", "", {"text": file})})
    corpora.fetch(["toy"])
    assert "is made by hand from https://example.org/toy: the lines of all its files" in capsys.readouterr().out


def test_every_corpus_is_pinned_and_described() -> None:
    for name, corpus in CORPORA.items():
        for source, file in zip(corpora.sources(name), corpus.files.values(), strict=True):
            assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
            assert re.search(r"/(r\d\.\d+|[0-9a-f]{12,40}|\d{8}T\d{6}Z)/|_v\d\.", source.address), (
                "an address names a version"
            )
            assert source.licence == corpus.licence != ""
            assert file.size > 0


def test_the_sources_of_a_part_are_those_of_one_file() -> None:
    assert len(corpora.sources("kjv_sicp")) == 2
    (source,) = corpora.sources("kjv_sicp/sicp")
    assert source.sha256 == CORPORA["kjv_sicp"].files["sicp"].sha256
