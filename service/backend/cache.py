"""Caches XLA's executables on disk, and the tables of words that are computed at a start."""

import hashlib
import io
import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from service.files import lock_file, write_whole
from service.telemetry.metric_files import tensorflow_version
from service.types import ModelKey

log = logging.getLogger("tagwerk.engine")

LEAST_BYTES = 64 * 2**20  # of room for executables
EXECUTABLES, CHECKSUM = "*.pb", ".sha256"  # files of executables, and what their checksums' names end with
MODULE = ".mlir"  # what the name of the file ends with that has a StableHLO module
TABLES = ".npz"  # what the name of the file ends with that has a model's tables
CHECKED = ".checked"  # what the name of the file ends with that says that a model has passed its check
PAUSE_SECONDS = 0.05  # between attempts to lock a model
# By default XLA orders what it compiles for several threads: loops are ready to run beside other operations, and are
# handed to another thread, which takes longer than a small step. And it makes kernels by way of MLIR, in up to 32
# modules: without both, a step is compiled in 0.6 of the time, and takes as long, a classifier's of 16 rows 1.1 times.
XLA_FLAGS = (
    "--xla_cpu_enable_concurrency_optimized_scheduler=false"
    " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)


class ExecutableCache:
    """XLA's executables of a process in a folder that it shares with others.

    Executables are machine code: each processor type and TensorFlow release has a subfolder. Each graph is locked while
    it is compiled: a process takes the first of its models whose graph no other compiles, so that all cores compile
    side by side, and reads from the cache what others have compiled.
    """

    def __init__(self, folder: Path | None) -> None:
        """Without a folder, nothing is cached or locked."""
        self._folder = folder
        self._compiled: set[str] = set()  # graphs of this process, which need no lock any more

    @property
    def place(self) -> Path:
        """The subfolder of the executables for this processor and TensorFlow."""
        assert self._folder is not None  # noqa: S101 (checked by the caller)
        kind = hashlib.sha256(f"{_processor()} {tensorflow_version()} {XLA_FLAGS}".encode()).hexdigest()[:16]
        return self._folder.absolute() / kind

    def configure(self) -> None:
        """Configures TensorFlow, which must not have compiled anything yet, to read and write executables.

        A folder that cannot be written, or has no room, is a warning, and nothing is cached. XLA's flags of the
        environment stand behind XLA_FLAGS, and outdo them.
        """
        given = os.environ.get("XLA_FLAGS", "")
        if XLA_FLAGS not in given:
            os.environ["XLA_FLAGS"] = f"{XLA_FLAGS} {given}".strip()
        if self._folder is None:
            return
        place = self.place
        try:
            place.mkdir(parents=True, exist_ok=True)
            self.remove_damaged()
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(bytes(2**20))
            if (left := shutil.disk_usage(place).free) < LEAST_BYTES:
                raise OSError(f"{left} bytes are left at {place}, and {LEAST_BYTES} are needed")
        except OSError as error:
            log.warning("executables are not cached, so that each start compiles them: %s (TAGWERK_XLA_CACHE)", error)
            return
        flags = os.environ.get("TF_XLA_FLAGS", "")
        os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_persistent_cache_directory={place}".strip()

    def remove_damaged(self) -> bool:
        """Removes the executables whose checksum is missing or differs; returns whether there were any.

        TensorFlow would run what is left of them, or fail.
        """
        damaged = [path for path in self.place.glob(EXECUTABLES) if not _is_whole(path)] if self._folder else []
        for path in damaged:
            path.unlink(missing_ok=True)
            path.with_suffix(CHECKSUM).unlink(missing_ok=True)
        if damaged:
            log.warning("cached executables that are damaged, and are compiled again: %d", len(damaged))
        return bool(damaged)

    def record(self) -> None:
        """Writes the checksums of the executables that have none. Called after each compilation.

        TensorFlow names executables by hashes, and renames them once they are complete.
        """
        with suppress(OSError):  # then it is compiled again at the next start
            for path in self.place.glob(EXECUTABLES) if self._folder else ():
                if not path.with_suffix(CHECKSUM).exists():
                    write_whole(path.with_suffix(CHECKSUM), _checksum(path))

    def check_once(self, model: str, check: Callable[[], object]) -> None:
        """Checks a model, unless it passed before on such a processor with this TensorFlow."""
        if self._folder is None or not (passed := self._file_of(model, CHECKED)).exists():
            check()
            if self._folder is not None:
                with suppress(OSError):  # then it is checked again at the next start
                    passed.touch()

    def tables(self, model: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Returns the tables of a model as computed before, on such a processor with this TensorFlow, or computes them.

        The file has a checksum of each table.
        """
        if self._folder is None:
            return compute()
        path = self._file_of(model, TABLES)
        damaged = (ValueError, EOFError, KeyError, BadZipFile)
        with suppress(OSError, *damaged), path.open("rb") as file, np.load(file) as found:
            return {name: found[name] for name in found.files}
        tables: dict[str, Any] = {name: np.asarray(table) for name, table in compute().items()}
        np.savez(content := io.BytesIO(), **tables)
        with suppress(OSError):  # then they are computed again at the next start
            write_whole(path, content.getvalue())
        return tables

    def module(self, key: str, make: Callable[[], str]) -> str:
        """Returns a StableHLO module as made before, on such a processor with this TensorFlow, or makes it.

        The file's first line is the checksum of the rest.
        """
        if self._folder is None:
            return make()
        path = self._file_of(key, MODULE)
        with suppress(OSError, UnicodeDecodeError):
            checksum, _, module = path.read_text().partition("\n")
            if checksum == hashlib.sha256(module.encode()).hexdigest():
                return module
        module = make()
        with suppress(OSError):  # then it is made again at the next start
            write_whole(path, f"{hashlib.sha256(module.encode()).hexdigest()}\n{module}")
        return module

    def _file_of(self, model: str, ending: str) -> Path:
        return self.place / f"{hashlib.sha256(model.encode()).hexdigest()}{ending}"

    @contextmanager
    def first_free(self, graphs: Mapping[ModelKey, str], stopped: Callable[[], bool]) -> Iterator[ModelKey]:
        """Locks the graph of the first of some models that no other process has locked during the block; yields it.

        A graph that this process has compiled is not locked again. Waits while all are locked. Continues without a lock
        once `stopped` returns True, or if files cannot be locked.

        Args:
            graphs: of the models, see `Manifest.graph`.
        """
        with ExitStack() as opened:
            yield (key := self._lock_first(graphs, stopped, opened))
            self._compiled.add(graphs[key])

    def _lock_first(self, graphs: Mapping[ModelKey, str], stopped: Callable[[], bool], opened: ExitStack) -> ModelKey:
        try:
            files = {}
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
                paths = {graph: self._folder / f"{graph}.lock" for graph in graphs.values()}
                files = {graph: opened.enter_context(path.open("w")) for graph, path in paths.items()}
            while files and not stopped():
                for key, graph in graphs.items():
                    if graph in self._compiled or lock_file(files[graph].fileno()):
                        return key
                time.sleep(PAUSE_SECONDS)
        except OSError as error:
            log.warning("models are compiled without a lock: %s", error)
        return next(iter(graphs))


NO_CACHE = ExecutableCache(None)


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_whole(path: Path) -> bool:
    """Returns whether an executable has the checksum that is recorded for it."""
    try:
        return path.with_suffix(CHECKSUM).read_text() == _checksum(path)
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return " ".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
