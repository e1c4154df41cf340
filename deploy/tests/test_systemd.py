"""The units, and the agent under exactly the rights that its unit gives."""

import re

import pytest

import test_manifests
from conftest import ROOT, run

FOLDER = ROOT / "deploy/systemd"
SERVICES = ["mesoscope-agent", "mesoscope-aggregator"]


def setting(service, key):
    return re.search(rf"^{key}=(.*)$", (FOLDER / f"{service}.service").read_text(), re.M).group(1)


@pytest.mark.parametrize("service", SERVICES)
def test_unit_is_valid(service, binaries, tmp_path):
    text = (FOLDER / f"{service}.service").read_text()
    path = tmp_path / f"{service}.service"
    path.write_text(text.replace(f"/usr/local/bin/{service}", str(binaries[service])))
    assert run("systemd-analyze", "verify", path) == ""


@pytest.mark.parametrize("service", SERVICES)
def test_configuration_file_is_taken(service, binaries, secret_files):
    # The unit names key and tokens in the environment.
    environment = {"PATH": "/usr/bin"}
    if service == "mesoscope-aggregator":
        environment |= {
            "MESOSCOPE_TLS_CERT": str(secret_files["mesoscope-tls"] / "tls.crt"),
            "MESOSCOPE_TLS_KEY": str(secret_files["mesoscope-tls"] / "tls.key"),
            "MESOSCOPE_AGENT_TOKEN_FILE": str(secret_files["mesoscope-tokens"] / "agents"),
            "MESOSCOPE_USER_TOKEN_FILE": str(secret_files["mesoscope-tokens"] / "users"),
        }
    name = service.removeprefix("mesoscope-")
    printed = run(binaries[service], "--config", FOLDER / f"{name}.toml", "--print-config", env=environment)
    assert {"agent": "https://map.example.org:4041", "aggregator": "0.0.0.0"}[name] in printed


def test_environment_names_of_the_unit_are_options(binaries):
    names = re.findall(r"MESOSCOPE_([A-Z_]+)=", setting("mesoscope-aggregator", "Environment"))
    text = run(binaries["mesoscope-aggregator"], "--help")
    assert len(names) == 4
    assert all("--" + name.lower().replace("_", "-") in text for name in names)


def test_state_directory_of_the_unit_is_taken(binaries):
    folder = "/var/lib/" + setting("mesoscope-aggregator", "StateDirectory")
    printed = run(binaries["mesoscope-aggregator"], "--print-config", env={"PATH": "/usr/bin", "STATE_DIRECTORY": folder})
    assert f'data_dir = "{folder}"' in printed


def test_agent_sees_everything_with_the_rights_of_its_unit(binaries):
    rights = {right.removeprefix("CAP_") for right in setting("mesoscope-agent", "CapabilityBoundingSet").split()}
    assert rights == test_manifests.RIGHTS["bpf"]
    bounding = ",".join(["-all", *(f"+{right.lower()}" for right in sorted(rights))])
    printed = run("setpriv", "--bounding-set", bounding, "--no-new-privs", binaries["mesoscope-agent"], "features")
    for capability in ("process-events", "tcp-events", "connect-pid", "socket-snapshot", "cgroup-events"):
        (line,) = [line for line in printed.splitlines() if re.search(rf"\b{capability}\b", line)]
        assert re.search(r"\b(yes|available)\b|✓", line), printed
