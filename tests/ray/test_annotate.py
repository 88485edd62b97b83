"""`tagwerk annotate --ray`, on clusters of Ray's that run here."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.commands.annotate.command import annotate
from service.commands.annotate.job import Job
from service.commands.annotate.records import read_manifest
from service.commands.annotate.remote import path_of
from service.commands.annotate.rows import UnreadableInput
from service.errors import TagwerkError
from service.settings import load_settings
from tests.conftest import CACHE, STORE

ray = pytest.importorskip("ray", reason="the extra ray is not installed: make ray-test")
FILES, ROWS = 12, 400
pytestmark = pytest.mark.filterwarnings("default")  # Ray's own


@pytest.fixture(scope="module", autouse=True)
def settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGWERK_MODEL_STORE", str(STORE))
        patch.setenv("TAGWERK_XLA_CACHE", str(CACHE))
        yield


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Returns a cluster of three nodes with a core each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for i in range(FILES):
        lines = [f"Film {i} has {'very ' * (j % 40)}good scenes, and scene {j} is the best." for j in range(ROWS)]
        (folder / f"{i}.txt").write_bytes("\n".join(lines).encode() + b"\n\xff\n")
    return folder


def job(corpus: Path | str, output: Path | str, **options: Any) -> Job:
    into = path_of(str(output))
    return Job([path_of(str(corpus))], "classify", "jsonl", into, output_is_folder=True, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_node_is_killed_and_the_output_is_that_of_one_machine(cluster, corpus, tmp_path):
    """Complete, the same to the byte, and nothing twice."""
    node, output = cluster.worker_nodes.copy().pop(), tmp_path / "out"

    def kill() -> None:
        while len(list(output.glob("*.classify.jsonl"))) < 2:
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    assert annotate(load_settings(), job(corpus, output, ray=cluster.address, actors=(3, 3))) == 0
    killer.join(30)
    assert annotate(load_settings(), job(corpus, tmp_path / "here")) == 0
    assert contents(output) == contents(tmp_path / "here")
    assert len([name for name in contents(output) if name.endswith(".classify.jsonl")]) == FILES
    for i in range(FILES):
        made = read_manifest(output / f"{i}.txt.classify.jsonl")
        assert made is not None
        assert (made.rows, made.rejected) == (ROWS, 1)


def test_files_in_object_storage_and_a_repeated_run(corpus, tmp_path, monkeypatch, capsys):
    s3fs = pytest.importorskip("s3fs")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    files.mkdir("bucket")
    for path in list(corpus.iterdir())[:4]:
        files.put_file(str(path), f"bucket/in/{path.name}")
    try:
        assert annotate(load_settings(), job("s3://bucket/in", "s3://bucket/out/", ray="", actors=(1, 2))) == 0
        files.invalidate_cache()
        made = [name for name in files.find("bucket/out") if name.endswith(".classify.jsonl")]
        assert len(made) == 4
        rows = [json.loads(line) for line in files.cat_file(made[0]).splitlines()]
        assert [row["line"] for row in rows] == [*range(1, ROWS + 1)]
        before = files.info(made[0])["LastModified"]
        assert annotate(load_settings(), job("s3://bucket/in", "s3://bucket/out/", ray="", actors=(1, 2))) == 0
        files.invalidate_cache()
        assert files.info(made[0])["LastModified"] == before, "what is done is left as it is"
    finally:
        server.stop()
        s3fs.S3FileSystem.clear_instance_cache()


def test_files_that_cannot_be_read_are_left_out(tmp_path, capsys):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_text("Fine.\n")
    (folder / "broken.csv").write_text("a,b\n1,2\n")
    assert annotate(load_settings(), job(folder, tmp_path / "out", ray="", actors=(1, 1))) == 1
    assert "left out: " in capsys.readouterr().err
    assert (tmp_path / "out" / "a.txt.classify.jsonl").exists()
    with pytest.raises(UnreadableInput, match="has no column 'text'"):
        annotate(load_settings(), job(folder, tmp_path / "strict", strict=True, ray="", actors=(1, 1)))


def test_a_cluster_that_is_not_there_is_named(corpus, tmp_path):
    with pytest.raises(TagwerkError, match=r"the Ray cluster at 127\.0\.0\.1:1 cannot be reached: Connection refused"):
        annotate(load_settings(), job(corpus, tmp_path / "out", ray="127.0.0.1:1"))
