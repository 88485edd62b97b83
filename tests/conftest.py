"""What all tests share: the running service, the order of the tests, and skips that count as failures."""

import fcntl
import functools
import gc
import logging
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import hypothesis
import pytest

from service.backend.cache import XLA_FLAGS

os.environ["XLA_FLAGS"] = XLA_FLAGS  # as the service sets it: XLA reads it once in a process
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
ROOT = Path(__file__).parents[1]
STORE = Path(os.environ.get("TAGWERK_MODEL_STORE") or ROOT / "model_store")

# One process and a small grid start sooner; the service is the same.
SMALL = {"TAGWERK_PROCESSES": "1", "TAGWERK_BATCH_SIZES": "1,8", "TAGWERK_SLOTS": "4"}

# All servers compile the same shapes, in this test run and the next: one of them compiles a model, and the others read
# what it has compiled.
CACHE = ROOT / ".cache" / "xla-tests"

# The folders whose tests take longest come first, so that no worker is left with one of them at the end. A worker runs
# all tests of a file, which share what they set up (`--dist loadfile`).
LONGEST = ("e2e", "training", "page", "http", "commands")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# Ports below the range from which the system chooses those of clients.
PORTS = iter(range(20_000 + os.getpid() % 10_000, 32_768))
# A process that takes a port locks the file of its number here. Otherwise two pytest processes could choose the same
# port, since it is free until the service that is to listen there has started.
RESERVED = Path(tempfile.gettempdir()) / f"tagwerk-test-ports-{os.getuid()}"

gc.disable()  # while modules are imported, a fifth of that time; see `pytest_collection_finish`

# httpx reads all certificate authorities for each client, 20 ms of processor time; no test speaks TLS.
ssl.create_default_context = functools.cache(ssl.create_default_context)  # type: ignore[assignment]


# How long an example takes is not what a test is about. Each test run tries the same examples;
# `--hypothesis-profile explore` tries others.
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Restores the level of the service's logger, which commands set."""
    logger = logging.getLogger("tagwerk")
    level = logger.level
    yield
    logger.setLevel(level)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names bytes in a test's id by their argument: both workers must collect equal ids, and gzip writes the time."""
    return argname if isinstance(val, bytes) else None


def folder(nodeid: str) -> str:
    """Returns the folder below `tests` that a test is in, or its file."""
    return nodeid.partition("::")[0].split("/")[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests, longest first."""
    items.sort(key=lambda item: [*LONGEST, folder(item.nodeid)].index(folder(item.nodeid)))


def pytest_collection_finish() -> None:
    """Excludes what is imported and collected from garbage collections: some tests collect often, and it is much."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)  # 700 by default: tests that train make many objects, and few cycles
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return required((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return required((yield))


def required(report: Report) -> Report:
    """Turns a skip into a failure where REQUIRE_ALL is set."""
    if os.environ.get("REQUIRE_ALL") and report.skipped and not hasattr(report, "wasxfail"):
        assert isinstance(report.longrepr, tuple)
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_ALL is set, and this does not run: {report.longrepr[2]}"
    return report


def free_port() -> int:
    """Returns a port at which nothing listens. No other pytest process gets it until this one ends."""
    RESERVED.mkdir(exist_ok=True)
    for port in PORTS:
        reserved = None
        try:
            reserved = os.open(RESERVED / str(port), os.O_WRONLY | os.O_CREAT)
            fcntl.flock(reserved, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until this process ends
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
            return port
        except OSError:
            if reserved is not None:
                os.close(reserved)
    raise OSError("no port is free")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Returns a folder that the first worker to want it fills, for all workers of a test run; nobody may change it."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            make(folder.with_suffix(".partial"))
            folder.with_suffix(".partial").rename(folder)
    return folder


class Server:
    """The real service in a process of its own."""

    def __init__(self, process: subprocess.Popen[str] | subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    def metric(self, name: str) -> float:
        """Returns the sum of the samples that begin with a name."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def wait_until_ready(self) -> None:
        end = time.monotonic() + 240
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        pytest.fail(f"not ready after 240 s: {self.log.read_text()}")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def start_server(
    log: Path, *, program: Sequence[str] = (sys.executable, "-m", "service"), **environment: str
) -> Iterator[Server]:
    """Starts `tagwerk serve` on a free port, and returns once it listens or has ended; ends it for sure."""
    settings = {
        "TAGWERK_MODEL_STORE": str(english_store()),
        "TAGWERK_PORT": "0",
        "TAGWERK_XLA_CACHE": str(CACHE),
        "TAGWERK_DRAIN_DELAY_SECONDS": "0",
        **SMALL,
        **environment,
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [*program, "serve"],
            env={**os.environ, **settings},
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        while (
            not (listening := re.search(r"listening at (http://\S+:\d+)", log.read_text())) and process.poll() is None
        ):
            time.sleep(0.05)
        yield Server(process, listening[1] if listening else "", log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One running service for all tests that only ask it things."""
    folder = tmp_path_factory.mktemp("server")
    settings = {"TAGWERK_MODEL_STORE": str(STORE), "TAGWERK_FEEDBACK_DIR": str(folder / "corrections")}
    with start_server(folder / "log", **settings) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    """Asks the running service."""
    with httpx.Client(base_url=server.url, timeout=60) as made:
        yield made


@pytest.fixture(scope="session")
def tagger_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a store with the English tagger alone, with which a service starts in half of the time."""
    return store_of(tmp_path_factory.mktemp("tagger-store"), "tagger-en")


@functools.cache
def english_store() -> Path:
    """Returns a store with the English models alone, with which a service starts sooner than with all."""
    folder = ROOT / ".cache" / "english-store" / WORKER
    shutil.rmtree(folder, ignore_errors=True)
    return store_of(folder, "lm-shakespeare", "sentiment-en", "tagger-en")


def store_of(folder: Path, *names: str) -> Path:
    """Links some of the committed models into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).symlink_to(STORE / name)
    return folder


@pytest.fixture
def anyio_backend() -> str:
    """Runs asynchronous tests with asyncio."""
    return "asyncio"
