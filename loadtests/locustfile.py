"""Users for Locust: a mix of the three endpoints, sentences as long as real ones, limits that fail the run.

    make loadtest                                               half a minute, against a service that it starts
    locust -f loadtests/locustfile.py --host http://127.0.0.1:8000        with the page at http://127.0.0.1:8089

The sentences are those of `loadtests.text`. A user waits for an answer before the next request, and does not think in
between: so many users are so many requests at the same time.
"""

import argparse
import random
import sys

from locust import FastHttpUser, events, task
from locust.env import Environment

from loadtests.text import endless_text
from loadtests.traffic import GENERATED_CHARACTERS, PROMPT_CHARACTERS

ENDPOINTS = ("tag", "classify", "generate")
TEXT = endless_text(random.Random())  # of all users of a process: they take turns


def read_mix(text: str) -> dict[str, float]:
    """Reads "tag=6,classify=3,generate=1": of ten requests, six go to /tag. Raises ValueError."""
    mix = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        if name.strip() not in ENDPOINTS:
            raise ValueError(f"{name.strip()!r} is no endpoint; there is {', '.join(ENDPOINTS)}, each as tag=6")
        mix[name.strip()] = float(weight)
    if min(mix.values()) < 0 or not sum(mix.values()):
        raise ValueError(f"{text!r}: weights are 0 or more, and one of them is more")
    return mix


@events.init_command_line_parser.add_listener
def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this file to Locust's."""
    parser.add_argument("--mix", type=str, default="tag=6,classify=3,generate=1", help="Weights of the endpoints")
    parser.add_argument("--most-failures", type=float, default=0.0, help="Largest share of failures, in percent")
    parser.add_argument("--most-p99-ms", type=float, default=2000.0, help="Largest p99 of /tag and /classify")
    parser.add_argument("--least-rate", type=float, default=1.0, help="Fewest answers a second")


@events.init.add_listener
def check_options(environment: Environment, **_: object) -> None:
    """Ends the program where the mix cannot be read, before anything runs."""
    try:
        read_mix(environment.parsed_options.mix)
    except ValueError as error:
        sys.exit(f"--mix: {error}")


@events.test_start.add_listener
def read_options(environment: Environment, **_: object) -> None:
    """Reads the mix once for all users."""
    try:
        environment.mix = read_mix(environment.parsed_options.mix)
    except ValueError as error:  # changed on Locust's page
        print(f"--mix: {error}")
        environment.runner.quit()


class User(FastHttpUser):
    """Sends one request after the other."""

    @task
    def send(self) -> None:
        """Sends a request to an endpoint of the mix."""
        mix = self.environment.mix
        (endpoint,) = random.choices(list(mix), list(mix.values()))
        body: dict[str, object] = {"text": next(TEXT)}
        if endpoint == "generate":
            body = {"prompt": next(TEXT)[:PROMPT_CHARACTERS], "max_tokens": GENERATED_CHARACTERS}
        with self.client.post(f"/{endpoint}", json=body, catch_response=True) as response:
            if response.status_code == 0:
                response.failure(f"no answer: {response.error}")
            elif response.status_code != 200:
                response.failure(f"{response.status_code}: {response.text[:200]}")
            elif not response.json()["results"]:
                response.failure("an answer without results")


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
def judge(environment: Environment, **_: object) -> None:
    """Fails the run, by its exit status, where a limit is broken."""
    for fault in (found := faults(environment)):
        print(f"LIMIT BROKEN: {fault}")
    environment.process_exit_code = 1 if found else 0
