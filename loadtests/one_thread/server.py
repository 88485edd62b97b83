"""Serves HTTP and runs the models in one thread of one process, on one core.

    python -m loadtests.one_thread.server --core 1

Host and port are those of the settings, as of `tagwerk serve`.
"""

import argparse
import os
from pathlib import Path

from loadtests.one_thread.engine import OneThreadEngine
from service.backend.cache import cache_executables
from service.http.context import Context
from service.pipelines.catalog import Catalog
from service.process import garbage_collection
from service.process.api_server import Server
from service.process.listening import open_socket
from service.settings import load_settings
from service.store.loading import load_version
from service.store.registry import newest
from service.telemetry.metrics import Metrics


def main() -> int:
    """Serves until it is stopped by a signal; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.one_thread.server")
    parser.add_argument("--core", type=int, help="the only core that it runs on")
    core = parser.parse_args().core
    if core is not None:
        os.sched_setaffinity(0, {core})
    settings = load_settings()
    if settings.xla_cache:
        cache_executables(Path(settings.xla_cache))
    engine = OneThreadEngine(settings, newest(settings.model_store))
    catalog = Catalog(settings.model_store, read=load_version)
    garbage_collection.tune()
    context = Context(settings, Metrics(), engine, catalog)
    return Server(context).serve_until_stopped(open_socket(settings.host, settings.port))


if __name__ == "__main__":
    raise SystemExit(main())
