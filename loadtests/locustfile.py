"""Users for Locust: the three endpoints, sentences as long as real ones, limits that fail the run.

    make loadtest                                               half a minute, against a service that it starts
    locust -f loadtests/locustfile.py --host http://127.0.0.1:8000        with the page at http://127.0.0.1:8089
    locust -f loadtests/locustfile.py --host ... --tags tag classify      without texts to generate
    locust -f loadtests/locustfile.py --host ... --processes 4            four processes that send, and one that counts

The sentences are those of `loadtests.text`. A user waits for an answer before the next request, and by default does not
pause in between: so many users are so many requests at the same time.
"""

import argparse
import random
from collections.abc import Mapping

from locust import FastHttpUser, events, tag, task
from locust.contrib.fasthttp import FastResponse
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.text import endless_text
from loadtests.traffic import GENERATED_CHARACTERS, PROMPT_CHARACTERS

MEMBERS = {"tag": "sentences", "classify": "label", "generate": "text"}  # what each result of an endpoint has
TEXT = endless_text(random.Random())  # of all users of a process: they take turns


@events.init_command_line_parser.add_listener
def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this file to Locust's, which sends them to its workers."""
    parser.add_argument("--pause-seconds", type=float, default=0.0, help="Mean pause of a user before a request")
    parser.add_argument("--most-failures", type=float, default=0.0, help="Largest share of failures, in percent")
    parser.add_argument("--most-p99-ms", type=float, default=2000.0, help="Largest p99 of /tag and /classify")
    parser.add_argument("--least-rate", type=float, default=1.0, help="Fewest answers a second")


class User(FastHttpUser):
    """Sends one request after the other: of ten, six to /tag, three to /classify, one to /generate."""

    def wait_time(self) -> float:
        """Returns the pause before the next request, in seconds."""
        return random.uniform(0.0, 2.0 * self.environment.parsed_options.pause_seconds)

    @tag("tag")
    @task(6)
    def tag_sentence(self) -> None:
        """Tags a sentence."""
        self.send("tag", {"text": next(TEXT)})

    @tag("classify")
    @task(3)
    def classify_sentence(self) -> None:
        """Classifies a sentence."""
        self.send("classify", {"text": next(TEXT)})

    @tag("generate")
    @task(1)
    def continue_text(self) -> None:
        """Continues the beginning of a sentence."""
        self.send("generate", {"prompt": next(TEXT)[:PROMPT_CHARACTERS], "max_tokens": GENERATED_CHARACTERS})

    def send(self, endpoint: str, body: Mapping[str, object]) -> None:
        """Sends a request; counts it as a failure unless the answer is right."""
        with self.client.post(f"/{endpoint}", json=body, catch_response=True) as response:
            if (fault := fault_of(response, MEMBERS[endpoint])) is not None:
                response.failure(fault)


def fault_of(response: FastResponse, member: str) -> str | None:
    """Returns what is wrong with an answer; None if it has one result, with that member."""
    if response.status_code == 0:
        return f"no answer: {response.error}"
    if response.status_code != 200:
        return f"{response.status_code}: {(response.text or '')[:200]}"
    try:
        (result,) = response.json()["results"]
        result[member]
    except (ValueError, KeyError, TypeError):
        return f"an answer without one result that has {member!r}: {(response.text or '')[:200]}"
    return None


def faults(environment: Environment) -> list[str]:
    """Returns which limits the run broke."""
    options, stats = environment.parsed_options, environment.stats
    total = stats.total
    if not total.num_requests:
        return ["no request was answered"]
    found = []
    if 100 * total.fail_ratio > options.most_failures:
        found.append(f"{100 * total.fail_ratio:.2f} % failed, more than {options.most_failures:g} %")
    if total.total_rps < options.least_rate:
        found.append(f"{total.total_rps:.1f} answers a second, fewer than {options.least_rate:g}")
    for path in ("/tag", "/classify"):
        p99 = stats.get(path, "POST").get_response_time_percentile(0.99) or 0
        if p99 > options.most_p99_ms:
            found.append(f"the p99 of {path} is {p99:.0f} ms, more than {options.most_p99_ms:g} ms")
    return found


@events.quitting.add_listener
def set_exit_status(environment: Environment, **_: object) -> None:
    """Fails the run where a limit is broken. Of a distributed run, the master decides, with all workers' sums."""
    if isinstance(environment.runner, WorkerRunner):
        return
    for fault in (found := faults(environment)):
        print(f"LIMIT BROKEN: {fault}")
    environment.process_exit_code = 1 if found else 0
