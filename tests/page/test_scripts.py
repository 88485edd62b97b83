"""The page's own readers of formats, in the browser, against those of others."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

CHUNKS = """async (chunks) => {
    const { readEvents } = await import("/page/api.js");
    const bytes = chunks.map((chunk) => Uint8Array.from(chunk));
    const body = new ReadableStream({ start(c) { for (const b of bytes) c.enqueue(b); c.close(); } });
    const seen = [];
    for await (const event of readEvents({ body })) seen.push([event.kind, event.data]);
    return seen;
}"""


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_are_read_however_they_are_cut(page, size):
    sent = 'data: {"text":"ä🙂"}\n\n: \n\nevent: finish\ndata: {"n":\ndata: 2}\n\ndata: {"cut": '.encode()
    chunks = [list(sent[i : i + size]) for i in range(0, len(sent), size)]
    assert page.evaluate(CHUNKS, chunks) == [["message", {"text": "ä🙂"}], ["finish", {"n": 2}]]


def test_metrics_are_read_and_compared(page):
    registry = CollectorRegistry()
    counter = Counter("made", "Things.", ["kind"], registry=registry)
    took = Histogram("took_seconds", "Time.", ["route"], registry=registry, buckets=(0.1, 0.2, 0.4))
    counter.labels('a "quoted\\ one"').inc(3)
    took.labels("/tag").observe(0.15)
    before = generate_latest(registry).decode()
    counter.labels('a "quoted\\ one"').inc(2)
    counter.labels("b").inc(1)
    for seconds in (0.11, 0.12, 0.13, 0.3):
        took.labels("/tag").observe(seconds)
    took.labels("/other").observe(9)
    found = page.evaluate(
        """async ([before, after]) => {
            const { increase, parse, quantile } = await import("/page/metrics.js");
            const [a, b] = [parse(before), parse(after)];
            const of = (q, route) => quantile(a, b, "took_seconds_bucket", q, (labels) => labels.route === route);
            return [increase(a, b, "made_total"), increase(a, b, "made_total", (labels) => labels.kind === "b"),
                    of(0.5, "/tag"), of(0.99, "/tag"), of(0.5, "/other"), of(0.5, "/none"),
                    increase(b, a, "made_total")];
        }""",
        [before, generate_latest(registry).decode()],
    )
    # Of four, two lie two thirds into the bucket 0.1 to 0.2 that holds three; a process that began anew counts from 0.
    assert found == [3, 1, pytest.approx(0.1 + 0.1 * 2 / 3), pytest.approx(0.2 + 0.2 * 0.96), 0.4, None, 3]


def test_figures_are_written_with_their_units(page):
    """No share is rounded up to certainty or down to nothing, and log-odds are no share."""
    write = "async ([name, values]) => { const dom = await import('/page/dom.js'); return values.map(dom[name]) }"
    shares = {0: "0.0 %", 0.00001: "< 0.01 %", 0.0004: "0.04 %", 0.5: "50.0 %", 0.9994: "99.9 %", 0.9995: "99.95 %"}
    shares |= {0.99989: "99.99 %", 0.99996: "> 99.99 %", 1: "100 %"}
    assert page.evaluate(write, ["percent", [*shares]]) == [*shares.values()]
    odds = {-12.345: "−12.35", -0.715: "−0.71", -0.004: "0.00", 0: "0.00", 0.0051: "+0.01", 1: "+1.00", 2.306: "+2.31"}
    assert page.evaluate(write, ["signed", [*odds]]) == [*odds.values()]
    sums = [[0.26, 0.26, 0.26], [0.04, 0.04, 0.0], [999.96, 0.05], [1234.4, 0.4, 0.4]]
    figures = [["0.8 ms", "0.3 ms", "0.2 ms", "0.3 ms"], ["0.1 ms", "0.0 ms", "0.1 ms", "0.0 ms"]]
    figures += [["1.000 s", "1.000 s", "0.000 s"], ["1.235 s", "1.234 s", "0.001 s", "0.000 s"]]
    assert page.evaluate(write, ["durations", sums]) == figures, "the sum comes first, and the rounded figures add up"
    times = {0.123: "0.12 ms", 1.25: "1.3 ms", 12.3: "12 ms", 999: "999 ms", 1000: "1.00 s", 61_234: "61.23 s"}
    assert page.evaluate(write, ["duration", [*times]]) == [*times.values()]


def test_the_strip_counts_what_clients_ask_for(page):
    """Per second, the requests to all routes that do a task; probes and the page's own files are none."""
    routes = ["/tag", "/classify", "/v2/models/{name}/versions/{version}/infer", "/readyz", "/metrics", "/page/{name}"]

    def exposition(count: int) -> str:
        lines = [f'tagwerk_requests_total{{route="{route}",status="200"}} {count}' for route in routes]
        cells = [("batch", 4 * count), ("padding", count)]
        return "\n".join([*lines, *(f'tagwerk_{kind}_cells_total{{model="m"}} {number}' for kind, number in cells)])

    found = page.evaluate(
        """async ([before, after]) => {
            const { figures, parse } = await import("/page/metrics.js");
            return figures({ at: 0, samples: parse(before) }, { at: 10, samples: parse(after) });
        }""",
        [exposition(0), exposition(20)],
    )
    assert found == {"throughput": 6, "p50": None, "p99": None, "padding": 0.25}
