"""Kubernetes' restricted profile as a check of one pod's specification.

https://kubernetes.io/docs/concepts/security/pod-security-standards/: every control of *baseline* and *restricted*;
and, beyond it, a read-only root, a fixed user, and a token only for pods that say so.
"""

from collections.abc import Iterator

from tests.deploy.tools import Manifest

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"
}  # fmt: skip
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_syncookies",
}
SECCOMP = {"RuntimeDefault", "Localhost"}
APPARMOR = {"RuntimeDefault", "Localhost"}
SELINUX = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
UID = 10001


def containers(pod: Manifest) -> list[Manifest]:
    """All that a pod starts."""
    return [*pod.get("initContainers", []), *pod["containers"], *pod.get("ephemeralContainers", [])]


def breaches(pod: Manifest) -> list[str]:
    """The controls that a pod breaks, by name; none if the profile admits it."""
    return [
        *_of_pod(pod),
        *(fault for container in containers(pod) for fault in _of_container(pod, container)),
    ]


def _of_pod(pod: Manifest) -> Iterator[str]:
    for namespace in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(namespace):
            yield namespace
    for volume in pod.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield "volume types"
    context = pod.get("securityContext", {})
    if {each["name"] for each in context.get("sysctls", [])} - SYSCTLS:
        yield "sysctls"
    yield from _shared(context)
    if pod.get("automountServiceAccountToken") is not False:
        yield "token"


def _of_container(pod: Manifest, container: Manifest) -> Iterator[str]:
    own = container.get("securityContext", {})
    context = {**pod.get("securityContext", {}), **own}
    yield from _shared(own)
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if context.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if context.get("runAsUser") != UID:
        yield "runAsUser"
    if context.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield "seccompProfile"
    if context.get("procMount", "Default") != "Default":
        yield "procMount"
    capabilities = context.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}:
        yield "capabilities"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"
    if any(hook.get("host") for hook in _hooks(container)):
        yield "host of a probe"


def _shared(context: Manifest) -> Iterator[str]:
    """Settings that a pod and a container may both have."""
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess"
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in APPARMOR:
        yield "appArmorProfile"
    labels = context.get("seLinuxOptions", {})
    if labels.get("type") not in SELINUX or labels.get("user") or labels.get("role"):
        yield "seLinuxOptions"


def _hooks(container: Manifest) -> Iterator[Manifest]:
    """All calls by the kubelet: probes, and hooks after a start and before a stop."""
    found = [container.get(name, {}) for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    found += container.get("lifecycle", {}).values()
    for each in found:
        yield each.get("httpGet", {})
        yield each.get("tcpSocket", {})
