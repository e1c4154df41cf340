"""The rendered manifests, as text that an API server would take."""

import pytest

import pods
from conftest import VARIANTS, run

RIGHTS = {
    "privileged": None,
    "sys-admin": {"SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"},
    "bpf": {"BPF", "PERFMON", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_passes_the_schemas_of_the_kubernetes_api(manifests, variant, tmp_path):
    path = tmp_path / "rendered.yaml"
    path.write_text(manifests[variant].text)
    run("kubernetes-validate", "--strict", "--quiet", path)


@pytest.mark.parametrize("variant", VARIANTS)
def test_agent_has_exactly_its_rights(manifests, variant):
    rights = pods.container(manifests[variant].agent)["securityContext"]
    assert rights.get("privileged", False) == (RIGHTS[variant] is None)
    assert rights["readOnlyRootFilesystem"]
    if RIGHTS[variant] is not None:
        assert rights["capabilities"]["drop"] == ["ALL"]
        assert set(rights["capabilities"]["add"]) == RIGHTS[variant]


@pytest.mark.parametrize("variant", VARIANTS)
def test_agent_sees_the_node_and_is_bounded(manifests, variant):
    pod = manifests[variant].agent
    assert pod["hostPID"] and pod["hostNetwork"]
    assert not pod["automountServiceAccountToken"]
    limits = pods.container(pod)["resources"]["limits"]
    assert pods.memory_bytes(limits["memory"]) <= 64 << 20
    assert pods.cores(limits["cpu"]) <= 0.2
    assert {"startupProbe", "livenessProbe"} <= set(pods.container(pod))
    assert all(mount["readOnly"] for mount in pods.container(pod)["volumeMounts"])


def test_variants_differ_only_in_the_agents_rights(manifests):
    def without_rights(variant):
        pod = {**manifests[variant].agent}
        pod["containers"] = [{**pods.container(pod), "securityContext": None}]
        others = [one for one in manifests[variant].all if one["kind"] != "DaemonSet"]
        return pod, others

    assert without_rights("privileged") == without_rights("sys-admin") == without_rights("bpf")


def test_agents_never_get_the_tokens_of_people_or_the_private_key(manifests):
    secrets = [volume["secret"] for volume in manifests["bpf"].agent["volumes"] if "secret" in volume]
    keys = {item["key"] for secret in secrets for item in secret["items"]}
    assert keys == {"ca.crt", "agents"}


def test_aggregator_has_no_rights(manifests):
    pod = manifests["bpf"].aggregator
    rights = pods.container(pod)["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    assert rights["capabilities"] == {"drop": ["ALL"]} and not rights["allowPrivilegeEscalation"]


def test_aggregator_keeps_settings_where_it_may_write(manifests):
    pod = manifests["bpf"].aggregator
    one = pods.container(pod)
    assert one["securityContext"]["readOnlyRootFilesystem"]
    (writable,) = [mount for mount in one["volumeMounts"] if not mount.get("readOnly")]
    assert f"--data-dir={writable['mountPath']}" in one["args"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == writable["name"]]
    assert "sizeLimit" in volume["emptyDir"]


def test_agents_dial_the_service_by_its_name(manifests):
    service = manifests["bpf"].one("Service", "mesoscope-aggregator")
    (port,) = [port["port"] for port in service["spec"]["ports"] if port["name"] == "grpc"]
    name = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert f"--aggregator=https://{name}:{port}" in pods.container(manifests["bpf"].agent)["args"]
