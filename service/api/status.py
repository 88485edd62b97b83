"""The routes /models, the probes, and /metrics."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from service.api.openapi import ANY, READ, responses
from service.http.context import Context, context_of
from service.http.problem import RETRY_AFTER
from service.pipelines.catalog import not_found
from service.tasks.tagging import Tagging
from service.text.identifier import identifier
from service.types import ModelState, State

router = APIRouter(tags=["Service"])
METRICS = """# HELP tagwerk_requests_total Requests answered, by route and status.
# TYPE tagwerk_requests_total counter
tagwerk_requests_total{route="/tag",status="200"} 1042.0
"""


class ModelSummary(BaseModel):
    """A model version and its state."""

    name: str = Field(description="Name of the model.", examples=["tagger-en"])
    version: str = Field(description="Its version, an ascending number.", examples=["1"])
    state: str = Field(description="starting, ready, or refused.", examples=["ready"])
    reason: str | None = Field(description="Why it is refused; where it is ready, why its changed files are refused.")
    task: str | None = Field(description="Its task: tag, classify or generate.", examples=["tag"])
    description: str | None = Field(description="What it is.", examples=["BiLSTM over words and characters"])
    share: float = Field(
        description="Its share, 0 to 1, of the requests for the model that name no version.", examples=[1.0]
    )
    default: bool = Field(description="Whether it serves requests that name no model.", examples=[True])


class Limits(BaseModel):
    """The largest request that is accepted, and the longest text that is generated."""

    items: int = Field(description="Texts or sentences.", examples=[1024])
    text_characters: int = Field(description="Characters of all texts together.", examples=[200_000])
    body_bytes: int = Field(description="Bytes of the body, decompressed.", examples=[4_194_304])
    generated_tokens: int = Field(description="The largest `max_tokens`.", examples=[4096])


class ModelList(BaseModel):
    """All known model versions, and the limits on requests."""

    models: list[ModelSummary] = Field(description="The versions, by name.")
    limits: Limits = Field(description="What a request may have.")
    feedback: bool = Field(description="Whether POST /feedback stores corrections.", examples=[True])


Manifest = TypeAliasType(
    "Manifest",
    Annotated[dict[str, Any], Field(description="What a model version was made of, its figures, labels and files.")],
)


class ModelDetail(ModelSummary):
    """A model version with its manifest."""

    manifest: Manifest | None = Field(
        description="Its data, figures, labels and files; null where they cannot be read.",
        examples=[{"name": "tagger-en", "version": "1", "task": "tag"}],
    )
    characters: str | None = Field(
        None, description="Of a language model, the characters of its vocabulary; all others are one unknown character."
    )


class Language(BaseModel):
    """A language that texts can be tagged in."""

    language: str = Field(description="Tag of BCP 47.", examples=["en"])
    model: str = Field(description="The tagger that serves it.", examples=["tagger-en"])
    default: bool = Field(description="Whether its tagger serves requests that name neither.", examples=[True])


class LanguageList(BaseModel):
    """The languages that texts can be tagged in, and the languages that can be identified."""

    languages: list[Language] = Field(description="Those that are served.")
    identified: list[str] = Field(description="Those that `auto` tells apart.", examples=[["da", "de", "en", "fr"]])


class Readiness(BaseModel):
    """Whether the service accepts requests, and the state of each model."""

    status: str = Field(description="ready, starting, draining, or no model.", examples=["ready"])
    models: list[ModelSummary] = Field(description="The versions, by name.")


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"] = Field(description="Always alive.", examples=["alive"])


@router.get("/models", operation_id="list_models", summary="All models", responses=responses(*READ))
async def models(request: Request) -> ModelList:
    """Lists every model version in the store and its state, and the limits on requests."""
    context = context_of(request)
    settings = context.settings
    limits = Limits(
        items=settings.max_items,
        text_characters=settings.max_text_characters,
        body_bytes=settings.max_body_bytes,
        generated_tokens=settings.max_generated_tokens,
    )
    states = map(summary, context.model_states())
    return ModelList(models=list(states), limits=limits, feedback=context.corrections is not None)


@router.get("/languages", operation_id="list_languages", summary="Languages", responses=responses(*READ))
async def languages(request: Request) -> LanguageList:
    """Lists the languages of the taggers that are ready, and the languages that texts are identified as."""
    context = context_of(request)
    defaults = {state.key.name for state in context.catalog.states if state.default}
    found = {(task.version.manifest.language, task.version.key.name) for task in context.catalog.all(Tagging)}
    served = [Language(language=tag, model=name, default=name in defaults) for tag, name in sorted(found)]
    return LanguageList(languages=served, identified=sorted(identifier().languages))


@router.get("/models/{name}", operation_id="get_model", summary="One model", responses=responses(404, *READ))
async def model(name: str, request: Request) -> ModelDetail:
    """Describes the version of a model that serves: its state and its manifest."""
    return detail(context_of(request), name)


@router.get(
    "/models/{name}/{version}",
    operation_id="get_model_version",
    summary="One version of a model",
    responses=responses(404, *READ),
)
async def model_version(name: str, version: str, request: Request) -> ModelDetail:
    """Describes a version of a model: its state and its manifest."""
    return detail(context_of(request), name, version)


def detail(context: Context, name: str, version: str | None = None) -> ModelDetail:
    """Describes a version of a model, by default the serving version. Raises ModelNotFound."""
    states = context.model_states()
    keys = [state.key for state in states]
    found = [s for s in states if s.key.name == name and version in (None, s.key.version)]
    if not found:
        requested = name if version is None else f"{name}/{version}"
        names = (key.name if version is None else str(key) for key in keys)
        raise not_found(f"model {requested[:100]!r} is known", names)
    best = max(found, key=lambda state: (state.state is State.READY, state.share))
    described = context.catalog.version(best.key)
    manifest = described.manifest.model_dump(mode="json") if described else None
    characters = None
    if described and described.manifest.task == "generate":
        characters = "".join(described.vocabularies["characters"].entries)
    return ModelDetail(**summary(best).model_dump(), manifest=manifest, characters=characters)


@router.get("/livez", operation_id="liveness", summary="Is the process alive?", responses=responses(*ANY))
async def livez() -> Liveness:
    """Answers while the process is running."""
    return Liveness(status="alive")


READINESS: dict[str, Any] = {
    "response_model": Readiness,
    "responses": {503: {"model": Readiness, "description": "Not ready"}, **responses(*ANY)},
}


@router.get("/readyz", operation_id="readiness", summary="Does it take requests?", **READINESS)
@router.get("/healthz", operation_id="health", summary="The same as /readyz", **READINESS)
async def readyz(request: Request) -> Response:
    """Returns 200 once every valid model is compiled; lists the states of all models."""
    context = context_of(request)
    ready = context.ready()
    states = context.model_states()
    loading = any(model.state is State.STARTING for model in states) or not states
    status = str(State.READY if ready else State.STARTING if loading else "no model")
    if context.draining:
        status = str(State.DRAINING)
    content = Readiness(status=status, models=list(map(summary, states)))
    return JSONResponse(content.model_dump(), 200 if ready else 503, None if ready else RETRY_AFTER)


EXPOSITION: dict[str, Any] = {"content": {"text/plain": {"schema": {"type": "string"}, "example": METRICS}}}


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: EXPOSITION, **responses(*ANY)},
)
async def metrics(request: Request) -> Response:
    """Exposes all metrics in Prometheus' text format."""
    return Response(await context_of(request).metrics.shared_exposition(), media_type=CONTENT_TYPE_LATEST)


def summary(state: ModelState) -> ModelSummary:
    """Describes one version."""
    share = state.share if state.state is State.READY else 0.0
    return ModelSummary(
        name=state.key.name,
        version=state.key.version,
        state=state.state,
        reason=state.reason,
        task=state.task,
        description=state.description,
        share=share,
        default=state.default and share > 0,
    )
