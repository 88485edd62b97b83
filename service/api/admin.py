"""POST /admin/models/{name}: selects the version that serves. Requires an admin key; absent without API keys."""

import asyncio
import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from service.api.openapi import SEND, responses
from service.api.request_schemas import Strict
from service.api.route import JsonRoute
from service.http.context import context_of
from service.paths import ADMIN
from service.store.serving import ServingController
from service.store.serving_config import ModelServing
from service.telemetry.request import current_ids

log = logging.getLogger("tagwerk.server")
router = APIRouter(prefix=ADMIN, route_class=JsonRoute, responses=responses(409, *SEND), tags=["Admin"])


ServingAction = TypeAliasType(
    "ServingAction",
    Annotated[
        Literal["use", "rollback", "canary", "default"], Field(description="A change of the versions that serve.")
    ],
)


class Change(Strict):
    """The change to make, like the commands of `tagwerk models`."""

    action: ServingAction = Field(
        description="use a version or, where none is named, the newest; rollback to the one before; a canary; or "
        "default, which has the model answer the requests for its task that name none.",
        examples=["canary"],
    )
    version: str | None = Field(None, pattern=r"^[0-9]{1,18}$", description="The version.", examples=["3"])
    share: float | None = Field(None, ge=0, le=1, description="Of a canary: its part of the requests.", examples=[0.1])

    @model_validator(mode="after")
    def _fits(self) -> "Change":
        canary = self.action == "canary"
        if canary != (self.share is not None) or (canary and self.version is None):
            raise PydanticCustomError(
                "canary", "Input should be a canary with a version and a share, or another action without a share"
            )
        if self.action in ("rollback", "default") and self.version is not None:
            raise PydanticCustomError("rollback", "Input should be a rollback or a default without a version")
        return self


@router.post(
    "/models/{name}",
    operation_id="change_serving",
    status_code=202,
    response_model=ModelServing,
    summary="Select the version that serves",
)
async def change(name: str, body: Change, request: Request) -> Response:
    """Writes the serving config; the engines apply it at their next poll of the store, after which /models shows it."""
    settings, share = context_of(request).settings, body.share or 0.0
    # In a thread: it reads the store, and blocks while another change is written.
    config = await asyncio.to_thread(lambda: ServingController(settings).change(name, body.action, body.version, share))
    what = " ".join(map(str, body.model_dump(exclude_none=True).values()))
    ids = current_ids.get()
    log.info("%s: %s, by the key %s, request %s", name, what, request.scope["state"]["key"].id, ids.request)
    return JSONResponse(config.model_dump(), 202)
