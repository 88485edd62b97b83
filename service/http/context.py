"""The service's state as request handlers use it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from fastapi import Request

from service.errors import InvalidInput
from service.http.client_memory import ClientMemory
from service.http.connection.starts import MOST_AT_ONCE, MOST_FIRST, Starts
from service.http.plain_requests import PlainRequests
from service.pipelines.run import PipelineRun, Resources
from service.security.keys import Authenticator, Key, client_of
from service.settings import Settings
from service.store.corrections import CorrectionFiles
from service.telemetry.request import RequestRecorder, Timing
from service.types import ModelState, State


class ProcessGroup:
    """The processes of a service, as one process sees them. This class stands for a service of one process.

    `defaults` names the default models of the tasks; if it is empty, every model is one.
    """

    def __init__(self, defaults: Sequence[str] = ()) -> None:
        self._defaults = frozenset(defaults)

    def offered(self, own: Sequence[ModelState]) -> Sequence[ModelState]:
        """Returns the states of this process's own versions, with their shares of requests."""
        return [replace(state, default=not self._defaults or state.key.name in self._defaults) for state in own]

    def states(self, own: Sequence[ModelState]) -> Sequence[ModelState]:
        """Returns the states of all versions of the service; `own` has the versions that this process offers."""
        return [state if state.state is State.READY else replace(state, share=0.0) for state in own]

    def ready(self, own: bool) -> bool:
        """Returns whether a process of the service is ready; `own` says whether this one is."""
        return own

    def note(self, own: Sequence[ModelState]) -> None:
        """Tells the others which versions this process serves and refuses."""


TIMEOUT_HEADER = "X-Request-Timeout-Ms"
TIMEOUT = TIMEOUT_HEADER.lower().encode()


@dataclass(slots=True)
class Context(Resources):
    """The state shared by all requests: one per app."""

    authenticator: Authenticator | None = None  # None where no API keys are required
    group: ProcessGroup = field(default_factory=ProcessGroup)
    draining: bool = False  # after SIGTERM: not ready, and each response closes its connection
    failure: Exception | None = None  # the error that kept the engine from starting
    loaded: bool = False  # each version is loaded or refused
    surplus: int = 0  # connections that answers are to close, since other processes have fewer
    on_connection_lost: Callable[[], None] = lambda: None  # called when a connection has ended
    corrections: CorrectionFiles | None = field(init=False)  # None where none are stored
    client_memory: ClientMemory = field(init=False)
    recorder: RequestRecorder = field(init=False)
    plain: PlainRequests = field(init=False)
    starts: Starts = field(init=False, default_factory=partial(Starts, MOST_AT_ONCE))  # through the application
    first_requests: Starts = field(init=False, default_factory=partial(Starts, MOST_FIRST))

    def __post_init__(self) -> None:
        Resources.__post_init__(self)  # `super()` does not work in a class with slots
        folder = self.settings.feedback_dir
        self.corrections = CorrectionFiles(Path(folder), create=True) if folder else None
        self.client_memory = ClientMemory(self.settings.max_body_bytes)
        self.recorder = RequestRecorder(self.settings, self.metrics)
        self.plain = PlainRequests(self)
        if self.authenticator is not None:
            self.engine.on_computed = self._charge

    def has_room(self, size: int) -> bool:
        """Returns whether so many bytes more may be held for clients."""
        return self.client_memory.has_room(size)

    def update_models(self) -> None:
        """Offers the versions that are loaded. Called when one has been loaded or refused, or the shares change."""
        own = self.engine.models()
        self.catalog.update(self.group.offered(own))
        self.group.note(own)
        self.note_readiness()

    def _charge(self, client: int, tokens: int) -> None:
        """Counts tokens that the engine has computed for a key, whether its request is answered or not."""
        if tokens and self.authenticator is not None and (key := self.authenticator.charge(client, tokens)) is not None:
            self.metrics.key_tokens.labels(key.id).inc(tokens)

    def admit(self, path: str, headers: Mapping[bytes, bytes], timing: Timing) -> Key | None:
        """Authenticates a request and counts it; returns its API key for `release`, or None if it needs none.

        Raises Unauthorized, Forbidden, RateLimited.
        """
        if self.authenticator is None or (key := self.authenticator.admit(path, headers)) is None:
            return None
        timing.notes["key"] = key.id
        return key

    def release(self, key: Key | None) -> None:
        """Ends a request that was admitted with a key, if any."""
        if self.authenticator is not None and key is not None:
            self.authenticator.release(key)

    def own_ready(self) -> bool:
        """Returns whether this process accepts requests for every valid model."""
        states = {model.state for model in self.engine.models()}
        loaded = State.READY in states and State.STARTING not in states
        return loaded and self.engine.state is State.READY and not self.draining

    def ready(self) -> bool:
        """Returns whether a process of the service accepts requests for every valid model."""
        return not self.draining and self.group.ready(self.own_ready())

    def model_states(self) -> list[ModelState]:
        """Returns the states of all versions of the service, by name, each model's newest first."""
        states = self.group.states(self.group.offered(self.engine.models()))
        return sorted(states, key=lambda state: (state.key.name, -int(state.key.version)))

    def note_readiness(self) -> None:
        """Updates the readiness metric. Called after every change of readiness."""
        self.metrics.ready_processes.set(self.own_ready())


def context_of(request: Request) -> Context:
    """Returns the context of a request. Not injected: that costs 5% of a short request."""
    found: Context = request.scope["state"]["context"]
    return found


def timing_of(request: Request) -> Timing:
    """Returns the timing that the middleware started."""
    timing: Timing = request.scope["state"]["timing"]
    return timing


def headers_of(request: Request) -> dict[bytes, bytes]:
    """Returns the headers by lowercase name. Starlette's lookup scans all of them each time."""
    headers: dict[bytes, bytes] = request.scope["state"]["headers"]
    return headers


def timeout_seconds(request: Request) -> float:
    """Returns the timeout of a request. Raises InvalidInput for an invalid timeout header."""
    return timeout_of(headers_of(request), context_of(request).settings)


def timeout_of(headers: Mapping[bytes, bytes], settings: Settings) -> float:
    """Returns the timeout of a request with these headers. Raises InvalidInput for an invalid timeout header."""
    if (header := headers.get(TIMEOUT)) is None:
        return settings.request_timeout_seconds
    if not (header.isdigit() and int(header[:12]) > 0 and len(header) <= 9):
        place, allowed = f"/headers/{TIMEOUT_HEADER}", "a whole number from 1 to 999999999"
        raise InvalidInput(place, "not a time in milliseconds", allowed)
    return min(settings.request_timeout_seconds, int(header) / 1000)


def pipeline_run(request: Request, timing: Timing | None = None) -> PipelineRun:
    """Returns the pipeline run for a request, or for a line of it, which has its own timing.

    The middleware ends a request's run, the caller a line's run.

    Raises InvalidInput for an invalid timeout header.
    """
    state, own = request.scope["state"], timing or timing_of(request)
    deadline = own.started + timeout_seconds(request)
    run = PipelineRun(context_of(request), own, deadline, client_of(state["key"]), state["body"].hold)
    if timing is None:
        state["run"] = run
    return run
