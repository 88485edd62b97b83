"""Takes the picture of the page that the README shows: python -m tests.page.screenshot FILE"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

from tests.conftest import STORE, start_server
from tests.page.chromium import FLAGS, find_chromium
from tests.page.driving import answered

SIZE: ViewportSize = {"width": 1200, "height": 800}
COLOURS = 256  # enough for a page, at a third of the bytes


def take(url: str) -> bytes:
    """Returns the page with a tagged text and one token explained, as PNG, two pixels a pixel."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        page = browser.new_context(viewport=SIZE, device_scale_factor=2, color_scheme="light").new_page()
        page.goto(url)
        page.wait_for_selector("#tag .cost:not([hidden])")
        answered(page, "tag", page.locator("#tag .examples button").nth(2).click)
        page.locator("#tag [role=option]", has_text="that").first.hover()
        taken = page.screenshot()
        browser.close()
        return taken


def main(path: Path) -> None:
    """Starts the service, and writes the picture."""
    with (
        tempfile.TemporaryDirectory() as folder,
        start_server(Path(folder) / "log", TAGWERK_MODEL_STORE=str(STORE)) as server,
    ):
        server.wait_until_ready()
        taken = take(server.url)
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
