"""A command whose output nothing reads any more, as behind `| head`."""

import os
import subprocess
import sys


def test_it_ends_without_a_traceback(tmp_path):
    keys = tmp_path / "keys.json"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        ended = subprocess.run(
            [sys.executable, "-m", "service", "keys", "add", "mail"],
            env=os.environ | {"TAGWERK_API_KEYS_FILE": str(keys)},
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "mail" in keys.read_text()
