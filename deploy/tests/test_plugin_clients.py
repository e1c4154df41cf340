"""Clients in Go and Python, generated from the document of plugins, ask the example in Python."""

import os
import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/plugin-api.json"
EXAMPLE = ROOT / "agent/plugins/examples/http-check.py"
# A container without an address, so that nothing is asked of the network.
CONTAINER = "container;" + "c" * 64

GO_PROGRAM = """package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	plugin "github.com/GIT_USER_ID/GIT_REPO_ID"
)

func main() {
	settings := plugin.NewConfiguration()
	settings.Servers = plugin.ServerConfigurations{{URL: "http://plugin"}}
	settings.HTTPClient = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", os.Args[1])
		},
	}}
	api := plugin.NewAPIClient(settings).PluginAPI
	ctx := context.Background()
	is, _, err := api.Describe(ctx).Execute()
	fail(err)
	fmt.Println(is.Name, is.Api)
	node := *plugin.NewNode(os.Args[2], plugin.CONTAINER, "web")
	asked := *plugin.NewReportRequest([]plugin.Node{node}, 0)
	report, _, err := api.Report(ctx).ReportRequest(asked).Execute()
	fail(err)
	facts := report.Nodes[0]
	fmt.Println(facts.Id, facts.Metadata[0].Key, facts.Metadata[0].Value, facts.Controls[0])
	done, _, err := api.Control(ctx).ControlRequest(*plugin.NewControlRequest("forget", os.Args[2])).Execute()
	fail(err)
	fmt.Println(done.GetMessage())
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
"""

PYTHON_PROGRAM = """
import sys

import httpx

from plugin_client import Client
from plugin_client.api.plugin import control, describe, report
from plugin_client.models import ControlRequest, Node, NodeKind, ReportRequest

socket, node_id = sys.argv[1:]
client = Client(base_url="http://plugin", httpx_args={"transport": httpx.HTTPTransport(uds=socket)})
who = describe.sync(client=client)
print(who.name, who.api)
node = Node(id=node_id, kind=NodeKind.CONTAINER, name="web")
facts = report.sync(client=client, body=ReportRequest(nodes=[node], time_unix_ms=0)).nodes[0]
print(facts.id, facts.metadata[0].key, facts.metadata[0].value, facts.controls[0])
print(control.sync(client=client, body=ControlRequest(control="forget", node=node_id)).message)
"""

EXPECTED = f"""http-check 1
{CONTAINER} http it has no address of its own forget
1 checks are forgotten
"""


@pytest.fixture
def plugin(tmp_path):
    """The socket of the example, which runs as it would below an agent."""
    socket = tmp_path / "socket"
    environment = {"PATH": os.environ["PATH"], "MESOSCOPE_PLUGIN_SOCKET": str(socket)}
    program = subprocess.Popen([sys.executable, EXAMPLE], env=environment)
    try:
        deadline = time.monotonic() + 30
        while not socket.exists():
            assert program.poll() is None and time.monotonic() < deadline, "it does not listen"
            time.sleep(0.05)
        yield socket
    finally:
        program.kill()
        program.wait()


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_a_go_client_is_generated_compiles_and_asks(plugin, tmp_path):
    module = tmp_path / "go"
    left_out = "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"
    options = ["--global-property", left_out, "--additional-properties", "packageName=plugin"]
    run("openapi-generator-cli", "generate", "-i", DOCUMENT, "-g", "go", "-o", module, *options)
    (module / "cmd").mkdir()
    (module / "cmd/main.go").write_text(GO_PROGRAM)
    # Nothing but Go's own library is needed, and nothing is fetched.
    alone = {"GOPROXY": "off", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    cache = {"GOCACHE": str(tmp_path / "cache"), "GOPATH": str(tmp_path / "path")}
    run("go", "build", "-o", "ask", "./cmd", cwd=module, env={**os.environ, **alone, **cache})
    assert run(module / "ask", plugin, CONTAINER) == EXPECTED


def test_a_python_client_is_generated_and_asks(plugin, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text("post_hooks: []\n")
    generator = [sys.executable, "-m", "openapi_python_client", "generate"]
    options = ["--meta", "none", "--config", settings, "--output-path", tmp_path / "plugin_client"]
    run(*generator, "--path", DOCUMENT, *options)
    (tmp_path / "ask.py").write_text(PYTHON_PROGRAM)
    assert run(sys.executable, tmp_path / "ask.py", plugin, CONTAINER) == EXPECTED
