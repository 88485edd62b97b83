"""The manifests against the schemas of Kubernetes, which kubernetes-validate carries, and for what no schema asks."""

import asyncio
import re
from pathlib import Path

import httpx
import kubernetes_validate
import pytest
import yaml

from service.http.app import create_app
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.http.scene import made_context

DOCKER = Path(__file__).parents[2] / "docker"
FILES = sorted((DOCKER / "kubernetes").glob("*.yaml"))
MANIFESTS = [manifest for file in FILES for manifest in yaml.safe_load_all(file.read_text())]
BY_KIND = {manifest["kind"]: manifest for manifest in MANIFESTS}
POD = BY_KIND["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


@pytest.mark.parametrize("version", ["1.30", "1.34"])
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_a_manifest_keeps_to_the_schema(manifest, version):
    kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schema_is_asked():
    wrong = {**BY_KIND["PodDisruptionBudget"], "spec": {"minAvailabel": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.34", strict=True)


def test_a_pod_can_do_nothing_that_it_need_not():
    assert POD["securityContext"]["runAsNonRoot"] is True
    user = re.search(r"^USER (\d+):\d+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert POD["securityContext"]["runAsUser"] == int(user[1]), "the image's own"
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_probes_ask_what_the_service_answers():
    """A pod whose engine starts gets no requests, and is not killed for it."""

    async def answers() -> dict[str, int]:
        app = create_app(made_context())  # whose engine has not started
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return {kind: (await client.get(probe["path"])).status_code for kind, probe in probes.items()}

    probes = {kind: CONTAINER[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    assert asyncio.run(answers()) == {"startup": 503, "readiness": 503, "liveness": 200}
    (port,) = CONTAINER["ports"]
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert port["containerPort"] == Settings.model_fields["port"].default


def test_a_pod_may_drain_before_it_is_killed():
    options = {entry["name"]: entry["value"] for entry in CONTAINER["env"]}
    assert {name.removeprefix("TAGWERK_").lower() for name in options} <= Settings.model_fields.keys()
    drain = float(options["TAGWERK_DRAIN_DELAY_SECONDS"]) + Settings.model_fields["drain_timeout_seconds"].default
    assert POD["terminationGracePeriodSeconds"] > drain + 5


def test_it_scales_on_a_metric_that_exists_and_all_select_the_same_pods():
    (metric,) = BY_KIND["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert f"# HELP {metric['pods']['metric']['name']} " in Metrics().exposition().decode()
    labels = BY_KIND["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert BY_KIND["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert BY_KIND["Service"]["spec"]["selector"] == labels
