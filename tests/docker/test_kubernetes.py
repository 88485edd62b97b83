"""The manifests against the schemas of Kubernetes, which kubernetes-validate carries, and for what no schema asks."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from service.http.app import create_app
from service.settings import Settings, unknown_variables
from service.telemetry.metrics import Metrics
from tests.http.scene import made_context

DOCKER = Path(__file__).parents[2] / "docker"
KUBERNETES = DOCKER / "kubernetes"


def read(file: Path) -> list[dict[str, Any]]:
    """Returns the documents of a file."""
    return list(yaml.safe_load_all(file.read_text()))


def rendered(variant: str) -> list[dict[str, Any]]:
    """Returns the manifests of a variant: its resources, patches, images and secrets, as kustomize does."""
    folder = KUBERNETES / variant
    (kustomization,) = read(folder / "kustomization.yaml")
    manifests: list[dict[str, Any]] = []
    for resource in kustomization["resources"]:
        manifests += (
            read(folder / resource) if resource.endswith(".yaml") else rendered((folder / resource).resolve().name)
        )
    for patch in kustomization.get("patches", ()):
        (target,) = (one for one in manifests if one["kind"] == patch["target"]["kind"])
        assert target["metadata"]["name"] == patch["target"]["name"]
        for operation in yaml.safe_load(patch["patch"]):
            apply(target, **operation)
    for image in kustomization.get("images", ()):
        containers = [c for one in manifests if one["kind"] == "Deployment" for c in pod_of(one)["containers"]]
        for container in containers:
            assert container["image"].startswith(f"{image['name']}:")
            container["image"] = f"{image['name']}:{image['newTag']}"
    for secret in kustomization.get("secretGenerator", ()):
        metadata = {"name": secret["name"], "namespace": secret["namespace"]}
        data = dict.fromkeys(secret["files"], "e30=")
        manifests.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    return manifests


def apply(manifest: dict[str, Any], op: str, path: str, value: object) -> None:
    """Applies an operation of a JSON patch (RFC 6902)."""
    *steps, last = path.removeprefix("/").replace("~1", "/").split("/")
    place: Any = manifest
    for step in steps:
        place = place[int(step) if isinstance(place, list) else step]
    if last == "-":
        place.append(value)
    else:
        assert (last in place) == (op == "replace")
        place[last] = value


def pod_of(deployment: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


MANIFESTS = {variant: rendered(variant) for variant in ("cpu", "gpu")}
BY_KIND = {manifest["kind"]: manifest for manifest in MANIFESTS["cpu"]}
POD = pod_of(BY_KIND["Deployment"])
(CONTAINER,) = POD["containers"]
OPTIONS = {entry["name"]: entry["value"] for entry in CONTAINER["env"]}
ALL = [(variant, manifest) for variant, manifests in MANIFESTS.items() for manifest in manifests]


@pytest.mark.parametrize("version", ["1.30", "1.34"])
@pytest.mark.parametrize(
    ("variant", "manifest"), ALL, ids=lambda value: value if isinstance(value, str) else value["kind"]
)
def test_a_manifest_keeps_to_the_schema(variant, manifest, version):
    kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schema_is_asked():
    wrong = {**BY_KIND["PodDisruptionBudget"], "spec": {"minAvailabel": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.34", strict=True)


def test_a_pod_can_do_nothing_that_it_need_not():
    assert POD["securityContext"]["runAsNonRoot"] is True
    user = re.search(r"^USER (\d+):\d+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
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
    assert not unknown_variables(OPTIONS)
    drain = float(OPTIONS["TAGWERK_DRAIN_DELAY_SECONDS"]) + Settings.model_fields["drain_timeout_seconds"].default
    assert POD["terminationGracePeriodSeconds"] > drain + 5


def test_it_scales_on_a_metric_that_exists_and_all_select_the_same_pods():
    (metric,) = BY_KIND["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert f"# HELP {metric['pods']['metric']['name']} " in Metrics().exposition().decode()
    labels = BY_KIND["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert BY_KIND["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert BY_KIND["Service"]["spec"]["selector"] == labels


def test_a_late_answer_of_all_pods_does_not_empty_the_service():
    readiness = CONTAINER["readinessProbe"]
    assert readiness["timeoutSeconds"] >= 5
    assert readiness["failureThreshold"] >= 3


def test_variables_of_the_service_of_the_same_name_are_not_taken_for_options():
    assert BY_KIND["Service"]["metadata"]["name"] == "tagwerk", "whose links set TAGWERK_PORT=tcp://..."
    assert POD["enableServiceLinks"] is False


def mounts() -> dict[str, dict[str, Any]]:
    """Returns the volume at each path of the container."""
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] for mount in CONTAINER["volumeMounts"]}


def test_keys_are_in_a_secret_that_pods_may_read():
    secret = mounts()[str(Path(OPTIONS["TAGWERK_API_KEYS_FILE"]).parent)]["secret"]
    assert secret["secretName"] == BY_KIND["Secret"]["metadata"]["name"]
    assert Path(OPTIONS["TAGWERK_API_KEYS_FILE"]).name in BY_KIND["Secret"]["data"]
    assert secret["defaultMode"] == 0o440, "for the group, fsGroup"
    assert POD["securityContext"]["fsGroup"] == POD["securityContext"]["runAsGroup"]
    ignored = (DOCKER.parent / ".gitignore").read_text().splitlines()
    assert "/docker/kubernetes/cpu/keys.json" in ignored


def test_pods_share_executables_and_the_serving_config():
    found = re.search(r"TAGWERK_XLA_CACHE=(\S+)", (DOCKER / "Dockerfile").read_text())
    assert found is not None
    cache = found[1]
    claim = BY_KIND["PersistentVolumeClaim"]
    assert mounts()[cache]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert str(Path(OPTIONS["TAGWERK_SERVING_FILE"]).parent) == cache


def test_only_the_port_of_http_is_reached_and_nothing_is_connected_to():
    policy = BY_KIND["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"] == BY_KIND["Service"]["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = policy["ingress"]
    assert [port["port"] for port in rule["ports"]] == [port["name"] for port in CONTAINER["ports"]]
    assert all(source for source in rule["from"]), "an empty source is everybody"
    assert policy["egress"] == []


def test_the_gpu_variant_has_a_gpu_and_is_otherwise_the_same():
    pod = pod_of(next(manifest for manifest in MANIFESTS["gpu"] if manifest["kind"] == "Deployment"))
    (container,) = pod["containers"]
    assert container["image"] == "tagwerk:gpu-models"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    options = {entry["name"]: entry["value"] for entry in container["env"]}
    assert options["TAGWERK_DEVICE"] == "gpu"
    assert options.items() >= OPTIONS.items()
    assert not unknown_variables(options)
    changed = {"image", "env", "resources"}
    assert {name for name in container if container[name] != CONTAINER[name]} == changed
