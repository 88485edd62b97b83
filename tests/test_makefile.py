"""The Makefile: installations of the versions of the lock file, and a service that SIGTERM reaches."""

import contextlib
import os
import re
import shlex
import signal
import subprocess

from tests.conftest import ROOT


def test_what_pip_is_given_are_the_versions_of_the_lock_file_without_hashes(tmp_path):
    (command,) = re.findall(r"^CONSTRAINTS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    lock = (
        "a==1 \\\n    --hash=sha256:0 \\\n    --hash=sha256:1\nb==2 ; sys_platform == 'linux' \\\n    --hash=sha256:2\n"
    )
    (tmp_path / "requirements.lock").write_text(lock)
    made = subprocess.run(
        shlex.split(command.replace("$$", "$")), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert made.stdout == "a==1\nb==2 ; sys_platform == 'linux'\n"


def test_every_version_of_the_lock_file_has_a_hash():
    pinned = re.findall(r"^[^ #].*$(?:\n +--hash=.*$)*", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert len(pinned) > 100
    assert [one for one in pinned if "--hash=sha256:" not in one] == []


def test_sigterm_to_make_serve_reaches_the_service(tmp_path):
    for name in ("pyproject.toml", "requirements.lock"):
        (tmp_path / name).touch()
    service = tmp_path / ".venv" / "bin" / "tagwerk"
    service.parent.mkdir(parents=True)
    service.write_text("#!/bin/sh\ntrap 'echo stopped; exit 0' TERM\necho started\nwhile :; do sleep 0.1; done\n")
    service.chmod(0o755)
    (tmp_path / ".venv" / "installed").touch()
    command = ["make", "--silent", "--file", str(ROOT / "Makefile"), "serve"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True) as make:
        try:
            assert make.stdout is not None
            assert make.stdout.readline() == "started\n"
            make.send_signal(signal.SIGTERM)
            make.wait(timeout=30)
            os.set_blocking(make.stdout.fileno(), False)
            assert make.stdout.readline() == "stopped\n"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(make.pid, signal.SIGKILL)
