"""The service as an application of Ray Serve: `serve run tagwerk.service.process.ray_app:build`. Needs the extra `ray`.

Each replica is the service in one process: it answers HTTP, and its own engine batches by length, so it does not
use `@serve.batch`. Options are those of the environment; arguments such as `model_store=/models` override them.
"""

import os
from pathlib import Path
from typing import ClassVar

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig
from ray.util.metrics import Gauge
from starlette.types import ASGIApp

from service.api.app import create_app
from service.engine.loader import loading_order
from service.engine.tensorflow_engine import make_engine
from service.http.context import Context, ProcessGroup
from service.pipelines.catalog import Catalog, Dictionaries
from service.process import memory
from service.security.keys import Authenticator
from service.security.rate_limiter import RateLimiter
from service.settings import Settings, load_settings, variable
from service.store.serving import served
from service.telemetry.metrics import Metrics

ONGOING = 64  # requests that wait or run in a replica, above which there is to be another: enough for full batches
MOST_ONGOING = 1024  # beyond, they wait in Ray Serve's proxies; fewer than the engine's queue holds


class Replica:
    """One replica. Its application is made by `application`."""

    context: ClassVar[Context]
    queue: ClassVar[Gauge]

    async def check_health(self) -> None:
        """Exports the queue's depth as a metric of Ray's, and reads keys that have changed.

        Raises RuntimeError for an engine that does not answer.

        Ray Serve calls it every few seconds, and replaces a replica for which it raises several times.
        """
        (queue,) = self.context.metrics.queue_entries.collect()
        self.queue.set(queue.samples[0].value)
        if self.context.authenticator is not None:
            self.context.authenticator.reload_if_changed()
        if self.context.failure is not None:
            raise RuntimeError("the engine did not start") from self.context.failure
        if self.context.engine.failed.is_set():
            raise RuntimeError("the device has failed")


def application(settings: Settings) -> ASGIApp:
    """Returns the service with an engine in this process."""
    metrics = Metrics()
    catalog = Catalog(Dictionaries(settings, metrics))
    versions, defaults = served(settings)
    names = tuple(sorted(set(defaults.values())))
    engine = make_engine(settings, loading_order(versions, names), metrics, catalog.prepare)
    keys = Path(settings.api_keys_file) if settings.api_keys_file else None
    authenticator = Authenticator(keys, RateLimiter()) if keys is not None else None
    memory.tune()
    Replica.context = context = Context(settings, metrics, engine, catalog, authenticator, ProcessGroup(names))
    Replica.queue = Gauge("tagwerk_queue_entries", "Sequences that wait in a replica.")
    return create_app(context, waits=True)


def build(options: dict[str, str]) -> Application:
    """Returns the application for `serve run`, `serve deploy` and `serve.run`; `options` are settings by their names.

    Raises ConfigurationError.
    """
    os.environ.update({variable(name): str(value) for name, value in options.items()})
    settings = load_settings()

    def make_application() -> ASGIApp:
        return application(settings)

    deployment = serve.deployment(
        serve.ingress(make_application)(Replica),
        name="tagwerk",
        max_ongoing_requests=MOST_ONGOING,
        autoscaling_config=AutoscalingConfig(min_replicas=1, max_replicas=4, target_ongoing_requests=ONGOING),
        graceful_shutdown_timeout_s=settings.drain_timeout_seconds,
        ray_actor_options={"num_cpus": 1},
    )
    return deployment.bind()
