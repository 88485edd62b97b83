from collections.abc import AsyncIterator

import pytest

from service.engine.engine import Engine
from tests.engine.running import running_engine
from tests.fakes import Device


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
async def made(device: Device, anyio_backend: str) -> AsyncIterator[Engine]:
    """An engine on the device that has loaded its models."""
    async with running_engine(device) as engine:
        yield engine
