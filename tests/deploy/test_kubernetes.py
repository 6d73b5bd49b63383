"""Every manifest of k8s/, rendered: against the schemas, the restricted profile, and the server itself."""

import os
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import kubernetes_validate
import pytest
import yaml

from serving.settings import Settings
from tests.deploy.conftest import Server
from tests.deploy.restricted import breaches, containers
from tests.deploy.tools import ROOT, Manifest, metric_names, need, nested_values, project_version, run

K8S = ROOT / "k8s"
VERSIONS = ("1.31", "1.33")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
CRDS = Path(os.environ.get("BATON_CRDS", ROOT.parent / "shared/infra/crds"))

# What only its own cluster can check: Kubeflow's definition is in no public package.
NO_SCHEMA = {"TrainJob"}


@cache
def rendered(folder: str) -> list[Manifest]:
    """What `kubectl apply -k` would send."""
    tool = need("kubectl", "kustomize")
    verb = "kustomize" if Path(tool).name == "kubectl" else "build"
    return [each for each in yaml.safe_load_all(run(tool, verb, K8S / folder)) if each]


def component(name: str, base: str = "../base") -> list[Manifest]:
    """The base with one component, for those that no overlay uses."""
    folder = K8S / f".test-{name}"
    folder.mkdir(exist_ok=True)
    try:
        kustomization = {"resources": [base], "components": [f"../components/{name}"]}
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return rendered(folder.name)
    finally:
        shutil.rmtree(folder)


FOLDERS = ("base", "overlays/cpu", "overlays/cuda", "overlays/dev", "canary", "training", "kserve")
COMPONENTS = ("access", "keda", "models-oci", "models-s3", "tracing", "trust")


@pytest.fixture(params=[*FOLDERS, *(f"components/{name}" for name in COMPONENTS), "trainjob"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    name: str = request.param
    if name == "trainjob":
        return [yaml.safe_load((K8S / "training/trainjob.yaml").read_text())]
    return component(name.removeprefix("components/")) if name.startswith("components/") else rendered(name)


def test_every_folder_is_among_those_that_are_checked() -> None:
    found = {str(file.parent.relative_to(K8S)) for file in K8S.rglob("kustomization.yaml")}
    through_overlays = {f"components/{name}" for name in ("hpa", "models-pvc", "monitoring")}
    assert found == {
        *FOLDERS,
        *(f"components/{name}" for name in COMPONENTS),
        *through_overlays,
        "canary/server",
    }


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_built_in_kinds_are_what_kubernetes_allows(manifests: list[Manifest], version: str) -> None:
    for manifest in manifests:
        if is_custom(manifest):
            continue
        kubernetes_validate.validate(manifest, version, strict=True)


def is_custom(manifest: Manifest) -> bool:
    group = str(manifest["apiVersion"]).split("/")[0]
    return "." in group and (not group.endswith(".k8s.io") or group == "gateway.networking.k8s.io")


@pytest.mark.slow
def test_custom_resources_are_what_their_definitions_allow(manifests: list[Manifest]) -> None:
    for manifest in (each for each in manifests if is_custom(each)):
        if manifest["kind"] in NO_SCHEMA:
            continue
        if not CRDS.is_dir():
            pytest.skip(
                f"the custom resources' definitions are not at {CRDS}; BATON_CRDS names another place"
            )
        schema = definitions()[manifest["apiVersion"], manifest["kind"]]
        faults = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(manifest)]
        assert not faults, manifest["kind"]


@cache
def definitions() -> dict[tuple[str, str], Manifest]:
    """The schema of each served version of each custom resource, closed to fields that it does not name."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = {}
    for file in CRDS.glob("*.yaml"):
        for content in yaml.load_all(file.read_text(), Loader=loader):
            spec = content["spec"]
            for version in spec["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object", "required": ["name"]}
                found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


def closed(schema: Any) -> Any:
    """A definition's schema as JSON Schema that refuses unknown fields, as a server with field validation does."""
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    if made.pop("x-kubernetes-int-or-string", False):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    if "properties" in made:
        made["properties"] = {name: closed(each) for name, each in made["properties"].items()}
        if not made.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        made[key] = closed(made[key]) if key in made else made.pop(key, None)
        if made[key] is None:
            del made[key]
    if made.pop("nullable", False) and "type" in made:
        made["type"] = [made["type"], "null"]
    return made


def pod_specs(manifests: list[Manifest]) -> Iterator[Manifest]:
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "Job"):
            yield manifest["spec"]["template"]["spec"]
        if manifest["kind"] == "ServingRuntime":
            # What a runtime does not say of its pods, the service that uses it does.
            service = next(each for each in manifests if each["kind"] == "InferenceService")
            predictor = service["spec"]["predictor"]
            yield {
                **manifest["spec"],
                "automountServiceAccountToken": predictor["automountServiceAccountToken"],
            }


def test_pods_keep_to_the_restricted_profile(manifests: list[Manifest]) -> None:
    for pod in pod_specs(manifests):
        assert breaches(pod) == []


BREACHES: dict[str, Callable[[Manifest, Manifest], object]] = {
    "hostNetwork": lambda pod, _: pod.update(hostNetwork=True),
    "hostPID": lambda pod, _: pod.update(hostPID=True),
    "hostIPC": lambda pod, _: pod.update(hostIPC=True),
    "volume types": lambda pod, _: pod["volumes"].append({"name": "root", "hostPath": {"path": "/"}}),
    "sysctls": lambda pod, _: pod["securityContext"].update(
        sysctls=[{"name": "kernel.msgmax", "value": "1"}]
    ),
    "token": lambda pod, _: pod.pop("automountServiceAccountToken"),
    "hostProcess": lambda _, context: context.update(windowsOptions={"hostProcess": True}),
    "appArmorProfile": lambda _, context: context.update(appArmorProfile={"type": "Unconfined"}),
    "seLinuxOptions": lambda _, context: context.update(seLinuxOptions={"user": "root"}),
    "privileged": lambda _, context: context.update(privileged=True),
    "allowPrivilegeEscalation": lambda _, context: context.pop("allowPrivilegeEscalation"),
    "runAsNonRoot": lambda _, context: context.update(runAsNonRoot=False),
    "runAsUser": lambda _, context: context.update(runAsUser=0),
    "seccompProfile": lambda _, context: context.update(seccompProfile={"type": "Unconfined"}),
    "procMount": lambda _, context: context.update(procMount="Unmasked"),
    "capabilities": lambda _, context: context["capabilities"].update(add=["NET_ADMIN"]),
    "readOnlyRootFilesystem": lambda _, context: context.pop("readOnlyRootFilesystem"),
    "hostPort": lambda pod, _: pod["containers"][0]["ports"][0].update(hostPort=80),
    "host of a probe": lambda pod, _: pod["containers"][0]["livenessProbe"]["httpGet"].update(
        host="10.0.0.1"
    ),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_of_the_restricted_profile_is_found(name: str) -> None:
    pod = deepcopy(next(pod_specs(rendered("base"))))
    BREACHES[name](pod, pod["containers"][0]["securityContext"])
    assert breaches(pod) == [name]


@pytest.mark.parametrize("overlay", ["cpu", "cuda", "dev"])
def test_the_namespace_enforces_the_restricted_profile(overlay: str) -> None:
    namespace = next(each for each in rendered(f"overlays/{overlay}") if each["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_container_says_what_it_needs_and_at_most_gets(manifests: list[Manifest]) -> None:
    for pod in pod_specs(manifests):
        for container in containers(pod):
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"])
            assert {"cpu", "memory"} <= set(resources["limits"])


def test_our_images_carry_the_projects_version(manifests: list[Manifest]) -> None:
    for pod in pod_specs(manifests):
        for container in containers(pod):
            name, _, tag = container["image"].rpartition(":")
            assert name, f"{container['image']} has no tag"
            if name.startswith("baton"):
                assert tag in {project_version(), f"{project_version()}-cuda", f"{project_version()}-demo"}


def test_what_is_referred_to_is_there(manifests: list[Manifest]) -> None:
    names = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    elsewhere = {("PersistentVolumeClaim", "baton-models")}  # of the overlay beside which training runs
    for pod in pod_specs(manifests):
        mounted = {mount["name"] for each in containers(pod) for mount in each.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in pod.get("volumes", [])}
        for value in nested_values(pod):
            if isinstance(value, dict) and "configMapRef" in value:
                assert ("ConfigMap", value["configMapRef"]["name"]) in names
            if isinstance(value, dict) and "claimName" in value:
                assert ("PersistentVolumeClaim", value["claimName"]) in names | elsewhere
        if "serviceAccountName" in pod:
            assert ("ServiceAccount", pod["serviceAccountName"]) in names


def test_selectors_find_the_pods_that_they_mean(manifests: list[Manifest]) -> None:
    for deployment in (each for each in manifests if each["kind"] == "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"].items()
        track = dict(labels)["baton/track"]
        for each in manifests:
            of_track = each["metadata"].get("labels", {}).get("baton/track") == track
            if not of_track or each["kind"] not in SELECTORS:
                continue
            selector = SELECTORS[each["kind"]](each["spec"])
            assert selector, each["kind"]
            assert selector.items() <= labels, each["kind"]
            assert selector["baton/track"] == track  # a canary's budget must not be the stable one's


SELECTORS = {
    "Deployment": lambda spec: spec["selector"]["matchLabels"],
    "Service": lambda spec: spec["selector"],
    "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
    "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
}


def test_ports_are_named_as_the_probes_and_the_service_name_them(manifests: list[Manifest]) -> None:
    for pod in pod_specs(manifests):
        for container in containers(pod):
            ports = {port["name"] for port in container.get("ports", [])}
            ports |= {port["containerPort"] for port in container.get("ports", [])}
            for probe in PROBES:
                if probe in container:
                    assert container[probe]["httpGet"]["port"] in ports
    services = [each for each in manifests if each["kind"] == "Service"]
    if services:
        named = {
            port["name"]
            for pod in pod_specs(manifests)
            for each in pod["containers"]
            for port in each["ports"]
        }
        assert {port["targetPort"] for each in services for port in each["spec"]["ports"]} <= named


def server_pods(manifests: list[Manifest]) -> list[tuple[Manifest, dict[str, str]]]:
    """Each pod that serves, with its environment."""
    settings = {
        each["metadata"]["name"]: each["data"]
        for each in manifests
        if each["kind"] == "ConfigMap" and "data" in each
    }
    found = []
    for pod in pod_specs(manifests):
        server = pod["containers"][0]
        if server["image"].split(":")[0] != "baton":
            continue
        environment = {each["name"]: each.get("value", "of a Secret") for each in server.get("env", [])}
        for source in server.get("envFrom", []):
            environment |= settings[source["configMapRef"]["name"]]
        found.append((pod, environment))
    return found


def test_every_setting_is_one_that_the_server_has_and_takes(manifests: list[Manifest]) -> None:
    for _, environment in server_pods(manifests):
        given = {key: value for key, value in environment.items() if key.startswith("BATON_")}
        fields = {key.removeprefix("BATON_").lower(): value for key, value in given.items()}
        assert set(fields) <= set(Settings.model_fields)
        Settings.model_validate(fields)
        assert environment["ORT_DISABLE_TELEMETRY"] == "1"


def test_the_grace_is_longer_than_the_drain(manifests: list[Manifest]) -> None:
    for pod, environment in server_pods(manifests):
        server = pod["containers"][0]
        before_s = server.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain_s = float(environment["BATON_DRAIN_DELAY_S"]) + float(environment["BATON_SHUTDOWN_TIMEOUT_S"])
        # KServe's runtime has no grace of its own; the InferenceService gives it.
        service = next((each for each in manifests if each["kind"] == "InferenceService"), None)
        owner = pod if service is None else service["spec"]["predictor"]
        assert owner["terminationGracePeriodSeconds"] > before_s + drain_s


@pytest.mark.slow
def test_probes_ask_for_paths_that_the_server_answers(server: Server) -> None:
    for folder in ("base", "kserve"):
        for pod in pod_specs(rendered(folder)):
            container = pod["containers"][0]
            paths = [container[probe]["httpGet"]["path"] for probe in PROBES]
            assert [httpx.get(f"{server.url}{path}").status_code for path in paths] == [200] * 3
            assert paths[:2] == ["/v2/health/live"] * 2, "a model that is refused must not restart a pod"


def test_a_training_asks_for_what_can_be_trained() -> None:
    from training.config import load_config

    job = next(each for each in rendered("training") if each["kind"] == "Job")
    trainjob = yaml.safe_load((K8S / "training/trainjob.yaml").read_text())
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for verb, task, *flags in (
        job["spec"]["template"]["spec"]["containers"][0]["args"],
        trainjob["spec"]["trainer"]["args"],
        compose["services"]["train"]["command"],
    ):
        assert verb == "train"
        assert load_config(task, flags).data == "digits"


def test_a_disruption_leaves_somebody_serving() -> None:
    for overlay in ("overlays/cpu", "overlays/cuda"):
        kinds = {each["kind"]: each for each in rendered(overlay)}
        least = kinds["HorizontalPodAutoscaler"]["spec"]["minReplicas"]
        assert kinds["PodDisruptionBudget"]["spec"]["maxUnavailable"] < least
        assert "replicas" not in kinds["Deployment"]["spec"], "the autoscaler owns it"


@pytest.mark.slow
def test_autoscalers_read_metrics_that_there_are(exported: set[str]) -> None:
    adapter = yaml.safe_load((K8S / "components/hpa/prometheus-adapter-values.yaml").read_text())
    ruled = {rule["name"]["as"]: rule for rule in adapter["rules"]["custom"]}
    scaler = next(each for each in rendered("overlays/cpu") if each["kind"] == "HorizontalPodAutoscaler")
    expected = {metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"]}
    assert expected == set(ruled)
    queries = [rule["metricsQuery"] for rule in ruled.values()]
    keda = next(each for each in component("keda") if each["kind"] == "ScaledObject")
    queries += [trigger["metadata"]["query"] for trigger in keda["spec"]["triggers"]]
    assert {name for query in queries for name in metric_names(query)} <= exported


def test_scrapes_are_frequent_enough_to_see_a_drain() -> None:
    manifests = rendered("overlays/cpu")
    monitor = next(each for each in manifests if each["kind"] == "ServiceMonitor")
    interval_s = int(monitor["spec"]["endpoints"][0]["interval"].removesuffix("s"))
    for _, environment in server_pods(manifests):
        assert interval_s <= float(environment["BATON_DRAIN_DELAY_S"])


def test_a_canary_takes_its_share_and_no_more() -> None:
    manifests = rendered("canary")
    services = {each["metadata"]["name"] for each in manifests if each["kind"] == "Service"} | {"baton"}
    route = next(each for each in manifests if each["kind"] == "HTTPRoute")
    backends = route["spec"]["rules"][-1]["backendRefs"]
    assert {each["name"] for each in backends} <= services
    assert sum(each["weight"] for each in backends) == 100
