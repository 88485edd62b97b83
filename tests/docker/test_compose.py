"""The compose file, read as it stands: hardening, profiles, versions."""

import re

import pytest
import yaml

from service.settings import Settings, unknown_variables
from tests.conftest import ROOT

DOCKER = ROOT / "docker"
TEXT = (DOCKER / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
BUILT = sorted(name for name, service in SERVICES.items() if "build" in service)
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_nothing_that_it_need_not(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"]
    assert service["mem_limit"]
    assert service.get("user", "") not in ("0", "root")
    assert not service.keys() & {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices"}
    for port in service.get("ports", ()):
        assert re.match(r"\$\{\w+:-127\.0\.0\.1:\d+\}:\d+$", port), "of the loopback alone unless told"
    for volume in service.get("volumes", ()):
        assert volume.endswith(":ro") or volume.split(":")[0] in COMPOSE["volumes"]


@pytest.mark.parametrize("name", BUILT)
def test_versions_can_be_chosen_although_root_and_store_are_read_only(name):
    found = re.search(r"TAGWERK_SERVING_FILE=(\S+)/serving\.json", DOCKERFILE)
    assert found is not None
    place = found[1]
    assert f"serving:{place}" in SERVICES[name]["volumes"]
    (made,) = re.findall(r"install --directory --owner tagwerk .*", DOCKERFILE)
    assert place in made.split(), "an empty volume takes the owner of the folder in the image"


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - set(BUILT)))
def test_an_image_of_others_is_pinned_by_version_and_digest(name):
    assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}", SERVICES[name]["image"])


def test_each_way_to_run_answers_at_one_name_and_is_scraped_at_another():
    def named(alias: str, profile: str) -> list[str]:
        up = [name for name, service in SERVICES.items() if profile in service.get("profiles", ())]
        networks = {name: SERVICES[name].get("networks", {}) for name in up}
        return [n for n, nets in networks.items() if isinstance(nets, dict) and alias in nets["default"]["aliases"]]

    asked = {profile: named("tagwerk", profile) for profile in ("single", "gpu", "replicas")}
    scraped = {profile: named("backend", profile) for profile in asked}
    assert asked == {"single": ["service"], "gpu": ["gpu"], "replicas": ["proxy"]}
    assert scraped == {"single": ["service"], "gpu": ["gpu"], "replicas": ["replica"]}
    assert (DOCKER / ".env").read_text().endswith("COMPOSE_PROFILES=single\n")


@pytest.mark.parametrize("name", BUILT)
def test_the_processes_and_one_more_fit_into_the_memory(name):
    comment = re.search(r"TAGWERK_PROCESSES:.*# up to (\d+) fit into mem_limit: ([\d.]+) GB each", TEXT)
    assert comment is not None
    most, gigabytes = int(comment[1]), float(comment[2])
    limit = int(SERVICES[name]["mem_limit"].removesuffix("g")) * 2**30
    (tmpfs,) = SERVICES[name]["tmpfs"]
    size = re.match(r"/tmp:size=(\d+)m,", tmpfs)
    assert size is not None
    assert (most + 1) * gigabytes * 1e9 + int(size[1]) * 2**20 < limit


@pytest.mark.parametrize("name", BUILT)
def test_a_container_may_drain_before_it_is_killed(name):
    assert not unknown_variables(SERVICES[name]["environment"]), "what is no option"
    fields = Settings.model_fields
    needed = fields["drain_delay_seconds"].default + fields["drain_timeout_seconds"].default
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > needed + 5


def test_the_image_runs_as_somebody_else_and_holds_no_training():
    last = DOCKERFILE[DOCKERFILE.index("AS service") :]
    assert "USER 10001:10001" in last
    assert "HEALTHCHECK" in last
    allowed = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    assert allowed[0] == "*"
    assert "!service" in allowed
    assert not any("training" in line for line in allowed)
