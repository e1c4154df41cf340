"""What the tests share: rendered manifests, the image, certificates, a running aggregator."""

import os
import pathlib
import secrets
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ["MESOSCOPE_BIN_DIR"])
BASE = "mesoscope-test-base:bookworm"
IMAGE = "mesoscope:test"
VARIANTS = ["privileged", "sys-admin", "bpf"]


def run(*command, **options):
    """Runs a command to its end; what it printed is the error where it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def pytest_terminal_summary(terminalreporter):
    """The closing line that every runner of this project prints."""
    count = {kind: len(terminalreporter.stats.get(kind, [])) for kind in ("passed", "failed", "error")}
    terminalreporter.write_line(f"{count['passed']} passed, {count['failed'] + count['error']} failed")


class Manifests:
    """The rendered manifests of one variant."""

    def __init__(self, variant):
        self.text = run("kubectl", "kustomize", ROOT / "deploy/kubernetes/overlays" / variant)
        self.all = list(yaml.safe_load_all(self.text))

    def one(self, kind, name):
        (found,) = [one for one in self.all if one["kind"] == kind and one["metadata"]["name"] == name]
        return found

    def pod(self, kind, name):
        return self.one(kind, name)["spec"]["template"]["spec"]

    @property
    def agent(self):
        return self.pod("DaemonSet", "mesoscope-agent")

    @property
    def aggregator(self):
        return self.pod("Deployment", "mesoscope-aggregator")


@pytest.fixture(scope="session")
def manifests():
    return {variant: Manifests(variant) for variant in VARIANTS}


@pytest.fixture(scope="session")
def binaries():
    names = ["mesoscope", "mesoscope-agent", "mesoscope-aggregator"]
    missing = [name for name in names if not (BINARIES / name).is_file()]
    assert not missing, f"{missing} not in {BINARIES}: cargo build --release -p " + " -p ".join(missing)
    return {name: BINARIES / name for name in names}


@pytest.fixture(scope="session")
def image(binaries, tmp_path_factory):
    """The image of deploy/image on a base made from Debian's packages."""
    if subprocess.run(["docker", "image", "inspect", BASE], capture_output=True).returncode:
        base = tmp_path_factory.mktemp("base")
        run("debootstrap", "--variant=minbase", "bookworm", base / "root")
        run("bash", "-c", f"tar -C {base}/root -c . | docker import - {BASE}")
    context = tmp_path_factory.mktemp("context")
    run("install", "-D", "-t", context, *binaries.values())
    run("docker", "build", "-f", ROOT / "deploy/image/Dockerfile", "--build-arg", f"BASE={BASE}", "-t", IMAGE, context)
    return IMAGE


@pytest.fixture(scope="session")
def secret_files(tmp_path_factory):
    """The Secrets, made as the README says, as folders: {secret name: folder}."""
    folder = tmp_path_factory.mktemp("secrets")
    # The aggregator's pod runs as a user of its own: fsGroup gives it the group.
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    tls, tokens = folder / "mesoscope-tls", folder / "mesoscope-tokens"
    for one in (tls, tokens):
        one.mkdir(mode=0o755)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("openssl", "req", "-x509", *key, "-days", "2", "-keyout", folder / "ca.key", "-out", tls / "ca.crt", "-subj", "/CN=mesoscope CA")
    run("openssl", "req", *key, "-keyout", tls / "tls.key", "-out", folder / "tls.csr", "-subj", "/CN=mesoscope-aggregator")
    (folder / "san").write_text("subjectAltName=DNS:mesoscope-aggregator.mesoscope.svc,DNS:localhost\n")
    run("openssl", "x509", "-req", "-in", folder / "tls.csr", "-CA", tls / "ca.crt", "-CAkey", folder / "ca.key",
        "-CAcreateserial", "-days", "2", "-extfile", folder / "san", "-out", tls / "tls.crt")
    for name in ("agents", "users"):
        (tokens / name).write_text(secrets.token_hex(32) + "\n")
    return {"mesoscope-tls": tls, "mesoscope-tokens": tokens}
