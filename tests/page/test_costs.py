"""What an answer cost, and the strip with what the service does."""

import re
import time

import pytest

from tests.page.driving import run, unfold, until


def costs(page, panel: str) -> dict[str, str]:
    unfold(page, f"#{panel} .cost")
    rows = page.locator(f"#{panel} .cost dl div").all()
    return {row.locator("dt").inner_text(): row.locator("dd").inner_text() for row in rows}


def tenths(shown: str) -> int:
    """Returns a figure as tenths of a millisecond; it must have one digit after the point, or three of a second."""
    assert re.fullmatch(r"\d+\.\d ms|\d+\.\d{3} s", shown), shown
    return round(seconds(shown) * 10_000)


@pytest.mark.parametrize(("panel", "path"), [("tag", "/tag"), ("classify", "/classify")])
def test_the_stages_and_the_batch_are_those_of_the_header(page, panel, path):
    headers: list[str] = []  # of all answers: a text that is typed slowly is asked for before the button is pressed
    page.on("response", lambda r: headers.append(r.headers["server-timing"]) if r.url.endswith(path) and r.ok else None)
    run(page, panel, "A dog barks. A cat sleeps.")
    header = headers[-1]
    shown = costs(page, panel)
    for name, ms in re.findall(r"(tokenize|queue|inference);dur=([\d.]+)", header):
        value, unit = shown[name].split()
        assert unit == "ms"
        assert abs(float(value) - float(ms)) <= 0.5
    batch = re.search(r'batch;desc="batch of (\d+)"', header)
    assert batch is not None
    assert shown["batch size"] == batch[1]
    assert "network" in shown
    parts = [tenths(text) for name, text in shown.items() if name not in ("per token", "batch size")]
    heading = page.locator(f"#{panel} .cost summary").inner_text().removeprefix("Time: ")
    assert sum(parts) == tenths(heading), "the stages add up to the whole, as shown"
    assert page.locator(f"#{panel} .stages span").count() == 5


def test_a_text_that_is_written_says_when_it_began_and_how_fast_it_was(page):
    run(page, "generate", "ROMEO:", max_tokens=50, seed=7)
    shown = costs(page, "generate")
    assert {"queue", "batch size", "to the first character", "characters per second"} <= shown.keys()
    characters, took = written(page)
    assert abs(float(shown["characters per second"]) - characters / seconds(took)) <= 0.51
    assert seconds(shown["to the first character"]) <= seconds(took)
    assert shown["to the last character"] == took
    assert page.locator("#generate .prompt").inner_text() == "ROMEO:"
    assert page.locator("#generate .facts").inner_text().startswith(f"{characters} characters, ended at the length")
    heading = page.locator("#generate .cost summary").inner_text()
    assert heading.startswith("Time until the answer began: "), "the stages are those until the answer began"


def written(page) -> tuple[int, str]:
    """Returns how many characters were written, and the time as shown."""
    summary = re.match(r"(\d+) characters in ([\d.]+ m?s)", page.locator("#generate .summary").inner_text())
    assert summary is not None
    return int(summary[1]), summary[2]


def seconds(shown: str) -> float:
    value, unit = shown.split()
    return float(value) / {"s": 1, "ms": 1000}[unit]


def strip(page) -> dict[str, str]:
    tiles = page.locator(".strip dl div").all()
    return {tile.locator("dt").inner_text(): tile.locator("dd").inner_text() for tile in tiles}


def test_the_strip_shows_what_the_service_does(page):
    """The figures are those of the last ten seconds: of the requests of this test, and of the page itself none."""
    unfold(page, ".strip details")
    until(page, "document.querySelector('.strip polyline').getAttribute('points')")
    for _ in range(3):
        run(page, "tag", "A dog barks at the moon.")
    until(page, "document.querySelector('.strip dl div:nth-child(4) dd').textContent.includes('%')")
    shown = strip(page)
    assert float(shown["Requests"].split()[0]) > 0
    assert re.fullmatch(r"[\d.]+ m?s", shown["Latency, p50"])
    assert re.fullmatch(r"[\d.]+ m?s", shown["Latency, p99"])
    assert re.fullmatch(r"\d{1,2} %", shown["Padding waste"])
    for spark in page.locator(".strip polyline").all():
        assert len(spark.get_attribute("points").split()) >= 1


def test_a_page_that_is_hidden_or_has_the_figures_folded_away_does_not_scrape(open_page):
    page = open_page(clock=True)
    scrapes: list[str] = []  # that have begun
    page.on("request", lambda request: scrapes.append(request.url) if request.url.endswith("/metrics") else None)

    def scraped() -> bool:
        """Returns True once four more have begun, False if none has in twenty seconds of the page's clock."""
        before, seconds, end = len(scrapes), 0, time.monotonic() + 30
        while len(scrapes) < before + 4:
            if len(scrapes) == before and seconds == 20:
                return False
            assert time.monotonic() < end, "the page scrapes no longer"
            page.clock.run_for(1000)
            page.evaluate("fetch('livez')")  # gives an answer time to arrive
            seconds += 1
        return True

    def hide(hidden: bool) -> None:
        page.evaluate("h => Object.defineProperty(document, 'hidden', { value: h, configurable: true })", hidden)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    assert not scraped()
    fold = page.locator(".strip summary").click
    fold()
    assert scraped()
    hide(True)
    assert not scraped()
    hide(False)
    assert scraped()
    fold()
    assert not scraped()
