"""Files elsewhere: in an S3 server of moto's, in fsspec's memory, and in a file system that does the least."""

import json
import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry as implementations
from moto.server import ThreadedMotoServer
from upath import UPath

from service.__main__ import main
from service.commands.annotate.records import UnusableOutput
from service.commands.annotate.remote import path_of, url_of, working_copy
from service.commands.annotate.rows import UnreadableInput
from tests.commands.annotate import conftest
from tests.commands.annotate.conftest import killed_at, manifest_of

LINES = "".join(f"Text {i}.\n" for i in range(1000))


@pytest.fixture(autouse=True)
def temporary_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class LeastFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """A file system on hosts that does not rename onto a file."""

    protocol = "hdfs"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return urlsplit(str(path)).path.rstrip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        url = urlsplit(path)
        return {"host": url.hostname, "port": url.port}

    def mv(self, path1: str, path2: str, **options: Any) -> None:
        if self.exists(path2):
            raise FileExistsError(path2)
        super().mv(path1, path2, **options)


@pytest.fixture(params=["s3", "hdfs"])
def bucket(request, monkeypatch) -> Iterator[str]:
    """Returns the address of an empty folder."""
    if request.param == "hdfs":
        monkeypatch.setitem(implementations, "hdfs", LeastFileSystem)
        LeastFileSystem.store.clear()
        yield "hdfs://name-node:8020/bucket"
        return
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("server"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    files.mkdir("bucket")
    yield "s3://bucket"
    files.rm("bucket", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


def put(address: str, content: bytes) -> str:
    with fsspec.open(address, "wb") as file:
        file.write(content)
    return address


def names(folder: str) -> list[str]:
    files, path = fsspec.url_to_fs(folder)
    files.invalidate_cache()
    return sorted(name.removeprefix(path).removeprefix("/") for name in files.find(path))


def read(address: str) -> bytes:
    content: bytes = path_of(address).read_bytes()
    return content


def run(*files: str, form: str = "jsonl", output: str | None = None, **options: Any) -> int:
    if output is not None:
        options |= {"output": path_of(output), "output_is_folder": output.endswith("/")}
    return conftest.run(*map(path_of, files), form=form, **options)


def test_a_file_is_annotated_beside_itself(bucket, tmp_path, capsys):
    address = put(f"{bucket}/a.txt", LINES.encode() + b"\xff\n")
    put(f"{address}.classify.jsonl.rejected.jsonl", b"left by a run that was killed, and longer than what it becomes")
    assert run(address) == 0
    assert f"left out 1 bad row, see {address}.classify.jsonl.rejected.jsonl" in capsys.readouterr().err
    assert names(bucket) == [
        "a.txt",
        "a.txt.classify.jsonl",
        "a.txt.classify.jsonl.manifest.json",
        "a.txt.classify.jsonl.rejected.jsonl",
    ]
    assert b"left by" not in read(f"{address}.classify.jsonl.rejected.jsonl")
    path = conftest.write(tmp_path, "a.txt", LINES)
    assert read(f"{address}.classify.jsonl").decode() == conftest.content_of(path), "as of a file here"
    made = manifest_of(path_of(f"{address}.classify.jsonl"))
    assert (made.rows, made.rejected, made.input) == (1000, 1, address)
    assert [path for path in tmp_path.glob("tagwerk-*/**/*") if path.is_file()] == [], "nothing is left here"


def test_folders_and_patterns(bucket):
    for name in ("in/a.txt", "in/more/b.csv", "in/.hidden", "in/more/c.txt"):
        put(f"{bucket}/{name}", b"id,text\n1,Fine.\n" if name.endswith("csv") else b"Fine.\n")
    assert run(f"{bucket}/in", output=f"{bucket}/out/") == 0
    written = [name for name in names(f"{bucket}/out") if name.endswith(".classify.jsonl")]
    assert written == ["a.txt.classify.jsonl", "more/b.csv.classify.jsonl", "more/c.txt.classify.jsonl"]
    assert run(f"{bucket}/in/**/*.txt", output=f"{bucket}/texts/") == 0
    written = [name for name in names(f"{bucket}/texts") if name.endswith(".classify.jsonl")]
    assert [name.rpartition("/")[2] for name in written] == ["a.txt.classify.jsonl", "c.txt.classify.jsonl"]


def test_parquet_from_there_to_here_and_back(bucket, tmp_path):
    pq.write_table(pa.table({"text": ["Fine."] * 700}), tmp_path / "a.parquet", row_group_size=100)
    address = put(f"{bucket}/a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert run(address, form="parquet", output=str(tmp_path / "here.parquet")) == 0
    assert run(str(tmp_path / "a.parquet"), form="parquet", output=f"{bucket}/there/") == 0
    for content in ((tmp_path / "here.parquet").read_bytes(), read(f"{bucket}/there/a.parquet.classify.parquet")):
        assert pq.read_table(BytesIO(content))["label"].to_pylist() == ["good"] * 700


@pytest.mark.parametrize("change", [6, 12, 24])
def test_a_run_goes_on_wherever_it_is_killed(bucket, monkeypatch, change):
    address = put(f"{bucket}/a.txt", LINES.encode())
    with killed_at(change, monkeypatch):
        run(address)
    assert run(address) == 0
    rows = [json.loads(line)["line"] for line in read(f"{address}.classify.jsonl").splitlines()]
    assert rows == [*range(1, 1001)]


def test_an_output_that_could_not_be_copied_is_copied_by_the_next_run(bucket, monkeypatch, capsys):
    def failing(*arguments: object) -> None:
        raise OSError("the network is gone")

    address = put(f"{bucket}/a.txt", LINES.encode())
    with monkeypatch.context() as patch:
        patch.setattr("service.commands.annotate.output.upload", failing)
        with pytest.raises(UnusableOutput, match="cannot be written: the network is gone; the same command copies"):
            run(address)
    assert names(bucket) == ["a.txt"]
    for said in ("resumes after 1000 rows", "is there already"):
        assert run(address) == 0
        assert said in capsys.readouterr().err
    assert len(read(f"{address}.classify.jsonl").splitlines()) == 1000


def test_what_is_not_there_is_named(bucket, capsys):
    with pytest.raises(UnreadableInput, match=f"{bucket}/nowhere.txt cannot be read"):
        run(f"{bucket}/nowhere.txt")
    with pytest.raises(UnreadableInput, match=r"\*\.csv: no file to annotate"):
        run(f"{bucket}/*.csv")
    assert main(["annotate", "unknown://a/b", "--task", "classify"]) == 1
    assert "unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    ["hdfs://node:8020/a/b.txt", "sftp://me@host:22/a", "ssh://me@host/a", "ftp://host/a", "s3://a/b", "memory://a/b"],
)
def test_the_url_of_a_path_has_its_host(url):
    path = cast(Path, UPath(url))  # nothing is connected to
    assert url_of(path) == url
    assert url_of(path / "more") == f"{url}/more"


def test_a_password_is_not_shown():
    assert url_of(cast(Path, UPath("ftp://me:secret@host/a"))) == "ftp://me@host/a"


def test_a_folder_of_another_user_is_not_used(monkeypatch, tmp_path):
    (tmp_path / f"tagwerk-{os.getuid() + 1}").mkdir()
    monkeypatch.setattr("os.getuid", lambda: Path(tmp_path).stat().st_uid + 1)
    with pytest.raises(UnreadableInput, match="belongs to another user: set TMPDIR"):
        working_copy(path_of("memory://a/b"))
