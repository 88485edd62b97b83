"""Where the browser is that the page is tested in. As a program, says how to get one where there is none."""

import os
import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WANTED = "the tests of the page need Chromium: apt-get install chromium, or CHROMIUM=/path/to/it"
# It runs as root in containers, and asks nobody on its own account.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


def find_chromium() -> str | None:
    """Returns the path of a Chromium, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


if __name__ == "__main__":
    sys.exit(0 if find_chromium() else WANTED)
