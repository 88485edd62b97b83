"""Sends texts to a running service, and prints how far they are from those that its models were measured on.

    python -m loadtests.drift 127.0.0.1:8000 FILE                   500 lines of a file to /tag
    python -m loadtests.drift 127.0.0.1:8000 FILE --to classify --model sentiment-en

The index of each kind is that of the rule `model:tagwerk_drift:psi1h` in `docker/prometheus/recording.yml`, over the
texts that the service got meanwhile. Exits with 1 if `TagwerkModelDrift` would fire.
"""

import argparse
import json
import random
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.samples import Sample

from loadtests.metrics import samples

BOUND = 0.1  # above which TagwerkModelDrift fires, if there are
LEAST_TEXTS = 300
LEAST_SHARE = 0.001  # that a share counts as
TOGETHER = 25  # texts of a request
OBSERVED, TEXTS = "tagwerk_model_observed_total", "tagwerk_model_texts_total"
REFERENCE = "tagwerk_model_reference_share"


class Kind(NamedTuple):
    """What is counted of a model version."""

    model: str
    version: str
    kind: str


class Drift(NamedTuple):
    """How far what was observed is from the reference; with the share of unknown words or characters, in both."""

    psi: float
    texts: float
    unknown: tuple[float, float] | None

    @property
    def fires(self) -> bool:
        """Whether TagwerkModelDrift fires."""
        return self.psi > BOUND and self.texts >= LEAST_TEXTS


def stability_index(shares: Mapping[str, float], reference: Mapping[str, float]) -> float:
    """Returns the population stability index of the shares of values."""
    pairs = [(max(shares.get(value, 0.0), LEAST_SHARE), max(q, LEAST_SHARE)) for value, q in reference.items()]
    return sum((p - q) * log(p / q) for p, q in pairs)


def drift_between(before: Iterable[Sample], after: Iterable[Sample]) -> dict[Kind, Drift]:
    """Returns the drift of what was counted between two scrapes; nothing of versions without a reference."""
    grown: defaultdict[Kind, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    texts: defaultdict[tuple[str, str], float] = defaultdict(float)
    reference: defaultdict[Kind, dict[str, float]] = defaultdict(dict)
    for sign, scrape in ((-1, before), (1, after)):
        for sample in scrape:
            labels = sample.labels
            if sample.name == TEXTS:
                texts[labels["model"], labels["version"]] += sign * sample.value
            elif sample.name in (OBSERVED, REFERENCE):
                kind = Kind(labels["model"], labels["version"], labels["kind"])
                if sample.name == OBSERVED:
                    grown[kind][labels["value"]] += sign * sample.value
                else:
                    reference[kind][labels["value"]] = sample.value
    found = {}
    for kind, known in reference.items():
        if total := sum(grown[kind].values()):
            shares = {value: count / total for value, count in grown[kind].items()}
            unknown = (shares["unknown"], known["unknown"]) if "unknown" in known else None
            found[kind] = Drift(stability_index(shares, known), texts[kind[:2]], unknown)
    return found


def send(address: str, endpoint: str, items: Sequence[Any], field: str = "text", **more: Any) -> dict[Kind, Drift]:
    """Sends texts to a service, or lists of tokens, and returns the drift meanwhile. Raises OSError."""
    before = samples(address)
    for start in range(0, len(items), TOGETHER):
        body = json.dumps({field: items[start : start + TOGETHER]} | more).encode()
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(f"http://{address}/{endpoint}", body, headers), timeout=60).read()
    return drift_between(before, samples(address))


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the drift; returns 1 where the alert would fire."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.drift", description="How far texts are from dev.")
    parser.add_argument("address", help="of the service, such as 127.0.0.1:8000")
    parser.add_argument("file", type=Path, help="a text in each line")
    parser.add_argument("--to", default="tag", choices=("tag", "classify"))
    parser.add_argument("--model", help="by default that of the task")
    parser.add_argument("--texts", type=int, default=500, help="how many of the lines, at random (%(default)s)")
    options = parser.parse_args(arguments)
    lines = [line for line in options.file.read_text(encoding="utf-8").splitlines() if line.strip()]
    some = random.Random(1).sample(lines, min(options.texts, len(lines)))
    found = send(options.address, options.to, some, **({"model": options.model} if options.model else {}))
    for kind, drift in found.items():
        unknown = "; {:.1%} unknown, {:.1%} where it was measured".format(*drift.unknown) if drift.unknown else ""
        fires = ", TagwerkModelDrift fires" if drift.fires else ""
        print(f"{kind.model}/{kind.version} {kind.kind}: {drift.psi:.3f}{unknown}{fires}")
    return int(any(drift.fires for drift in found.values()))


if __name__ == "__main__":
    sys.exit(main())
