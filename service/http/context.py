"""The service's state as request handlers use it."""

from dataclasses import dataclass, field

from fastapi import Request

from service.engine.protocol import Inference, Outcome
from service.errors import InvalidInput, Overloaded
from service.http.body_budget import BodyBudget
from service.http.load_shedding import LoadShedder
from service.http.pacing import PacedRefusals
from service.pipelines.parts import infer_in_parts
from service.pipelines.run import PipelineRun, Resources
from service.security.authenticator import Authenticator
from service.security.keys import Key, client_of
from service.settings import Settings
from service.telemetry.request_record import RequestRecorder
from service.telemetry.timing import Timing
from service.types import State

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
_TIMEOUT = TIMEOUT_HEADER.lower().encode()


@dataclass(slots=True)
class Context(Resources):
    """The state shared by all requests: one per app."""

    authenticator: Authenticator | None = None  # None where no API keys are required
    draining: bool = False  # after SIGTERM: not ready, and each response closes its connection
    failure: Exception | None = None  # the error that kept the engine from starting
    shedder: LoadShedder = field(init=False)
    refusals: PacedRefusals = field(init=False)
    body_budget: BodyBudget = field(init=False)
    recorder: RequestRecorder = field(init=False)

    def __post_init__(self) -> None:
        self.shedder = LoadShedder(self.settings, self.metrics, self.engine.state, lambda: self.catalog.loading)
        self.refusals = PacedRefusals()
        self.body_budget = BodyBudget(self.settings.max_body_bytes)
        self.recorder = RequestRecorder(self.settings, self.metrics)

    async def infer(self, request: Inference) -> Outcome:
        """Runs the sequences of a request, and updates the load shedder with the outcome."""
        limit = self.shedder.limit_of(request.client)
        with limit.sending() as snapshot:
            try:
                outcome = await infer_in_parts(self.engine, request)
            except Overloaded as rejection:
                limit.note_rejection(rejection, len(request.sequences), request.sequences.tokens, snapshot)
                raise
            limit.note_answer(outcome.queue_seconds + outcome.inference_seconds, snapshot)
            return outcome

    def note_tokenized(self, model: str, seconds: float) -> None:
        """Records the duration of tokenizing and encoding."""
        self.recorder.note_tokenized(model, seconds)

    def charge(self, key: Key, timing: Timing) -> None:
        """Counts the tokens of a request, or of a line, that was answered."""
        if (tokens := timing.notes.get("tokens", 0)) and self.authenticator is not None:
            self.authenticator.charge(key, tokens)
            self.metrics.key_tokens.labels(key.id).inc(tokens)

    def ready(self) -> bool:
        """Returns whether requests for every valid model are accepted."""
        states = {model.state for model in self.catalog.states}
        loaded = State.READY in states and State.STARTING not in states
        return loaded and self.engine.state() is State.READY and not self.draining

    def note_readiness(self) -> None:
        """Updates the readiness metric. Called after every change of readiness."""
        self.metrics.ready_workers.set(self.ready())


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


def deadline(request: Request, settings: Settings) -> float:
    """Returns the deadline of a request. Raises InvalidInput for an invalid timeout header."""
    return timing_of(request).started + timeout_seconds(request, settings)


def timeout_seconds(request: Request, settings: Settings) -> float:
    """Returns the timeout of a request. Raises InvalidInput for an invalid timeout header."""
    header = headers_of(request).get(_TIMEOUT)
    if header is None:
        return settings.request_timeout_seconds
    if not (header.isdigit() and int(header[:12]) > 0 and len(header) <= 9):
        raise InvalidInput(
            f"/headers/{TIMEOUT_HEADER}",
            "not a time in milliseconds",
            "a whole number from 1 to 999999999",
        )
    return min(settings.request_timeout_seconds, int(header) / 1000)


def pipeline_run(request: Request) -> PipelineRun:
    """Returns the pipeline run for a request. Raises InvalidInput for an invalid timeout header."""
    resources = context_of(request)
    client = client_of(request.scope["state"].get("key"))
    return PipelineRun(resources, timing_of(request), deadline(request, resources.settings), client)
