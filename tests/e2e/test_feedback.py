"""Corrections that a service with several processes stores while its processes are killed."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import httpx

from service.store.corrections import Correction, CorrectionFiles
from tagwerk.client import AsyncClient, Unavailable
from tests.conftest import Server, start_server, store_of
from tests.e2e.processes import servers
from tests.e2e.test_processes import ready
from tests.e2e.test_server import wait_until

WRITERS = 16
MORE = 100  # corrections that are stored before and after a process is killed


def both_are_ready(server: Server) -> bool:
    try:
        return ready(server) == 2
    except httpx.TransportError:  # a busy machine, or a process that was killed
        return False


async def write_while_processes_are_killed(server: Server) -> list[str]:
    """Kills each of the processes while clients send corrections; returns the texts of those that were answered."""
    answered: list[str] = []
    stopped = asyncio.Event()

    async def write(client: AsyncClient, number: int) -> None:
        for i in range(10**6):
            if stopped.is_set():
                return
            with suppress(Unavailable):  # its process was killed, as were those of other writers
                await client.feedback(f"{number} {i} " + "a good film " * 50, label="positive")
                answered.append(f"{number} {i}")

    async def more() -> None:
        enough = len(answered) + MORE
        while len(answered) < enough:
            await asyncio.sleep(0.01)

    async with AsyncClient(server.url, timeout_seconds=120) as client, asyncio.TaskGroup() as writers:
        for number in range(WRITERS):
            writers.create_task(write(client, number))
        for pid in servers(server):
            await more()
            os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(wait_until, lambda: both_are_ready(server), 240)
        await more()
        stopped.set()
    return answered


def test_what_was_answered_is_stored_once_processes_are_killed(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    settings = {"TAGWERK_PROCESSES": "2", "TAGWERK_FEEDBACK_DIR": str(tmp_path / "kept")}
    settings["TAGWERK_MODEL_STORE"] = str(store_of(tmp_path / "store", "sentiment-en"))
    with start_server(tmp_path / "log", **settings) as server:
        wait_until(lambda: both_are_ready(server), 240)
        answered = asyncio.run(write_while_processes_are_killed(server))
    found = list(CorrectionFiles(tmp_path / "kept").read("sentiment-en"))
    stored = [" ".join(one.text.split()[:2]) for one in found if isinstance(one, Correction)]
    assert set(answered) <= set(stored)
    assert len(answered) == len(set(answered)) >= 3 * MORE
    assert len(found) - len(stored) <= 2, "a process that is killed leaves one line without an end at most"
