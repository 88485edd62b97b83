"""Checks that all files have the version of a git tag, and prints its part of the changelog: .ci/release.py v0.2.0"""

import re
import sys
from pathlib import Path

VERSIONS = (
    ("pyproject.toml", r'^version = "(.+)"$'),
    ("tagwerk/pyproject.toml", r'^version = "(.+)"$'),
    ("clients/typescript/package.json", r'^  "version": "(.+)",$'),
    ("docker/Dockerfile", r"^ARG VERSION=(.+)$"),
    ("docker/chart/Chart.yaml", r"^version: (.+)$"),
    ("docker/chart/Chart.yaml", r'^appVersion: "(.+)"$'),
)


def main(tag: str) -> str:
    """Returns the notes of a version. Raises SystemExit with all that is wrong."""
    version = tag.removeprefix("v")
    wrong = []
    for path, pattern in VERSIONS:
        found = re.findall(pattern, Path(path).read_text(), re.MULTILINE)
        if found != [version]:
            wrong.append(f"{path} has the version {', '.join(found) or 'of none'}, the tag {tag}")
    notes = re.search(
        rf"^## {re.escape(version)} - .+\n((?s:.+?))(?=^## |\Z)", Path("CHANGELOG.md").read_text(), re.MULTILINE
    )
    if notes is None:
        wrong.append(f"CHANGELOG.md has no part '## {version} - DATE'")
    if wrong or notes is None:
        raise SystemExit("\n".join(wrong))
    return notes[1].strip()


if __name__ == "__main__":
    print(main(sys.argv[1]))
