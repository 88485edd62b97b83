"""Checks that servers give the same answers, before their speed is compared."""

import json
import math
import urllib.request
from collections.abc import Iterator
from typing import Any

from loadtests.traffic import Body, bodies

TOLERANCE = 1e-3  # of a probability


def check_agreement(endpoint: str, url: str, others: list[str]) -> int:
    """Sends every request of the load to each URL; returns how many. Raises ValueError where answers differ.

    Texts are generated at temperature 0 here, since servers draw their random numbers differently.
    """
    requests = bodies(endpoint)
    for body in requests:
        sent = {**body, "temperature": 0.0} if endpoint == "generate" else body
        expected = post(url, sent)
        for other in others:
            for difference in differences(expected, post(other, sent)):
                raise ValueError(f"{url} and {other} answer {json.dumps(sent)} differently: {difference}")
    return len(requests)


def post(url: str, body: Body) -> Any:
    """Sends a request; returns its answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    return answer[0] if isinstance(answer, list) else answer  # a batch of one, as BentoML answers


def differences(expected: Any, got: Any, place: str = "") -> Iterator[str]:
    """Yields where two answers differ: by more than the tolerance in a float, at all in anything else."""
    if isinstance(expected, float) and isinstance(got, float):
        if not math.isclose(expected, got, rel_tol=0, abs_tol=TOLERANCE):
            yield f"{place}: {expected} and {got}"
    elif isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        for key in expected:
            yield from differences(expected[key], got[key], f"{place}/{key}")
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for i, (a, b) in enumerate(zip(expected, got, strict=True)):
            yield from differences(a, b, f"{place}/{i}")
    elif expected != got:
        yield f"{place}: {expected!r} and {got!r}"
