"""Measures the p99 of short sentences with a few long ones among them."""

from loadtests.aims import LONG_SENTENCES, Figure
from loadtests.figures.base import SATURATION, Plan, answered, growth_of_p99
from loadtests.rounds import figure, say
from loadtests.servers import Server
from loadtests.traffic import LONG_EVERY, LONG_WORDS


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the p99 of short sentences with long ones among the requests, over their p99 without."""
    without, among = [], []
    for number in range(1, plan.rounds + 1):
        without.append(answered(f"{service.address}/tag", SATURATION, plan.seconds))
        among.append(answered(f"{service.address}/long", SATURATION, plan.seconds))
        say(f"round {number}: p99 {figure(without[-1].p99_ms)} ms, {figure(among[-1].p99_ms)} ms with long sentences")
    value, details = growth_of_p99(without, among)
    what = f"p99 of short sentences where {100 / LONG_EVERY:g} % are {LONG_WORDS} words long, over p99 without"
    return [Figure(what, value, LONG_SENTENCES, details)]
