"""Measures three replicas behind the compose file's proxy while one is killed, frozen or updated.

    python -m loadtests.fleet_faults        needs `haproxy` on the path

`tagwerk.client`s load them. In turn: nothing happens; a replica is killed, and started again; one is frozen (SIGSTOP)
for some seconds; one takes over a new version of the tagger. Each event comes some seconds into its round. No call may
be without an answer.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles

from loadtests.aims import LOST_CALLS, Figure
from loadtests.fleet import PROCESSES, SENTENCES, Round, load_by_clients
from loadtests.processes import processes
from loadtests.rounds import figure, say
from loadtests.servers import Server, Service, free_port, running, start_service
from loadtests.swaps import MODEL, add_version
from loadtests.text import described
from service.settings import load_settings
from service.store.serving import served

CONFIGURATION = Path(__file__).parents[1] / "docker" / "haproxy" / "haproxy.cfg"
REPLICAS = 3
CALLS = 2  # of each client, under way at the same time
EVENT_SECONDS = 4.0  # into a round
FROZEN_SECONDS = 8.0


class Replica:
    """A service of one process with a store of its own, which can be started again at its address."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        for version in served(load_settings())[0]:
            shutil.copytree(version.folder, self.store / version.key.name / version.key.version)
        self._folder = folder
        self._port = str(free_port())
        self.server = self._start()

    def _start(self) -> Service:
        return start_service(
            self._folder,
            TAGWERK_MODEL_STORE=str(self.store),
            TAGWERK_PORT=self._port,
            TAGWERK_PROCESSES="1",
            TAGWERK_MAX_QUEUE_TOKENS="4096",
        )

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._port}"

    def kill(self) -> None:
        """Kills all its processes, and starts it again, as an orchestrator does."""
        self._send(signal.SIGKILL)
        self.server.process.wait()
        self.server = self._start()

    def stop(self) -> None:
        """Stops it."""
        self.server.stop()

    def freeze(self) -> None:
        """Stops all its processes for a while."""
        self._send(signal.SIGSTOP)
        time.sleep(FROZEN_SECONDS)
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        for pid in processes(self.server.process.pid):
            os.kill(pid, number)

    def roll(self) -> None:
        """Gives it a new version of the tagger."""
        add_version(self.store, max(int(path.name) for path in (self.store / MODEL).iterdir()) + 1)


@contextmanager
def fleet() -> Iterator[tuple[Server, list[Replica]]]:
    """Yields the proxy and the replicas behind it, once all are ready."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        replicas = []
        for number in range(REPLICAS):
            place = Path(folder) / str(number)
            place.mkdir()
            replicas.append(replica := Replica(place))
            stack.callback(replica.stop)
            replica.server.wait_until_ready()  # one after the other: each start takes all cores
            say(f"replica {number + 1} of {REPLICAS} is ready")
        addresses = [replica.address for replica in replicas]
        yield stack.enter_context(running(partial(start_proxy, addresses))), replicas


def start_proxy(addresses: Sequence[str], folder: Path) -> Server:
    """Starts HAProxy with the configuration of the compose file, but for the addresses."""
    before, _, template = CONFIGURATION.read_text().partition("    server-template ")
    _, _, options = template.strip().partition(" backend:8000 ")
    options = options.removesuffix(" resolvers containers init-addr none")
    port = free_port()
    servers = [f"    server replica{i} {address} {options}" for i, address in enumerate(addresses, 1)]
    configuration = folder / "haproxy.cfg"
    configuration.write_text(before.replace("bind :8000", f"bind 127.0.0.1:{port}") + "\n".join(servers) + "\n")
    return Server(["haproxy", "-f", str(configuration)], f"127.0.0.1:{port}", "/readyz", None, {}, folder / "log")


def table(rounds: dict[str, list[Round]]) -> str:
    """Returns a row for each event."""
    lines = ["| one of three replicas | sentences/s | p50 s | p99 s | longest s | lost |", "| --- |" + " ---: |" * 5]
    for event, own in rounds.items():
        took = sorted(each for one in own for each in one.seconds)
        rate = figure(median(one.sentences_per_second for one in own))
        numbers = " | ".join(map(figure, (median(took), quantiles(took, n=100)[98], took[-1])))
        lines.append(f"| {event} | {rate} | {numbers} | {sum(one.lost.total() for one in own)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table and the figure; returns 1 where it is missed."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.fleet_faults", description="Faults of a fleet.")
    parser.add_argument("--rounds", type=int, default=2, help="of each event")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a round")
    options = parser.parse_args(arguments)
    with fleet() as (proxy, replicas), ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        events: dict[str, Callable[[], None]] = {
            "nothing happens": lambda: None,
            "is killed and started again": replicas[0].kill,
            f"is frozen for {FROZEN_SECONDS:g} s": replicas[1].freeze,
            "takes over a new version": replicas[2].roll,
        }
        rounds: dict[str, list[Round]] = {event: [] for event in events}
        url = f"http://{proxy.address}"
        load_by_clients(url, pool, 1, 3.0)  # the words are learned, the client processes started
        for _ in range(options.rounds):
            for event, act in events.items():
                timer = threading.Timer(EVENT_SECONDS, act)
                timer.start()
                rounds[event].append(done := load_by_clients(url, pool, CALLS, options.seconds))
                timer.join()
                say(f"{event}: {figure(done.sentences_per_second)} sentences/s, lost {done.lost.total()}")
                for replica in replicas:
                    replica.server.wait_until_ready()
    lost = sum(one.lost.total() for own in rounds.values() for one in own)
    found = Figure("calls without an answer", lost, LOST_CALLS, "all rounds")
    print(f"The load: /tag, {SENTENCES} sentences a call, by the client with its retries; {described()}.\n")
    print(table(rounds), "", found, sep="\n")
    return int(not found.met)


if __name__ == "__main__":
    sys.exit(main())
