"""A plugin that does what none should; how, its first argument says."""

import http.server
import json
import os
import socket
import socketserver
import sys
import time

HOW = sys.argv[1]
SOCKET = os.environ["MESOSCOPE_PLUGIN_SOCKET"]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = "another" if HOW == "another" else "hostile"
        self.answer({"api": 1, "name": name, "version": "1"})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen = [node["id"] for node in asked.get("nodes", [])]
        if HOW == "slow":
            time.sleep(60)
        if HOW == "huge":
            self.send_response(200)
            self.end_headers()
            for _ in range(64):
                self.wfile.write(b"[" * 65536)
            return
        if HOW == "garbage":
            self.wfile.write(b"\x16\x03\x01\x00\xa5" * 100)
            return
        good = {"key": "good", "value": "yes"}
        self.answer(
            {
                "nodes": [
                    {
                        "id": seen[0],
                        "metadata": [good, {"key": "undeclared", "value": "x"}],
                        "metrics": [{"key": "figure", "value": -1}],
                        "controls": ["go", "halt"],
                    },
                    {"id": "container;" + "c" * 64, "metadata": [good]},
                    {"id": "process;1;1", "controls": ["go"]},
                ]
            }
        )

    def answer(self, body):
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "agent"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


if HOW == "link":
    os.symlink(sys.argv[2], SOCKET)
    time.sleep(600)
if HOW == "bomb":
    # Children that would outlive it, each in the way of the next agent.
    while os.fork() == 0 and not os.path.exists("/nonexistent"):
        time.sleep(0.01)
    time.sleep(600)
if HOW == "memory":
    held = bytearray(1 << 30)
Server(SOCKET, Handler).serve_forever()
