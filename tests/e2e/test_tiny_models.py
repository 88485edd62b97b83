"""A running service with tiny models: texts that drift, and broken versions that are dropped into its store."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from loadtests.drift import BOUND, LEAST_TEXTS, Drift, Kind, drift_between, send
from loadtests.text import running_text
from tests import faults
from tests.conftest import ROOT, Server, free_port, start_server
from tests.docker.test_monitoring import ALERTS
from tests.e2e.processes import servers
from tests.faults import Fault, with_checksums
from tests.tiny_store import NAME
from tests.training.tiny import treebank
from tests.waiting import wait_until

SETTINGS = {"TAGWERK_BATCH_SIZES": "1", "TAGWERK_STORE_INTERVAL_SECONDS": "0.1"}
OTHER = "sentiment-tiny"
SECONDS = 240.0
TEXTS = 500
RULES = ROOT / "docker" / "prometheus"


def spoil_goldens(folder: Path) -> None:
    """Lets the goldens say something else than the network."""
    golden = json.loads((folder / "goldens.jsonl").read_text().splitlines()[0])
    golden["outputs"] = {name: [[0.5] * len(row) for row in rows] for name, rows in golden["outputs"].items()}
    (folder / "goldens.jsonl").write_text(json.dumps(golden) + "\n")


SAVED_MODEL = "saved_model/saved_model.pb"
FOUND_BY_FILES = [
    *faults.of_file("manifest.json"),
    *faults.of_file(SAVED_MODEL),
    *faults.MANIFEST[::4],
]  # all: tests/store
FOUND_BY_LOADING = [
    Fault(
        "no SavedModel", with_checksums(lambda f: (f / SAVED_MODEL).write_bytes(b"none")), "SavedModel cannot be loaded"
    ),
    Fault("other goldens", with_checksums(spoil_goldens), "golden 1: .* is not what training computed"),
]


@pytest.fixture(scope="module")
def store(tiny_versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a store with a tagger and a classifier."""
    made = tmp_path_factory.mktemp("store")
    for version in (f"{NAME}/1", f"{OTHER}/1"):
        shutil.copytree(tiny_versions / version, made / version)
    return made


@pytest.fixture(scope="module")
def server(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server") / "log"
    with start_server(log, **SETTINGS, TAGWERK_MODEL_STORE=str(store)) as running:
        running.wait_until_ready()
        yield running


def of_tagger(found: dict[Kind, Drift]) -> dict[str, Drift]:
    """Returns the drift of each kind of the tagger's first version."""
    return {kind.kind: drift for kind, drift in found.items() if kind[:2] == (NAME, "1")}


def send_own(address: str) -> dict[str, Drift]:
    """Sends texts of the tagger's dev part."""
    dev = [list(tree.forms) for tree in treebank()["dev"]]
    return of_tagger(send(address, "tag", (dev * TEXTS)[:TEXTS], "tokens"))


def send_other(address: str) -> dict[str, Drift]:
    """Sends texts of another domain."""
    return of_tagger(send(address, "tag", [one.text for one in running_text()[:TEXTS]]))


def test_other_texts_drift_and_own_texts_do_not(server: Server) -> None:
    address = server.url.removeprefix("http://")
    own, other = send_own(address), send_other(address)
    assert {*own} == {*other} == {"word", "character", "confidence", "label"}
    assert {drift.texts for drift in (*own.values(), *other.values())} == {TEXTS}
    assert not any(drift.fires for drift in own.values()), own
    assert other["word"].fires, other
    assert other["word"].unknown is not None
    assert other["word"].unknown[0] > 0.5 > other["word"].unknown[1]


@contextmanager
def prometheus(folder: Path, address: str) -> Iterator[httpx.Client]:
    """Runs Prometheus on a service, with the rules that are shipped, but that alerts do not wait before they fire."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("there is no program called prometheus: apt-get install prometheus")
    for rules in ("recording.yml", "alerts.yml"):
        (folder / rules).write_text(re.sub(r"^( +for:) .+", r"\1 0s", (RULES / rules).read_text(), flags=re.MULTILINE))
    config = yaml.safe_load((RULES / "prometheus.yml").read_text())
    del config["alerting"]
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"] = [{"job_name": "tagwerk", "static_configs": [{"targets": [address]}]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    listens = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([*command, f"--web.listen-address={listens}"], stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://{listens}/api/v1", transport=httpx.HTTPTransport(retries=8)) as client,
    ):
        try:
            yield client
        finally:
            process.terminate()


def test_prometheus_tells_of_texts_of_another_domain_alone(server: Server, tmp_path: Path) -> None:
    address = server.url.removeprefix("http://")
    with prometheus(tmp_path, address) as client:

        def asked(query: str) -> list[dict[str, Any]]:
            answer = client.get("/query", params={"query": query})
            return [] if answer.status_code == 503 else list(answer.json()["data"]["result"])  # 503: it starts

        def told() -> set[str]:
            alerts = [alert["labels"] for alert in client.get("/alerts").json()["data"]["alerts"]]
            drift = [one for one in alerts if one["alertname"] == "TagwerkModelDrift" and one["model"] == NAME]
            return {one["kind"] for one in drift if one["version"] == "1"}

        own = f'{{model="{NAME}", version="1"}}'
        wait_until(lambda: asked(f"tagwerk_model_texts_total{own}"), SECONDS)
        send_own(address)
        wait_until(lambda: asked(f"model:tagwerk_texts:increase1h{own} >= {TEXTS}"), SECONDS)
        assert told() == set()
        assert asked(f"max(model:tagwerk_drift:psi1h{own}) < {BOUND}")
        send_other(address)
        wait_until(lambda: "word" in told(), SECONDS)


def test_the_index_is_that_of_the_rules_of_prometheus() -> None:
    """promtool tests the rules on the same series: see `docker/prometheus/tests.yml`."""
    tests = yaml.safe_load((RULES / "tests.yml").read_text())["tests"]
    (test,) = (test for test in tests if "dev part" in test["name"])
    before, after = [], []
    for one in test["input_series"]:
        first, _, rest = one["values"].partition("x")[0].partition("+")
        before.append(f"{one['series']} {first}")
        after.append(f"{one['series']} {float(first) + 60 * float(rest or 0)}")
    found = drift_between(samples(before), samples(after))
    (expected,) = test["promql_expr_test"]
    for sample in samples(f"psi{one['labels']} {one['value']}" for one in expected["exp_samples"]):
        kind = Kind(*(sample.labels[name] for name in ("model", "version", "kind")))
        assert found[kind].psi == pytest.approx(sample.value, abs=1e-4)
    fires = {kind for kind, drift in found.items() if drift.fires}
    assert fires == {Kind("t", "1", "word")}
    (alert,) = (one for one in ALERTS if one["alert"] == "TagwerkModelDrift")
    assert f"> {BOUND} and" in alert["expr"]
    assert f">= {LEAST_TEXTS}" in alert["expr"]


def samples(lines: Iterable[str]) -> list[Sample]:
    """Returns the samples of lines in Prometheus' text format."""
    families = text_string_to_metric_families("".join(f"{line}\n" for line in lines))
    return [sample for family in families for sample in family.samples]


def states(server: Server, path: str) -> dict[str, dict[str, Any]]:
    """Returns what a route says of each version of the tagger."""
    models = httpx.get(f"{server.url}{path}").json()["models"]
    return {model["version"]: model for model in models if model["name"] == NAME}


def drop(store: Path, version: str, fault: Fault) -> None:
    """Moves a broken version of the tagger into the store."""
    scratch = store / NAME / ".new" / NAME / version
    shutil.copytree(store / NAME / "1", scratch)
    faults.rewrite_manifest(scratch, version=version)
    fault.harm(scratch)
    scratch.rename(store / NAME / version)
    shutil.rmtree(store / NAME / ".new")


def check_others_answer(server: Server, fault: Fault) -> None:
    """Checks that version 1 and the classifier answer."""
    for route, body in (("tag", {"text": "The dog sees the cat."}), ("classify", {"text": "lovely"})):
        answer = httpx.post(f"{server.url}/{route}", json=body)
        assert answer.status_code == 200, f"{fault.name}: {answer.text}"
        assert answer.json()["version"] == "1", fault.name


def check_refused(server: Server, store: Path, broken: list[Fault]) -> None:
    """Drops broken versions into the store, each beside the others, and checks that each is refused with its reason.

    Then takes them away again.
    """
    dropped = {str(number): fault for number, fault in enumerate(broken, 2)}
    for version, fault in dropped.items():
        drop(store, version, fault)
        check_others_answer(server, fault)

    def refused() -> set[str]:
        return {version for version, state in states(server, "/models").items() if state["state"] == "refused"}

    wait_until(lambda: refused() == dropped.keys(), SECONDS)
    check_others_answer(server, broken[-1])
    found = states(server, "/readyz")
    assert found == states(server, "/models")
    for version, fault in dropped.items():
        reason = found[version]["reason"]
        assert re.search(fault.reason, reason), fault.name
        line = f"tagwerk.supervisor: refused {NAME}/{version}: {reason}\n"
        wait_until(lambda: line in server.log.read_text())  # noqa: B023 (it ends in the loop)
        shutil.rmtree(store / NAME / version)
    wait_until(lambda: states(server, "/models").keys() == {"1"}, SECONDS)


def test_whatever_file_is_broken_the_version_is_refused_and_all_else_answers(server, store):
    serving = servers(server)
    check_refused(server, store, FOUND_BY_FILES)
    assert servers(server) == serving, "none of them was loaded"


def test_what_only_loading_finds_refuses_the_version_and_all_else_answers(server, store):
    check_refused(server, store, FOUND_BY_LOADING)
    assert httpx.get(f"{server.url}/readyz").json()["status"] == "ready"
    assert "Traceback" not in server.log.read_text()


def test_a_version_at_which_its_process_dies_three_times_is_refused_and_the_others_serve(server, store):
    """Killed from outside: to the supervisor no other than a model that takes the process with it."""
    wait_until(lambda: len(servers(server)) == 1)
    serving, fault = servers(server), Fault("none of its files", lambda folder: None, "")
    drop(store, "99", fault)
    for death in range(1, 4):
        text = f": loads {NAME}/99"
        wait_until(lambda: server.log.read_text().count(text) == death, SECONDS)  # noqa: B023 (it ends in the loop)
        (loading,) = servers(server) - serving
        os.kill(loading, signal.SIGKILL)
    wait_until(lambda: states(server, "/models").get("99", {}).get("state") == "refused", SECONDS)
    assert states(server, "/models")["99"]["reason"] == (
        "a process ended with status -9 while it loaded this version, 3 times"
    )
    check_others_answer(server, fault)
    wait_until(lambda: servers(server) == serving)
