"""Annotates files on a Ray cluster, through Ray Data: actors, each with an engine, take a file at a time.

A file is annotated by the same code as on one machine, and its output appears when it is complete; so what is made does
not depend on the cluster, and the file of an actor that dies is annotated by another. The models are sent to the
actors; tagwerk with the extra `ray` is installed on each node, and inputs and outputs are where all nodes reach them.
"""

import asyncio
import io
import logging
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import ray
from rich.console import Console

from service.artifact.version import ModelVersion
from service.commands.annotate.annotator import Annotator, Done
from service.commands.annotate.job import Job, input_options
from service.commands.annotate.records import UnusableOutput
from service.commands.annotate.remote import is_remote, path_of, printable, url_of
from service.commands.annotate.rows import UnreadableInput
from service.commands.annotate.source import Source
from service.errors import TagwerkError
from service.settings import Settings
from service.store.loading import load_version

CONNECT_SECONDS = 5.0
Files = dict[str, bytes]  # of a version's folder, by their names


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster of a run, and the resources of each actor.

    Attributes:
        address: of the cluster; "" starts one on this machine.
        actors: the least and the largest number of actors, each of which annotates a file at a time.
        cpus, gpus: those of each actor.
    """

    address: str
    actors: tuple[int, int]
    cpus: float = 1.0
    gpus: float = 0.0


class ClusterError(TagwerkError):
    """A Ray cluster cannot be reached, or has failed."""


class FileAnnotator:
    """An actor: annotates files with an engine of its own, which is started for the first."""

    def __init__(self, settings: Settings, models: Sequence[Any], job: Job, labels: Sequence[str]) -> None:
        """`models` holds the reference to the files of the versions, so that it is not an argument that may be lost."""
        logging.getLogger("tagwerk").setLevel(logging.WARNING)
        self._folder = tempfile.TemporaryDirectory(prefix="tagwerk-models-")
        store = Path(self._folder.name)
        versions: dict[str, Files] = ray.get(models[0])
        loaded = [load_version(_unpacked(store / key, files)) for key, files in versions.items()]
        self._loop = asyncio.new_event_loop()
        here = settings.model_copy(update={"model_store": store})
        self._annotator = Annotator(here, loaded, job, Console(file=io.StringIO()))
        self._options = input_options(job, labels)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Annotates the files of a batch; returns a row for each."""
        found: dict[str, list[Any]] = {key: [] for key in ("number", "unreadable", "unusable", *Done._fields)}
        for number, path, name, target in zip(
            *(batch[key] for key in ("number", "path", "name", "target")), strict=True
        ):
            done, unreadable, unusable = Done(), "", ""
            try:
                source = Source(path_of(str(path)), self._options, PurePath(str(name)))
                done = self._loop.run_until_complete(self._annotator.annotate(source, path_of(str(target))))
            except UnreadableInput as error:
                unreadable = str(error)
            except UnusableOutput as error:
                unusable = str(error)
            row = {"number": int(number), "unreadable": unreadable, "unusable": unusable, **done._asdict()}
            for key, value in row.items():
                found[key].append(value)
        return found


def annotate_on_ray(
    settings: Settings,
    versions: Sequence[ModelVersion],
    job: Job,
    labels: Sequence[str],
    pairs: Sequence[tuple[Source, Path]],
    cluster: Cluster,
    say: Callable[[str], None],
) -> int:
    """Annotates files on a cluster; returns of how many too much is left out.

    Raises UnreadableInput for the only one, or if the job is strict; UnusableOutput.
    """
    if not pairs:
        return 0
    _check_reachable(cluster.address)
    ray.init(address=cluster.address or None, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        models = ray.put({str(version.key): _packed(version.folder) for version in versions})
        least, most = cluster.actors
        files = [
            {"number": i, "path": _place(source.path), "name": printable(str(source.name)), "target": _place(target)}
            for i, (source, target) in enumerate(pairs)
        ]
        annotated = ray.data.from_items(files, override_num_blocks=len(files)).map_batches(
            FileAnnotator,
            fn_constructor_args=(settings, [models], job, labels),
            batch_size=1,
            concurrency=(least, min(most, max(least, len(files)))),
            num_cpus=cluster.cpus,
            num_gpus=cluster.gpus or None,
        )
        return _follow(annotated.iter_rows(), pairs, job, say)
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


def _follow(rows: Any, pairs: Sequence[tuple[Source, Path]], job: Job, say: Callable[[str], None]) -> int:
    """Prints one line per finished file; returns of how many too much is left out: all, or too many rows."""
    began, failed = time.monotonic(), 0
    for number, row in enumerate(rows, 1):
        source, target = pairs[row["number"]]
        if row["unusable"]:
            raise UnusableOutput(row["unusable"])
        if row["unreadable"]:
            if job.strict or len(pairs) == 1:
                raise UnreadableInput(row["unreadable"])
            failed += 1
            say(f"left out: {row['unreadable']}")
            continue
        seconds = (time.monotonic() - began) * (len(pairs) - number) / number
        left = f", {seconds:.0f} s left" if number < len(pairs) else ""
        rejected = f", {row['rejected']} bad rows left out" if row["rejected"] else ""
        failed += row["too_many_rejected"]
        say(f"{number} of {len(pairs)}: {source}: {row['rows']} rows{rejected}, in {target}{left}")
    return failed


def _cause(error: BaseException) -> str:
    """Returns what went wrong in an actor, without Ray's advice and traces."""
    while isinstance(cause := getattr(error, "cause", None) or error.__cause__, BaseException):
        error = cause
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _place(path: Path) -> str:
    """Returns a path as all nodes understand it."""
    return url_of(path if is_remote(path) else path.absolute())


def _packed(folder: Path) -> Files:
    """Returns the files of a version's folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _unpacked(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Writes the files of a version into a folder; returns it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
