"""The agent as each rendered DaemonSet would run it, on this host."""

import json
import os
import pathlib
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import pods
from conftest import ROOT, run

NODE = "test-node"
SERVICE = "mesoscope-aggregator.mesoscope.svc"
PATIENCE_S = 30
AVAILABLE = {"process-events", "tcp-events", "connect-pid", "socket-snapshot", "cgroup-events", "conntrack"}
CGROUPS = pathlib.Path("/sys/fs/cgroup")
# Cgroup v1 with v2 beside it: crun refuses to start where it sees both.
HYBRID = (CGROUPS / "unified").is_dir()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Aggregator:
    """The Deployment's pod under Docker, and a person who looks at its map."""

    def __init__(self, address, secret_files):
        self.address = address
        self.token = (secret_files["mesoscope-tokens"] / "users").read_text().strip()
        self.context = ssl.create_default_context(cafile=str(secret_files["mesoscope-tls"] / "ca.crt"))
        self.context.check_hostname = False

    def get(self, path, token=None):
        request = urllib.request.Request(f"https://{self.address}:4040{path}")
        request.add_header("Authorization", f"Bearer {token or self.token}")
        with urllib.request.urlopen(request, context=self.context, timeout=5) as answer:
            return answer.read().decode()

    def nodes(self, view):
        return json.loads(self.get(f"/api/topology?view={view}&unconnected=true"))["nodes"]

    def wait_for(self, view, what, is_it):
        end = time.monotonic() + PATIENCE_S
        while True:
            nodes = self.nodes(view)
            found = [node for node in nodes if is_it(node)]
            if found:
                return found[0]
            assert time.monotonic() < end, f"no {what} among {[node['label'] for node in nodes]}"
            time.sleep(0.1)

    def capabilities(self, agent_id):
        """What the agent can see; its first status comes a moment after its first snapshot."""
        end = time.monotonic() + PATIENCE_S
        while True:
            agents = json.loads(self.get("/api/v1/agents/list"))["agents"]
            (status,) = [one["status"] for one in agents if one["agent_id"] == agent_id]
            if status:
                return {one["name"] for one in status["capabilities"] if one["available"]}
            assert time.monotonic() < end, f"{agent_id} sends no status"
            time.sleep(0.1)


def wait_until_ready(container, aggregator):
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return aggregator.get("/health")
        except (OSError, urllib.error.URLError) as error:
            logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True)
            assert time.monotonic() < end, f"{error}: {logs.stdout}{logs.stderr}"
            time.sleep(0.1)


def docker_options(pod, secret_files, folder):
    """`docker run` with what the pod asks for."""
    one = pods.container(pod)
    rights = one["securityContext"]
    options = [f"--volume={source}:{target}:{','.join(how)}" for source, target, how in pods.mounts(pod, secret_files, folder)]
    options += [f"--cap-drop={right}" for right in rights["capabilities"].get("drop", [])]
    options += [f"--cap-add={right}" for right in rights["capabilities"].get("add", [])]
    options += ["--read-only"] if rights.get("readOnlyRootFilesystem") else []
    options += ["--pid=host"] if pod.get("hostPID") else []
    options += ["--network=host"] if pod.get("hostNetwork") else []
    if rights.get("allowPrivilegeEscalation") is False:
        options.append("--security-opt=no-new-privileges")
    for name, key in (("seccomp", "seccompProfile"), ("apparmor", "appArmorProfile")):
        if rights.get(key, {}).get("type") == "Unconfined":
            options.append(f"--security-opt={name}=unconfined")
    if "runAsUser" in pod.get("securityContext", {}):
        whole = pod["securityContext"]
        options.append(f"--user={whole['runAsUser']}:{whole['runAsGroup']}")
    limits = one["resources"]["limits"]
    options += [f"--memory={pods.memory_bytes(limits['memory'])}", f"--cpus={pods.cores(limits['cpu'])}"]
    return options


@pytest.fixture(scope="module")
def aggregator(manifests, image, secret_files, tmp_path_factory):
    pod = manifests["bpf"].aggregator
    options = docker_options(pod, secret_files, tmp_path_factory.mktemp("aggregator"))
    words = pods.arguments(pods.container(pod), {})
    container = run("docker", "run", "--detach", *options, image, *words)
    try:
        address = run("docker", "inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
        one = Aggregator(address, secret_files)
        wait_until_ready(container, one)
        yield one
    finally:
        subprocess.run(["docker", "rm", "--force", container], capture_output=True)


def agent_words(pod, port, agent_id):
    """The container's command. The port of /metrics may be taken on a machine that others use too."""
    return pods.arguments(pods.container(pod), {"$(NODE_NAME)": agent_id, "127.0.0.1:4042": f"127.0.0.1:{port}"})


def ask_probe(pod, port):
    """What the kubelet does with the startup probe, on the port that the agent got."""
    probe = pods.container(pod)["startupProbe"]["httpGet"]
    assert probe["host"] == "127.0.0.1" and probe["port"] == 4042
    with urllib.request.urlopen(f"http://{probe['host']}:{port}{probe['path']}", timeout=5) as answer:
        assert answer.status == 200


def check_map(aggregator, agent_id):
    """The agent lacks nothing of what is on by default; the map shows this host, and a process that
    starts on it now."""
    aggregator.wait_for("hosts", "host", lambda node: node["id"] == f"host;{agent_id}" and node["state"] != "offline")
    assert AVAILABLE <= aggregator.capabilities(agent_id)
    marker = f"31.{os.getpid()}{time.monotonic_ns() % 1_000_000}"
    with subprocess.Popen(["sleep", marker]) as process:
        try:
            def is_it(node):
                # Between fork and exec it is still a copy of this program.
                own = f";{process.pid};" in node["id"] and agent_id in node["id"]
                return node["kind"] == "process" and own and node["label"] == "sleep"

            node = aggregator.wait_for("processes", "exec on the host", is_it)
            details = aggregator.get(f"/api/topology/processes/{urllib.request.quote(node['id'], safe='')}")
            assert marker in details, details
        finally:
            process.kill()


def test_probe_of_the_deployment(manifests, aggregator):
    probe = pods.container(manifests["bpf"].aggregator)["readinessProbe"]["httpGet"]
    assert probe["scheme"] == "HTTPS"
    # The kubelet shows no token.
    request = urllib.request.Request(f"https://{aggregator.address}:4040{probe['path']}")
    with urllib.request.urlopen(request, context=aggregator.context, timeout=5) as answer:
        assert answer.status == 200


def test_settings_survive_the_container(aggregator):
    assert json.loads(aggregator.get("/api/v1/status"))["settings_kept"]


def test_token_of_an_agent_does_not_open_the_map(aggregator, secret_files):
    token = (secret_files["mesoscope-tokens"] / "agents").read_text().strip()
    with pytest.raises(urllib.error.HTTPError) as refused:
        aggregator.get("/api/topology?view=hosts", token=token)
    assert refused.value.code in (401, 403)


def test_sys_admin_under_docker(manifests, image, aggregator, secret_files, tmp_path):
    pod, port = manifests["sys-admin"].agent, free_port()
    options = docker_options(pod, secret_files, tmp_path)
    words = agent_words(pod, port, f"{NODE}-docker")
    container = run("docker", "run", "--detach", f"--add-host={SERVICE}:{aggregator.address}", *options, image, *words)
    try:
        check_map(aggregator, f"{NODE}-docker")
        ask_probe(pod, port)
        # By the runtime's socket in /run the container has a name too.
        name = run("docker", "inspect", "--format", "{{.Name}}", container).removeprefix("/")
        aggregator.wait_for("containers", "the agent's own container by name", lambda node: node["label"] == name)
        assert run("docker", "inspect", "--format", "{{.State.OOMKilled}}", container) == "false"
    except BaseException:
        print(subprocess.run(["docker", "logs", "--tail", "40", container], capture_output=True, text=True).stderr)
        raise
    finally:
        subprocess.run(["docker", "rm", "--force", container], capture_output=True)


def oci_bundle(pod, words, image, aggregator, secret_files, folder):
    """An OCI runtime bundle with what the pod asks for: https://github.com/opencontainers/runtime-spec."""
    root = folder / "rootfs"
    root.mkdir()
    made = run("docker", "create", image)
    run("bash", "-c", f"docker export {made} | tar -C {root} -x")
    run("docker", "rm", made)
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{aggregator.address} {SERVICE}\n")
    one = pods.container(pod)
    rights = one["securityContext"]
    capabilities = [f"CAP_{right}" for right in rights["capabilities"]["add"]]
    limits = one["resources"]["limits"]
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    ]
    for source, target, how in pods.mounts(pod, secret_files, folder):
        if HYBRID and source == str(CGROUPS):
            source = str(folder / "cgroups")
        mounts.append({"destination": target, "type": "bind", "source": source, "options": ["rbind", *how]})
    # Host pid and network: no namespace of its own of these kinds.
    assert pod["hostPID"] and pod["hostNetwork"]
    config = {
        "ociVersion": "1.0.2",
        "process": {
            "args": words,
            "cwd": "/",
            "env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": {kind: capabilities for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": rights["allowPrivilegeEscalation"] is False,
        },
        "root": {"path": "rootfs", "readonly": rights["readOnlyRootFilesystem"]},
        "mounts": mounts,
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
            "cgroupsPath": f"/{folder.name}",
            "resources": {
                "memory": {"limit": pods.memory_bytes(limits["memory"])},
                "cpu": {"period": 100_000, "quota": int(pods.cores(limits["cpu"]) * 100_000)},
            },
        },
    }
    (folder / "config.json").write_text(json.dumps(config))


def crun_run(folder):
    """The command that runs the bundle. Where v1 and v2 are mounted side by side, crun gets a view
    without v2, and the container the real one."""
    crun = f"exec crun --cgroup-manager=cgroupfs run --bundle {folder} {folder.name}"
    if not HYBRID:
        return ["sh", "-c", crun]
    (folder / "cgroups").mkdir()
    hide = f"mount --rbind {CGROUPS} {folder}/cgroups && umount {CGROUPS}/unified"
    return ["unshare", "--mount", "sh", "-c", f"{hide} && {crun}"]


def test_bpf_under_crun(manifests, image, aggregator, secret_files, tmp_path):
    pod, port = manifests["bpf"].agent, free_port()
    oci_bundle(pod, agent_words(pod, port, f"{NODE}-crun"), image, aggregator, secret_files, tmp_path)
    name, log = tmp_path.name, tmp_path / "log"
    with log.open("w") as output:
        crun = subprocess.Popen(crun_run(tmp_path), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        check_map(aggregator, f"{NODE}-crun")
        ask_probe(pod, port)
        pid = json.loads(run("crun", "state", name))["pid"]
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        effective = next(line for line in status.splitlines() if line.startswith("CapEff")).split()[1]
        assert int(effective, 16).bit_count() == len(pods.container(pod)["securityContext"]["capabilities"]["add"])
    except BaseException:
        print(log.read_text())
        raise
    finally:
        subprocess.run(["crun", "kill", name, "KILL"], capture_output=True)
        crun.wait(timeout=10)
        subprocess.run(["crun", "delete", "--force", name], capture_output=True)


def test_readme_says_how_the_secrets_are_made():
    text = (ROOT / "deploy/kubernetes/README.md").read_text()
    for name in ("mesoscope-tls", "mesoscope-tokens", "subjectAltName=DNS:" + SERVICE):
        assert name in text
