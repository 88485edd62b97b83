"""Builds the web application, and starts and stops the engine with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from service.api import admin, feedback, infer, openapi, status
from service.api.page import routes as page
from service.api.protocols import open_inference, openai, tensors
from service.http import problem
from service.http.context import Context
from service.http.middleware import Dispatcher, RequestContextMiddleware

EXPOSED = (tensors.HEADER, "Retry-After", "Server-Timing", "X-Request-ID")  # headers that pages of CORS origins read
DESCRIPTION = "Part-of-speech tags, sentiment and generated text from small recurrent networks."


def create_app(context: Context, waits: bool = False) -> ASGIApp:
    """Builds the application. Until its engine is ready, /readyz and the tasks answer 503.

    The middleware wraps FastAPI's application, so that most requests can bypass that. If the application `waits`,
    its start ends once the models are loaded, and no connection is accepted before.
    """
    app: ASGIApp = Dispatcher(create_routes(context, waits), context, infer.router.routes)
    if context.settings.cors_origins:  # outermost: a preflight has no key, and a page must be able to read a 401
        methods, origins = ["GET", "HEAD", "POST"], context.settings.cors_origins
        app = CORSMiddleware(app, origins, methods, allow_headers=["*"], expose_headers=EXPOSED)
    return RequestContextMiddleware(app, context)


def create_routes(context: Context, waits: bool = False) -> FastAPI:
    """Builds FastAPI's application: every route, the documentation, and the lifespan. See `create_app`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(start(context))
        watching = asyncio.create_task(context.catalog.watch_dictionaries())
        documented = page.openapi_asset(app)
        if waits:
            await starting
        yield
        await context.engine.close()
        starting.cancel()
        documented.cancel()
        watching.cancel()

    app = FastAPI(
        title="tagwerk",
        version=version("tagwerk"),
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,  # `page` has the document, and /docs
        redirect_slashes=False,  # behind a proxy, it would redirect from https to http
        exception_handlers=dict.fromkeys((*problem.EXPECTED, Exception), problem.answer),
    )
    with_keys = context.authenticator is not None
    routers = [infer.router, feedback.router, status.router, openai.router, open_inference.router, page.router]
    for router in [*routers, admin.router] if with_keys else routers:
        app.include_router(router)
    openapi.install(app, with_keys=with_keys)
    return app


async def start(context: Context) -> None:
    """Starts the engine, and offers its models as they are loaded. An error of its start ends the process."""
    try:
        await context.engine.start(context.update_models)
    except Exception as error:
        context.failure = error
    context.loaded = True
