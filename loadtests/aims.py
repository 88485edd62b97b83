"""The bound of every figure, and for some a target beyond it.

A command that measures a figure ends with status 1 where it misses its bound.
"""

from dataclasses import dataclass

from loadtests.rounds import figure


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound of a figure, and for some a target beyond it; `least` where more is better."""

    bound: float
    unit: str
    least: bool = False
    target: float | None = None

    def met(self, value: float) -> bool:
        """Returns whether a value keeps to the bound; NaN does not."""
        return value >= self.bound if self.least else value <= self.bound

    def __str__(self) -> str:
        target = "" if self.target is None else f", target {self.target:g}"
        return f"{'at least' if self.least else 'at most'} {self.bound:g} {self.unit}{target}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that was measured, beside its aim; one without an aim is printed for comparison."""

    what: str
    value: float
    aim: Aim | None
    details: str
    unit: str = ""  # where there is no aim that has one

    @property
    def met(self) -> bool:
        """Returns whether it keeps to its bound."""
        return self.aim is None or self.aim.met(self.value)

    def __str__(self) -> str:
        if self.aim is None:
            return f"     -  {self.what}: {figure(self.value)} {self.unit} ({self.details})"
        verdict = "    ok" if self.met else "MISSED"
        return f"{verdict}  {self.what}: {figure(self.value)} {self.aim.unit}, required {self.aim} ({self.details})"


TIMES, PERCENT = "times", "%"

# make figures
ONE_CLIENT = Aim(0.5, "ms", target=0.3)
OPEN_LOOP = Aim(5, TIMES)
PADDING = Aim(8, PERCENT, target=5)
LONG_SENTENCES = Aim(2, TIMES)
GENERATIONS = Aim(2, TIMES)
MEMORY_GROWTH = Aim(2, PERCENT)
COMPILATIONS = Aim(0, "executables")
SAME_BYTES = Aim(100, PERCENT, least=True)
ANNOTATION = Aim(1.25, TIMES)
FIRST_START = Aim(25, "s", target=15)
LATER_START = Aim(6, "s", target=4)
REPLACEMENT = Aim(8, "s")
EXECUTABLES = Aim(30, "executables", target=20)
STARTED_MEMORY = Aim(1700, "MB", target=1400)  # of all processes, on two cores
LOADED_MEMORY = Aim(2200, "MB", target=1800)

# make swaps
ROLLOUT_P99, ROLLOUT_WORST_P99 = Aim(2, TIMES, target=1.5), Aim(4, TIMES)
ROLLOUT_SECONDS = Aim(300, "s")
ROLLOUTS_GROWTH = Aim(5, PERCENT)

# make ramp
GOODPUT = Aim(0.97, TIMES, least=True)
OTHER_ANSWERS = Aim(0, "answers")
WITHOUT_REFUSAL = Aim(0, "loads")

# make soak
SOAK_GROWTH = Aim(2, PERCENT)
SOAK_DESCRIPTORS, SOAK_THREADS = Aim(0, "more"), Aim(0, "more")
FAILED_REQUESTS = Aim(0, "requests")
NEW_PROCESSES = Aim(0, "processes")

# make bench, make bench-peers: at 64 clients, by the requests, the peer, and whether it has a memory of words
RATIOS = {
    ("classify", "mosec", False): Aim(1.1, TIMES, least=True, target=1.4),
    ("classify", "ray", False): Aim(3, TIMES, least=True, target=4),
    ("classify", "litserve", False): Aim(3, TIMES, least=True, target=4),
    ("classify", "bentoml", False): Aim(3, TIMES, least=True, target=4),
    ("tag", "mosec", False): Aim(1.3, TIMES, least=True, target=1.6),
    ("tag", "mosec", True): Aim(0.85, TIMES, least=True, target=1.0),
    ("tag", "ray", True): Aim(1.4, TIMES, least=True, target=1.7),
    ("tag", "litserve", True): Aim(1.8, TIMES, least=True, target=2.2),
    ("tag", "bentoml", True): Aim(1.9, TIMES, least=True, target=2.4),
    ("no-lemmas", "mosec", True): Aim(1.0, TIMES, least=True, target=1.15),
}
P99_RATIOS = {
    ("classify", "mosec", False): Aim(1.0, TIMES, target=0.75),
    ("tag", "mosec", False): Aim(1.1, TIMES, target=0.9),
}

# make calls: by the endpoint and the number of clients
CALLS = {
    ("tag", 1): Aim(180, "calls", target=120),
    ("tag", 64): Aim(100, "calls", target=60),
    ("classify", 1): Aim(120, "calls", target=80),
    ("classify", 64): Aim(50, "calls", target=30),
}

# python -m loadtests.fleet
FLEET_GOODPUT = Aim(90, PERCENT, least=True)
LOST_CALLS = Aim(0, "calls")

# python -m loadtests.fairness
BESIDE_FLOOD = Aim(2, TIMES)
