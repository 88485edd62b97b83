"""Defines every metric of the service, in Prometheus' conventions: base units, bounded labels.

Processes share their metrics through files in the folder that `PROMETHEUS_MULTIPROC_DIR` names; see `metric_files`.
"""

import asyncio
import os
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from service.telemetry.metric_files import ProcessMetrics, SharedMetrics, build_info, observe_all, write_to_record
from service.types import ModelKey

FINE = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
FLUSH_SECONDS = 0.1  # until requests are in metrics and log; a killed process loses those since the last time
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
UNMATCHED = "unmatched"  # the route label of requests that match no route
MultiprocessMode = Literal["livesum", "livemax", "liveall"]  # aggregations over live processes; the last is none
SLOW = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class RanBatch(NamedTuple):
    """A batch that has run: its seconds, its cells, padding included, the padding, and the seconds of each wait."""

    seconds: float
    cells: int
    padding: int
    waits: Sequence[float]


class Metrics:
    """The metrics, in a registry of their own, so that two services in one process do not share values.

    Attributes:
        on_flush: called by `flush`, to add what they count themselves, and to write the log.
    """

    def __init__(self, process: str = "service", record: str | None = None) -> None:
        """`process` is the kind of this process: supervisor or server, or service if it is the only one.

        A process that shares its metrics with others, in a folder that the environment names, writes them to a `record`
        of its own.
        """
        self.registry = CollectorRegistry()
        folder = os.environ.get(SHARED_FOLDER)
        self._shared_folder = Path(folder) if folder is not None and record is not None else None
        if record is None or folder is None:
            self.registry.register(ProcessMetrics({str(os.getpid()): process}))
        else:
            write_to_record(record)
            self._gauge("process_id", "Of this process.", "liveall", "process").labels(process).set(os.getpid())
        self._gauge("build_info", "Versions.", "livemax", *build_info()).labels(**build_info()).set(1)
        self._durations: defaultdict[tuple[str, int], list[float]] = defaultdict(list)  # seconds, by route and status
        self._tokenize_durations: defaultdict[str, list[float]] = defaultdict(list)
        self._texts = Counts[tuple[ModelKey, bool]]()  # all texts, and the texts that are cut
        self.on_flush: list[Callable[[], None]] = []
        self._flushes_soon = False
        self._writing = asyncio.Lock()  # an exposition
        self._next: asyncio.Task[bytes] | None = None  # exposition, which has not begun
        self._batches: defaultdict[tuple[str, int], list[RanBatch]] = defaultdict(list)  # by model and bucket
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        version = ("model", "version")
        self.requests = counter("requests", "Requests answered, by route and status.", "route", "status")
        self.request_duration = histogram("request_duration_seconds", "From receipt to answer.", FINE, "route")
        self.tokenize_duration = histogram("tokenize_duration_seconds", "Tokenizing and encoding.", FINE, "model")
        self.queue_duration = histogram("queue_duration_seconds", "From admission to batch, a sequence.", FINE, "model")
        about = "A batch on the device, copies included."
        self.inference_duration = histogram("inference_duration_seconds", about, FINE, "model", "bucket")
        self.batch_size = histogram("batch_size", "Sequences in a batch.", SIZES, "model")
        self.batch_cells = counter("batch_cells", "Cells [B, T] of batches that ran.", "model")
        about = "Cells of batches that were padding; over batch_cells, the padding waste."
        self.padding_cells = counter("padding_cells", about, "model")
        self.queue_entries = gauge("queue_entries", "Sequences that wait.", "livesum")
        self.queue_tokens = gauge("queue_tokens", "Tokens that wait.", "livesum")
        self.rejected = counter("rejected", "Requests not admitted.", "reason")
        self.expired = counter("expired", "Requests whose deadline passed.")
        self.cancelled = counter("cancelled", "Requests whose client disconnected.")
        self.compilations = counter("compilations", "Executables compiled.", "model")
        self.compilation_duration = histogram("compilation_duration_seconds", "One compilation.", SLOW, "model")
        self.generated_tokens = counter("generated_tokens", "Tokens generated.", "model")
        self.key_tokens = counter("key_tokens", "Tokens of the requests of a key, read and generated.", "key")
        about = "Words that a dictionary has replaced the tags of, or had ignored."
        self.dictionary_words = counter("dictionary_words", about, "model")
        self.slots_in_use = gauge("slots_in_use", "Generation slots that hold a text.", "livesum", "model")
        self.ready_processes = gauge("ready_processes", "Processes that accept requests.", "livesum")
        self.connections = gauge("connections", "Open connections.", "livesum")
        self.restarts = counter("restarts", "Processes that died and were started again.", "process")
        self.model_info = gauge("model_info", "1 for each model version that is loaded.", "livemax", *version)
        self.model_refused = gauge("model_refused", "1 for each version that is refused.", "livemax", *version)
        self.swaps = counter("swaps", "Changes of the versions that are loaded, by how they ended.", "result")
        about = "Loading, checking and compiling a model."
        self.model_load_duration = gauge("model_load_duration_seconds", about, "livemax", *version)
        self.model_texts = counter("model_texts", "Texts, or prompts, that a version has got.", *version)
        about = "Sentences to tag, or texts to classify, that were longer than the version reads at once."
        self.model_cut = counter("model_cut", about, *version)
        self.languages = counter(
            "languages", "Texts to tag whose language was asked for or detected.", "language", "how"
        )
        about = "What a version has read and given, by kind and value."
        self.model_observed = counter("model_observed", about, *version, "kind", "value")
        about = "The share of a value among those of its kind, on the version's own dev split."
        self.model_reference = gauge("model_reference_share", about, "livemax", *version, "kind", "value")

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Counts a completed request, at the next `flush`: batched counts cost a tenth."""
        if not self._flushes_soon:
            self._flush_soon()
        self._durations[route, status].append(seconds)

    def tokenized(self, model: ModelKey, seconds: float, requests: int, texts: int, cut: int) -> None:
        """Records tokenizing and encoding of requests, together, at the next `flush`; `cut`: see `model_cut`."""
        if not self._flushes_soon:
            self._flush_soon()
        self._tokenize_durations[model.name] += [seconds] * requests
        self._texts[model, False] += texts
        if cut:
            self._texts[model, True] += cut

    def ran(self, model: str, bucket: int, batch: RanBatch) -> None:
        """Records a batch that has run, at the next `flush`."""
        if not self._flushes_soon:
            self._flush_soon()
        self._batches[model, bucket].append(batch)

    def _flush_soon(self) -> None:
        self._flushes_soon = True
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Applies the values recorded since the last call. Called in the event loop, as what records them is."""
        self._flushes_soon = False
        durations, self._durations = self._durations, defaultdict(list)
        tokenize_durations, self._tokenize_durations = self._tokenize_durations, defaultdict(list)
        for (route, status), seconds in durations.items():
            self.requests.labels(route, str(status)).inc(len(seconds))
            observe_all(self.request_duration.labels(route), seconds)
        for model, seconds in tokenize_durations.items():
            observe_all(self.tokenize_duration.labels(model), seconds)
        texts, self._texts = self._texts, Counts()
        for (key, cut), count in texts.items():
            (self.model_cut if cut else self.model_texts).labels(*key).inc(count)
        batches, self._batches = self._batches, defaultdict(list)
        for (model, bucket), some in batches.items():
            observe_all(self.inference_duration.labels(model, str(bucket)), [batch.seconds for batch in some])
            observe_all(self.batch_size.labels(model), [len(batch.waits) for batch in some])
            observe_all(self.queue_duration.labels(model), [wait for batch in some for wait in batch.waits])
            self.batch_cells.labels(model).inc(sum(batch.cells for batch in some))
            self.padding_cells.labels(model).inc(sum(batch.padding for batch in some))
        for add in self.on_flush:
            add()

    async def shared_exposition(self) -> bytes:
        """Returns an exposition that has begun after the call; a thread writes it, in tens of milliseconds.

        One is written at a time. Requests that arrive meanwhile share the next one, however many they are.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._write_next())
        return await asyncio.shield(self._next)

    async def _write_next(self) -> bytes:
        async with self._writing:
            self._next = None
            self.flush()
            return await asyncio.to_thread(self.exposition)

    def exposition(self) -> bytes:
        """Returns the metrics of all processes that share the folder, in Prometheus' text format: those flushed.

        Those of this process if there is no folder any more: a program for cleaning up may have removed it.
        """
        registry = self.registry
        if self._shared_folder is not None and self._shared_folder.is_dir():
            registry = CollectorRegistry()
            registry.register(SharedMetrics(self._shared_folder))
        return generate_latest(registry)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(name, help, labels, namespace="tagwerk", registry=self.registry)

    def _gauge(self, name: str, help: str, mode: MultiprocessMode, *labels: str) -> Gauge:
        """`mode` is how the values of several processes are aggregated."""
        return Gauge(name, help, labels, namespace="tagwerk", registry=self.registry, multiprocess_mode=mode)

    def _histogram(self, name: str, help: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, help, labels, namespace="tagwerk", registry=self.registry, buckets=buckets)
