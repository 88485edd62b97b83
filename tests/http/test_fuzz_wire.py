"""A short form of `make fuzz`: mutated requests, from bodies to single bytes, against the real service."""

import asyncio

import httpx

from loadtests.fuzz.cases import make
from loadtests.fuzz.play import Outcome, play
from loadtests.fuzz.report import fault_of
from loadtests.fuzz.valid import endpoints
from tests.conftest import Server

SEED, CASES = 18, 300


def test_no_mutated_request_breaks_the_service(server: Server, client: httpx.Client):
    known = endpoints(client.get("/openapi.json").json())
    port = httpx.URL(server.url).port
    assert port is not None

    async def played() -> list[Outcome]:
        cases = (make(SEED, number, known) for number in range(CASES))
        return [outcome async for outcome in play(port, cases, at_a_time=16)]

    outcomes = asyncio.run(played())
    assert len(outcomes) == CASES
    faults = [f"{fault}; {outcome.case}" for outcome in outcomes if (fault := fault_of(outcome))]
    assert not faults, f"again: python -m loadtests.fuzz --seed {SEED} --case NUMBER\n" + "\n".join(faults[:10])
    assert client.get("/readyz").status_code == 200
    assert client.post("/tag", json={"text": "Dogs bark."}).status_code == 200
