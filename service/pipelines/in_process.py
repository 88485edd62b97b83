"""Runs the pipelines with an engine in this process, for programs that use tagwerk as a library."""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from service.artifact.manifest import ModelVersion
from service.engine.loader import loading_order
from service.errors import ArtifactError
from service.pipelines.catalog import Catalog, Dictionaries
from service.pipelines.classification import ClassifiedText, classify
from service.pipelines.generation import GenerationOptions, generate
from service.pipelines.run import PipelineRun, Resources
from service.pipelines.tagging import TaggedText, tag
from service.settings import Settings, load_settings
from service.store.serving import served
from service.tasks.generation import Text
from service.telemetry.metrics import Metrics
from service.telemetry.request import Timing
from service.types import State

P = ParamSpec("P")
T = TypeVar("T")
UNBOUNDED = ("max_queue_tokens", "max_items", "max_text_characters", "max_generated_tokens")


class AsyncPipelines:
    """Tags, classifies and generates with an engine in this process; see `open_async_pipelines`."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    def run(self, *, in_turns: bool = True) -> PipelineRun:
        """Returns a new run without a deadline. For `in_turns` see `PipelineRun`."""
        return PipelineRun(self.resources, Timing(time.monotonic()), math.inf, in_turns=in_turns)

    async def tag(
        self, texts: str | Sequence[str], *, model: str | None = None, language: str | None = None
    ) -> list[TaggedText]:
        """Splits texts into sentences and tokens, and tags each token; returns a result per text.

        For `language` see `service.pipelines.tagging.tag`. Raises ModelNotFound, InvalidInput.
        """
        _, results = await tag(self.run(), _as_list(texts), model=model, language=language)
        return results

    async def tag_tokens(self, sentences: Sequence[Sequence[str]], *, model: str | None = None) -> list[TaggedText]:
        """Tags sentences given as at least one token each; returns a result per sentence. Raises ModelNotFound."""
        _, results = await tag(self.run(), tokens=sentences, model=model)
        return results

    async def classify(
        self,
        texts: str | Sequence[str],
        *,
        model: str | None = None,
        contributions: bool | str = False,
        sentences: bool = False,
    ) -> list[ClassifiedText]:
        """Classifies texts; returns a result per text.

        With `contributions`, also what each token adds to the label, or to the label named; with `sentences`, also the
        label of each sentence. Raises ModelNotFound, and InvalidInput if the model has no contributions or no such
        label.
        """
        run = self.run()
        _, results = await classify(run, _as_list(texts), model=model, contributions=contributions, sentences=sentences)
        return results

    async def generate(self, /, prompts: str | Sequence[str], **options: Any) -> list[Text]:
        """Continues prompts; returns the texts, prompt by prompt.

        `options` are the other fields of `GenerationOptions`. Raises ModelNotFound, and Pydantic's ValidationError.
        """
        _, results = await generate(self.run(), GenerationOptions(prompt=_as_list(prompts), **options))
        return results


def _blocking(
    method: Callable[Concatenate[AsyncPipelines, P], Awaitable[T]],
) -> Callable[Concatenate["Pipelines", P], T]:
    """Returns a method that blocks until it has the result of an asynchronous one."""

    def call(self: "Pipelines", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._portal.call(partial(method, self._pipelines, *args, **kwargs))

    update_wrapper(call, method)
    return call


class Pipelines:
    """The methods of `AsyncPipelines` without asyncio: each blocks until it has its results. Thread-safe."""

    def __init__(self, pipelines: AsyncPipelines, portal: BlockingPortal) -> None:
        self._pipelines = pipelines
        self._portal = portal

    tag = _blocking(AsyncPipelines.tag)
    tag_tokens = _blocking(AsyncPipelines.tag_tokens)
    classify = _blocking(AsyncPipelines.classify)
    generate = _blocking(AsyncPipelines.generate)


@contextmanager
def open_pipelines(
    model_store: Path | str | None = None, *, tasks: Collection[str] = ("tag", "classify", "generate")
) -> Iterator[Pipelines]:
    """Opens the pipelines of a model store, with an engine and an event loop in threads of this process.

    The options of the service apply, as environment variables; `model_store` overrides TAGWERK_MODEL_STORE. The limits
    on requests do not apply. Only the models for `tasks` are loaded. Raises ConfigurationError, ArtifactError.
    """
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_async_pipelines(model_store, tasks=tasks)) as pipelines,
    ):
        yield Pipelines(pipelines, portal)


@asynccontextmanager
async def open_async_pipelines(
    model_store: Path | str | None = None, *, tasks: Collection[str] = ("tag", "classify", "generate")
) -> AsyncIterator[AsyncPipelines]:
    """Opens the pipelines of a model store in the running event loop; see `open_pipelines`."""
    settings = load_settings()
    if model_store is not None:
        settings = settings.model_copy(update={"model_store": Path(model_store)})
    versions, defaults = await asyncio.to_thread(served, settings)
    versions = [version for version in versions if version.manifest.task in tasks]
    async with start_pipelines(settings, versions, defaults) as pipelines:
        yield pipelines


@asynccontextmanager
async def start_pipelines(
    settings: Settings, versions: Sequence[ModelVersion], defaults: Mapping[str, str]
) -> AsyncIterator[AsyncPipelines]:
    """Starts an engine for model versions in this process; closes it at the end.

    `defaults` has the default model of each task. Raises ConfigurationError, and ArtifactError if a version is refused.
    """
    from service.engine.tensorflow_engine import make_engine

    settings = settings.model_copy(update=dict.fromkeys(UNBOUNDED, sys.maxsize))
    metrics = Metrics()
    catalog = Catalog(Dictionaries(settings, metrics))
    names = set(defaults.values())
    engine = make_engine(settings, loading_order(versions, names), metrics, catalog.prepare)

    def update() -> None:
        catalog.update(replace(state, default=state.key.name in names) for state in engine.models())

    await engine.start(update)
    try:
        for state in engine.models():
            if state.state is not State.READY:
                raise ArtifactError(f"{state.key} is refused: {state.reason}")
        yield AsyncPipelines(Resources(settings, metrics, engine, catalog))
    finally:
        await engine.close()


def _as_list(texts: str | Sequence[str]) -> Sequence[str]:
    return [texts] if isinstance(texts, str) else texts
