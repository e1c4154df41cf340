#!/usr/bin/python3
"""A plugin in Python, without any library: does the HTTP server in a container answer, and how fast?

It asks the containers that the agent tells it of at the port of their label http-check.port, below the
path of http-check.path.
"""

import collections
import concurrent.futures
import http.client
import http.server
import json
import os
import socketserver
import threading
import time

NAME, VERSION = "http-check", "1.0.0"
PATIENCE_S = 2
CHECKS_KEPT = 10
# Threads are counted with the whole of their stack.
threading.stack_size(256 * 1024)


class HttpCheck:
    """What it knows, by the ids of nodes."""

    def __init__(self):
        self.checks = {}
        self.lock = threading.Lock()
        self.workers = concurrent.futures.ThreadPoolExecutor(8)

    def describe(self):
        return {"api": 1, "name": NAME, "version": VERSION}

    def report(self, asked):
        nodes = asked["nodes"]
        with self.lock:
            # What is gone is forgotten.
            gone = self.checks.keys() - {node["id"] for node in nodes}
            for node_id in gone:
                del self.checks[node_id]
        return {"nodes": list(self.workers.map(self.facts, nodes))}

    def facts(self, node):
        answer, took_ms = check(node)
        now_ms = int(time.time() * 1000)
        with self.lock:
            checks = self.checks.setdefault(node["id"], collections.deque(maxlen=CHECKS_KEPT))
            checks.appendleft((now_ms, answer, took_ms))
            rows = [
                [time.strftime("%H:%M:%S", time.gmtime(at / 1000)), said, "" if took is None else f"{took:.0f}"]
                for at, said, took in checks
            ]
        return {
            "id": node["id"],
            "metadata": [
                {"key": "http", "value": answer},
                {"key": "checked", "value": str(now_ms)},
            ],
            "metrics": [] if took_ms is None else [{"key": "http_ms", "value": round(took_ms, 1)}],
            "tables": [{"key": "checks", "rows": rows}],
            "controls": ["forget"],
        }

    def control(self, asked):
        with self.lock:
            forgotten = len(self.checks.pop(asked["node"], ()))
        return {"message": f"{forgotten} checks are forgotten"}


def check(node):
    """What a container answers, and after how many milliseconds; None when it does not."""
    labels = {label["key"]: label["value"] for label in node.get("labels", [])}
    addresses = node.get("addresses", [])
    if not addresses:
        return "it has no address of its own", None
    began = time.monotonic()
    try:
        port = int(labels["http-check.port"])
        connection = http.client.HTTPConnection(addresses[0], port, timeout=PATIENCE_S)
        try:
            connection.request("GET", labels.get("http-check.path", "/"))
            response = connection.getresponse()
            return f"{response.status} {response.reason}"[:100], (time.monotonic() - began) * 1000
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"none: {error}"[:100], None


class Handler(http.server.BaseHTTPRequestHandler):
    """The interface of plugins: docs/plugin-api.json."""

    def do_GET(self):
        if self.path != "/v1/describe":
            return self.answer(404, {"error": "no such path"})
        self.answer(200, self.server.plugin.describe())

    def do_POST(self):
        handlers = {"/v1/report": self.server.plugin.report, "/v1/control": self.server.plugin.control}
        handler = handlers.get(self.path)
        if handler is None:
            return self.answer(404, {"error": "no such path"})
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            self.answer(200, handler(json.loads(asked)))
        except Exception as error:  # The agent says it in the map.
            self.answer(500, {"error": str(error)[:500]})

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "agent"

    def log_request(self, *_):
        """What goes well is not worth a line in the agent's log."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    server = Server(os.environ["MESOSCOPE_PLUGIN_SOCKET"], Handler)
    server.plugin = HttpCheck()
    server.serve_forever()
