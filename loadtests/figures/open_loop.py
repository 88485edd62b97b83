"""Measures p99 over p50 of `/tag` under an open loop."""

from statistics import median

from loadtests.aims import OPEN_LOOP, Figure
from loadtests.figures.base import SATURATION, Plan, answered
from loadtests.rounds import figure, say
from loadtests.servers import Server

SHARE = 0.7  # of saturation
CONNECTIONS = 256


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns p99 over p50 at 70 % of what the service does at saturation, measured anew before each round."""
    target, rounds = f"{service.address}/tag", []
    for number in range(1, plan.rounds + 1):
        saturation = answered(target, SATURATION, plan.seconds).requests_per_second
        rate = SHARE * saturation
        rounds.append(answered(target, CONNECTIONS, plan.seconds, "--rate", str(rate)))
        shown = f"p50 {figure(rounds[-1].p50_ms)} ms, p99 {figure(rounds[-1].p99_ms)} ms"
        say(f"round {number}: saturation {figure(saturation)}/s, at {figure(rate)}/s {shown}")
    p50, p99 = median(m.p50_ms for m in rounds), median(m.p99_ms for m in rounds)
    what = f"open loop at {SHARE:.0%} of saturation, p99 over p50"
    ratios = [m.p99_ms / m.p50_ms for m in rounds]
    details = f"{figure(min(ratios))} to {figure(max(ratios))}; p50 {figure(p50)} ms, p99 {figure(p99)} ms"
    return [Figure(what, median(ratios), OPEN_LOOP, details)]
