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
ONE_CLIENT = Aim(0.6, "ms", target=0.4)
OPEN_LOOP = Aim(5, TIMES)
PADDING = Aim(8, PERCENT, target=5)
LONG_SENTENCES = Aim(2, TIMES)
GENERATIONS = Aim(2, TIMES)
MEMORY_GROWTH = Aim(2, PERCENT)
COMPILATIONS = Aim(0, "executables")
SAME_BYTES = Aim(99.9, PERCENT, least=True, target=100)
ANNOTATION = Aim(1.25, TIMES)
FIRST_START = Aim(40, "s", target=20)
LATER_START = Aim(10, "s", target=5)
ENGINE_RESTART = Aim(5, "s", target=3)
EXECUTABLES = Aim(30, "executables", target=20)
ENGINE_MEMORY = Aim(1000, "MB", target=600)
WHOLE_MEMORY = Aim(1200, "MB", target=800)

# make swaps
CHANGE_P99, CHANGE_WORST_P99 = Aim(1.5, TIMES), Aim(3, TIMES)
CHANGES_GROWTH = Aim(5, PERCENT)

# make ramp
GOODPUT_LOSS = Aim(10, PERCENT)
OTHER_ANSWERS = Aim(0, "answers")
WITHOUT_REFUSAL = Aim(0, "loads")

# make soak
SOAK_GROWTH = Aim(2, PERCENT)
SOAK_DESCRIPTORS, SOAK_THREADS = Aim(0, "more"), Aim(0, "more")
FAILED_REQUESTS = Aim(0, "requests")
NEW_PROCESSES = Aim(0, "processes")

# make bench, make bench-peers: at 64 clients, beside peers without a memory of words
RATIOS = {
    ("tag", "mosec"): Aim(2.2, TIMES, least=True, target=3),
    ("tag", "bentoml"): Aim(4, TIMES, least=True, target=5),
    ("tag", "ray"): Aim(4, TIMES, least=True, target=5),
    ("classify", "mosec"): Aim(1.2, TIMES, least=True, target=1.5),
}
P99_OVER_MOSEC = Aim(1, TIMES)  # of /classify
CPU_PER_REQUEST = {
    ("tag", "api"): Aim(0.13, "ms"),
    ("tag", "engine"): Aim(0.24, "ms"),
    ("classify", "api"): Aim(0.10, "ms"),
    ("classify", "engine"): Aim(0.10, "ms"),
}

# python -m loadtests.fleet
FLEET_GOODPUT = Aim(90, PERCENT, least=True)
LOST_CALLS = Aim(0, "calls")

# python -m loadtests.fairness
BESIDE_FLOOD = Aim(2, TIMES)
