"""Runs the locustfile without its page, against a service that it starts, or one that runs.

    python -m loadtests.load
    python -m loadtests.load --host http://127.0.0.1:8000 --users 64 --seconds 300 -- --tags tag --most-p99-ms 100

What follows -- goes to Locust. The report is a page with plots. The exit status is not 0 where a limit is broken.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from loadtests.rounds import say
from loadtests.servers import running, start_service

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
REPORT = Path("build/loadtests/locust.html")


def run(host: str, users: int, seconds: int, further: list[str]) -> int:
    """Loads a service; returns Locust's exit status."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    program = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--headless", "--only-summary"]
    length = ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s"]
    status = subprocess.run([*program, *length, "--host", host, "--html", str(REPORT), *further]).returncode
    say(f"see {REPORT}")
    return status


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.load", description="Loads the service with Locust.")
    parser.add_argument("--host", help="a service that runs, http://127.0.0.1:8000; without it, one is started")
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("further", nargs="*", help="options for Locust, after --")
    options = parser.parse_args()
    rest = (options.users, options.seconds, options.further)
    if options.host:
        return run(options.host, *rest)
    try:
        say("starting the service, which compiles for a minute or two")
        with running(start_service) as service:
            return run(f"http://{service.address}", *rest)
    except RuntimeError as error:
        say(f"load: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
