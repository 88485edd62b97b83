"""The model store: a disk that fills, and a version that is deleted."""

import asyncio
import json
import resource
import shutil
import signal
import subprocess
from pathlib import Path

from loadtests.chaos.clients import NEIGHBOURS
from loadtests.chaos.processes import MODEL, kill_all
from loadtests.chaos.request_counts import RequestCounts
from loadtests.chaos.scenario import Scenario, check
from loadtests.chaos.service_under_test import ServiceUnderTest

ROOM_BYTES = 1 << 20  # on the disk that fills
POLL_SECONDS = 6.0  # several of the intervals at which the service reads its store


class Store:
    """A copy of a model store, in which the tagger has a second version."""

    def __init__(self, source: Path, folder: Path) -> None:
        shutil.copytree(source, folder)
        self._folder = folder / MODEL
        self._newest = max(int(path.name) for path in self._folder.iterdir() if path.name.isdecimal())
        self._copy(self._newest + 1)

    def scenarios(self) -> list[Scenario]:
        """Returns the scenarios."""
        return [
            Scenario(
                "a disk that fills while a model is copied in",
                "the version before serves, also in processes that start then",
                self.fill,
                frozenset({200, 503}),
                may_lose=NEIGHBOURS,
            ),
            Scenario("a version folder deleted while it serves", "requests go on being answered", self.delete),
        ]

    async def fill(self, service: ServiceUnderTest, counts: RequestCounts) -> str:
        """Copies a version until there is no room: a limit on the size of a file stands for the disk."""
        source, place = self._folder / str(self._newest + 1), self._folder / str(self._newest + 2)
        command = ["cp", "-r", str(source), str(place)]
        copying = await asyncio.to_thread(subprocess.run, command, capture_output=True, preexec_fn=_limit, text=True)
        check(copying.returncode != 0, "the copy fitted after all")
        try:
            await asyncio.sleep(POLL_SECONDS)
            check(set(counts.statuses()) == {200}, f"clients saw {dict(counts.statuses())}")
            seen = await kill_all(service, counts)
        finally:
            shutil.rmtree(place)
        await asyncio.sleep(POLL_SECONDS)
        return f"{copying.stderr.splitlines()[0].rpartition(': ')[2]}; with half a version there: {seen}"

    async def delete(self, service: ServiceUnderTest, counts: RequestCounts) -> str:
        """Deletes the newest version, and puts it back at the end."""
        shutil.rmtree(self._folder / str(self._newest + 1))
        await asyncio.sleep(POLL_SECONDS)
        seen = counts.statuses()[200]
        check(seen, "no request was answered")
        self._copy(self._newest + 1)
        await asyncio.sleep(POLL_SECONDS)
        return f"{counts.statuses()[200]} answered, {seen} of them before it was put back"

    def _copy(self, number: int) -> None:
        scratch = self._folder / f".{number}.partial"
        shutil.copytree(self._folder / str(self._newest), scratch)
        manifest = scratch / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": str(number)}))
        scratch.rename(self._folder / str(number))


def _limit() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, ROOM_BYTES))
