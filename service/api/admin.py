"""POST /admin/models/{name}: which version serves. It is there where keys are asked for, and needs one for admin."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from service.api import problem
from service.api.context import context
from service.api.route import JsonRoute
from service.serving import Choice, Desk

router = APIRouter(prefix="/admin", route_class=JsonRoute, responses=problem.RESPONSES, tags=["Admin"])


class Change(BaseModel):
    """What is to serve, as `tagwerk models` says it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    action: Literal["use", "rollback", "canary"] = Field(
        description="use a version or, where none is named, the newest; rollback to the one before; or a canary.",
        examples=["canary"],
    )
    version: str | None = Field(None, pattern=r"^[0-9]{1,18}$", description="The version.", examples=["3"])
    share: float | None = Field(None, ge=0, le=1, description="Of a canary: its part of the requests.", examples=[0.1])

    @model_validator(mode="after")
    def _fits(self) -> "Change":
        canary = self.action == "canary"
        if canary != (self.share is not None) or (canary and self.version is None):
            raise PydanticCustomError("canary", "A canary, and nothing else, should have a version and a share")
        if self.action == "rollback" and self.version is not None:
            raise PydanticCustomError("rollback", "A rollback should name no version")
        return self


@router.post("/models/{name}", status_code=202, summary="Say which version serves")
async def change(name: str, body: Change, request: Request) -> Choice:
    """Writes the choice; the engines follow at their next look into the store. /models shows when they have."""
    desk = Desk(context(request).settings)
    if body.action == "use":
        return await asyncio.to_thread(desk.use, name, body.version)
    if body.action == "rollback":
        return await asyncio.to_thread(desk.roll_back, name)
    return await asyncio.to_thread(desk.canary, name, body.version or "", body.share or 0.0)
