"""docs/security.md names, for each limit, a test that there is."""

import re

from tests.conftest import ROOT


def test_each_limit_has_a_test():
    page = (ROOT / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| .*\|$", page.split("## Limits")[1].split("\n## ")[0], re.MULTILINE)[2:]
    tests = set(
        re.findall(
            r"^(?:async )?def (test_\w+)", "".join(f.read_text() for f in ROOT.glob("tests/**/test_*.py")), re.MULTILINE
        )
    )
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named or row.startswith("| connections |"), row  # which are the system's own limit
        assert tests.issuperset(named), row
