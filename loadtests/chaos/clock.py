"""Shifts the wall clock of the service's processes alone, which needs no permission to set the machine's."""

import asyncio
import shutil
import struct
import subprocess
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.request import urlopen

from loadtests.chaos.request_counts import RequestCounts
from loadtests.chaos.scenario import Impossible, Scenario, check
from loadtests.chaos.service_under_test import ServiceUnderTest

SOURCE = Path(__file__).with_name("clock.c")
JUMPS = (3600.0, -3600.0, 30 * 86_400.0, 0.0)  # seconds, from the true time
SECONDS = 4.0  # for each


class Clock:
    """A file with an offset of the wall clock, which processes that are started with `environment` read."""

    def __init__(self, folder: Path) -> None:
        self._file, library = folder / "clock", folder / "clock.so"
        self.environment: dict[str, str] = {}
        self._set(0.0)
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            return
        made = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)]
        if subprocess.run(made, capture_output=True).returncode == 0:
            self.environment = {"LD_PRELOAD": str(library), "TAGWERK_CHAOS_CLOCK": str(self._file)}

    def scenario(self) -> Scenario:
        """Returns the scenario."""
        return Scenario(
            "a clock that jumps", "all requests are answered 200, and measured durations do not change", self.jump
        )

    async def jump(self, service: ServiceUnderTest, counts: RequestCounts) -> str:
        """Sets the clock an hour on, an hour back, a month on."""
        if not self.environment:
            raise Impossible("there is no C compiler for the library that shifts the clock")
        before, began = await asyncio.to_thread(service.durations), time.monotonic()
        for seconds in JUMPS:
            self._set(seconds)
            await asyncio.sleep(SECONDS)
            date = await asyncio.to_thread(_date_of_answer, service)
            check(abs(date - time.time() - seconds) < 60, f"the service did not see the jump by {seconds:g} s")
        after, most = await asyncio.to_thread(service.durations), 100 * (time.monotonic() - began)
        for name, value in after.items():
            grown = value - before.get(name, 0.0)
            check(0 <= grown < most, f"{name} grew by {grown:g} s")
        return f"{len(JUMPS)} jumps, the longest of 30 days"

    def _set(self, seconds: float) -> None:
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))


def _date_of_answer(service: ServiceUnderTest) -> float:
    with urlopen(f"http://127.0.0.1:{service.port}/livez", timeout=30) as response:
        return parsedate_to_datetime(response.headers["date"]).timestamp()
