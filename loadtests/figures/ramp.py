"""Measures the service while the load rises through saturation: goodput must stay, and the rest be refused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.figure import Figure as Drawing

from loadtests.aims import GOODPUT, OTHER_ANSWERS, WITHOUT_REFUSAL, Figure
from loadtests.client import Measurement
from loadtests.figures import report
from loadtests.figures.base import SATURATION, Plan, answered
from loadtests.metrics import counted
from loadtests.rounds import figure, load, say
from loadtests.servers import Server

# Fewer may wait than by default: those accepted wait less, and one client has connections for all of them.
SETTINGS = {"TAGWERK_MAX_QUEUE_TOKENS": "4096"}
CONNECTIONS = 2048
STEPS = (0.25, 0.5, 0.75, 0.9, 1.0)  # of the saturation of a closed loop
RISE = 1.25  # of each further load, to find the saturation of an open loop
SETTLING = 4.0  # seconds of a load before it counts: until then the queue fills, or what the one before left goes
LOADS_PAST, PAST = 3, 1.1  # so many loads so far above what is answered at best
MOST_STEPS = 16
BURSTS = (0.25, 0.5, 0.75)
BURST = 50  # requests at once
ROUNDS = 3  # of all loads, in turn; of each load, the round counts that is in the middle
CELLS = ("tagwerk_padding_cells_total", "tagwerk_batch_cells_total")


@dataclass(frozen=True, slots=True)
class Step:
    """A load, and its outcome."""

    share: float  # of saturation
    rate: float  # requests a second that fell due
    burst: int
    seen: Measurement
    refused_per_second: float
    padding: float  # share of the cells of the batches
    others: int  # answers with neither 200 nor 429, and lost connections

    @property
    def cells(self) -> list[str]:
        """Its row in the table."""
        arrivals = "Poisson" if self.burst == 1 else f"bursts of {self.burst}"
        latencies = [figure(self.seen.p50_ms), figure(self.seen.p99_ms)]
        numbers = [figure(self.rate), figure(self.seen.requests_per_second), figure(self.refused_per_second)]
        return [f"{self.share:.0%}", arrivals, *numbers, *latencies, f"{self.padding:.0%}", str(self.others)]


HEADS = ["load", "arrivals", "due /s", "answered /s", "429 /s", "p50 ms", "p99 ms", "padding", "other errors"]
HOW = """Requests to `/tag` fall due at random moments, whether or not those before are answered; a latency counts from
the moment at which its request was due, and is that of answers with 200. The texts are those of `loadtests/text.py`.
100 % is what a closed loop of 64 clients gets; loads rise until three are past saturation, where a tenth more
falls due than is answered at best. Each runs four seconds before it counts. The service has one half of the
processor's cores, its clients the other, so that what they cost does not look like what a refusal costs. All loads
take turns, three times, and the middle one of the three counts."""


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns how much of its goodput is left past saturation, and what else is answered there but 200 and 429."""
    saturation = answered(f"{service.address}/tag", SATURATION, plan.seconds).requests_per_second
    say(f"saturation: {figure(saturation)}/s")
    steps = [_step(service, plan, saturation, share, 1) for share in STEPS]
    while len(past(steps)) < LOADS_PAST and len(steps) < MOST_STEPS:
        steps.append(_step(service, plan, saturation, RISE * steps[-1].share, 1))
    steps += [_step(service, plan, saturation, share, BURST) for share in BURSTS]
    rounds = [steps, *([_step(service, plan, saturation, s.share, s.burst) for s in steps] for _ in range(ROUNDS - 1))]
    middles = [middle(of_load) for of_load in zip(*rounds, strict=True)]
    steps, bursts = ([step for step in middles if (step.burst == 1) == poisson] for poisson in (True, False))
    figures = check(steps)
    table = report.table(HEADS, [step.cells for step in [*steps, *bursts]])
    title = "Load that rises through saturation"
    say(f"see {report.write('ramp', title, HOW, figures, table, _drawing(steps, bursts))}")
    return figures


def middle(rounds: Sequence[Step]) -> Step:
    """Returns the round with the median rate of answers, and with it the other errors of all rounds."""
    others = sum(step.others for step in rounds)
    return replace(sorted(rounds, key=lambda step: step.seen.requests_per_second)[len(rounds) // 2], others=others)


def check(steps: Sequence[Step]) -> list[Figure]:
    """Returns the figures of a ramp, whose loads are Poisson."""
    peak = max(step.seen.requests_per_second for step in steps)
    beyond = past(steps)
    if not beyond:
        raise RuntimeError(f"no saturation was found up to {figure(steps[-1].rate)} requests a second")
    least = min(beyond, key=lambda step: step.seen.requests_per_second)
    share = least.seen.requests_per_second / peak
    details = f"peak {figure(peak)}/s, {figure(least.seen.requests_per_second)}/s where {figure(least.rate)}/s fall due"
    others = sum(step.others for step in steps)
    unrefused = sum(step.seen.refused == 0 for step in beyond)
    return [
        Figure("goodput past saturation, over its peak", share, GOODPUT, details),
        Figure("answers other than 200 and 429", others, OTHER_ANSWERS, f"over {len(steps)} loads"),
        Figure("loads past saturation without a 429", unrefused, WITHOUT_REFUSAL, f"of {len(beyond)}"),
    ]


def past(steps: Sequence[Step]) -> list[Step]:
    """Returns the loads past saturation: more falls due than is ever answered."""
    peak = max(step.seen.requests_per_second for step in steps)
    return [step for step in steps if step.rate > PAST * peak]


def _step(service: Server, plan: Plan, saturation: float, share: float, burst: int) -> Step:
    rate = share * saturation
    with counted(service.address, *CELLS) as grown:
        options = ("--rate", str(rate), "--burst", str(burst), "--settling", str(SETTLING))
        seen = load(f"{service.address}/tag", CONNECTIONS, plan.seconds, *options)
    padding = grown[CELLS[0]] / max(1.0, grown[CELLS[1]])
    step = Step(share, rate, burst, seen, seen.refused / plan.seconds, padding, seen.errors - seen.refused)
    say(" ".join(f"{head} {cell}," for head, cell in zip(HEADS, step.cells, strict=True)).rstrip(","))
    return step


def _drawing(steps: Sequence[Step], bursts: Sequence[Step]) -> Drawing:
    drawing, (throughput, latency, padding) = report.panels(
        ["requests a second", "latency, ms", "padding waste, %"], "requests due a second"
    )
    rates = [step.rate for step in steps]
    throughput.plot(rates, [step.seen.requests_per_second for step in steps], "o-", label="answered")
    throughput.plot(rates, [step.refused_per_second for step in steps], "s--", label="refused with 429")
    for name in ("p50_ms", "p99_ms"):
        latency.plot(rates, [getattr(step.seen, name) for step in steps], "o-", label=name[:3])
    some = [step.rate for step in bursts]
    latency.plot(some, [step.seen.p99_ms for step in bursts], "^:", label=f"p99, bursts of {BURST}")
    latency.set_yscale("log")
    padding.plot(rates, [100 * step.padding for step in steps], "o-", label="Poisson")
    padding.plot(some, [100 * step.padding for step in bursts], "^:", label=f"bursts of {BURST}")
    for panel in (throughput, latency, padding):
        panel.legend(frameon=False, fontsize=8)
    return drawing
