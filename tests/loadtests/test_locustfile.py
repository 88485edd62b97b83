"""The locustfile, run by Locust itself against a server of the test's own."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.conftest import ROOT

RIGHT = {"sentences": [], "label": "positive", "text": "a"}


@contextmanager
def answering(status: int, content: bytes = json.dumps({"results": [RIGHT]}).encode()):
    """Serves that status and content to each request; yields its address and the requests."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def locust(host: str, asked: list[tuple[str, Any]], *options: str, enough: int = 20) -> tuple[int, str]:
    """Runs Locust until it has asked that much; returns its exit status and what it printed."""
    program = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--only-summary"]
    users = ["--users", "2", "--spawn-rate", "2", "--run-time", "100s", "--host", host]
    command = [*program, *users, *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while len(asked) < enough and process.poll() is None:
            time.sleep(0.05)
        process.terminate()
        printed = process.communicate(timeout=60)[0]
    return process.returncode, printed


def test_a_run_asks_all_endpoints_in_lengths_that_differ():
    with answering(200) as (host, asked):
        status, printed = locust(host, asked, "--most-p99-ms", "60000", enough=200)
    assert status == 0, printed
    count = Counter(path for path, _ in asked)
    assert count["/tag"] > count["/classify"] > count["/generate"] > 0
    assert len({len(body["text"].split()) for path, body in asked if path == "/tag"}) > 1


def test_a_limit_that_is_broken_fails_the_run():
    with answering(503) as (host, asked):
        limits = ("--most-p99-ms", "0", "--least-rate", "1000000")
        status, printed = locust(host, asked, "--tags", "tag", *limits)
    assert status == 1, printed
    assert "LIMIT BROKEN: 100.00 % failed, more than 0 %" in printed
    assert "answers a second, fewer than 1e+06" in printed
    assert "LIMIT BROKEN: the p99 of /tag is" in printed
