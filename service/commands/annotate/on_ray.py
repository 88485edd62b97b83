"""Annotates files on a Ray cluster, through Ray Data: actors, each with an engine, take a file at a time.

A file is annotated by the same code as on one machine, and its output appears when it is complete; so what is made does
not depend on the cluster, and the file of an actor that dies is annotated by another. The models are sent to the
actors; tagwerk with the extra `ray` is installed on each node, and inputs and outputs are where all nodes reach them.
"""

import io
import logging
import socket
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from service.artifact.version import ModelVersion
from service.commands.annotate.annotator import Annotator, Done
from service.commands.annotate.job import Job
from service.commands.annotate.plan import Pairs
from service.commands.annotate.progress import say
from service.commands.annotate.records import UnusableOutput
from service.commands.annotate.remote import is_remote
from service.commands.annotate.source import Source
from service.errors import TagwerkError
from service.settings import Settings
from service.store.loading import load_version

CONNECT_SECONDS = 5.0


class ClusterError(TagwerkError):
    """A Ray cluster cannot be reached, or has failed."""


class FileAnnotator:
    """An actor: annotates files with an engine of its own, which is started for the first."""

    def __init__(self, settings: Settings, models: Sequence[Any], job: Job, pairs: Pairs) -> None:
        """`models` holds the reference to the files of the version, so that it is not an argument that may be lost."""
        logging.getLogger("tagwerk").setLevel(logging.WARNING)
        self._folder = tempfile.TemporaryDirectory(prefix="tagwerk-models-")
        key, files = ray.get(models[0])
        store = Path(self._folder.name)
        here = settings.model_copy(update={"model_store": store})
        version = load_version(_unpacked(store / key, files))
        here = settings.model_copy(update={"model_store": store})
        self._annotator = Annotator(here, version, job, Console(file=io.StringIO()))
        self._pairs = pairs

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Annotates the file of a row, which has its number; returns a row that says what came of it."""
        try:
            return {"id": row["id"], "unusable": "", **self._annotator.annotate(*self._pairs[row["id"]])._asdict()}
        except UnusableOutput as error:
            return {"id": row["id"], "unusable": str(error), **Done()._asdict()}


def annotate_on_ray(
    settings: Settings, version: ModelVersion, job: Job, pairs: Pairs, console: Console
) -> Generator[Done, None, None]:
    """Annotates files on a cluster; yields what came of each. Raises ClusterError, UnusableOutput."""
    if not pairs:
        return
    _check_reachable(job.ray or "")
    ray.init(address=job.ray or None, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        models = ray.put((str(version.key), _packed(version.folder)))
        everywhere = [(Source(_absolute(one.path), job, one.name), _absolute(target)) for one, target in pairs]
        (least, most), (cpus, gpus) = job.actors, job.resources
        annotated = ray.data.range(len(pairs), override_num_blocks=len(pairs)).map(
            FileAnnotator,
            fn_constructor_args=(settings, [models], job, everywhere),
            concurrency=(least, min(most, max(least, len(pairs)))),
            num_cpus=cpus,
            num_gpus=gpus or None,
        )
        yield from _followed(annotated.iter_rows(), pairs, console)
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise ClusterError(f"the Ray cluster: {_cause(error)}") from None
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raises ClusterError if nothing listens at the address of a cluster: Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        except OSError as error:
            raise ClusterError(f"the Ray cluster at {address} cannot be reached: {error.strerror or error}") from None


def _followed(rows: Any, pairs: Pairs, console: Console) -> Iterator[Done]:
    """Prints a line for each file that is finished, and yields what came of it."""
    began = time.monotonic()
    for number, row in enumerate(rows, 1):
        source, target = pairs[row.pop("id")]
        if unusable := row.pop("unusable"):
            raise UnusableOutput(unusable)
        done = Done(**row)
        seconds = (time.monotonic() - began) * (len(pairs) - number) / number
        left = f", {seconds:.0f} s left" if number < len(pairs) else ""
        rejected = f", {done.rejected} bad rows left out" if done.rejected else ""
        if not done.unreadable:
            say(console, f"{number} of {len(pairs)}: {source}: {done.rows} rows{rejected}, in {target}{left}")
        yield done


def _cause(error: BaseException) -> str:
    """Returns what went wrong in an actor, without Ray's advice and traces."""
    while isinstance(cause := getattr(error, "cause", None) or error.__cause__, BaseException):
        error = cause
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _absolute(path: Path) -> Path:
    """Returns a path as all nodes understand it."""
    return path if is_remote(path) else path.absolute()


def _packed(folder: Path) -> dict[str, bytes]:
    """Returns the files of a version's folder, by their names."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _unpacked(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Writes the files of a version into a folder; returns it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
