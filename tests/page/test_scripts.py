"""The page's own readers of formats, in the browser, against those of others."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

CHUNKS = """async (chunks) => {
    const { events } = await import("/page/api.js");
    const bytes = chunks.map((chunk) => Uint8Array.from(chunk));
    const body = new ReadableStream({ start(c) { for (const b of bytes) c.enqueue(b); c.close(); } });
    const seen = [];
    for await (const event of events({ body })) seen.push([event.kind, event.data]);
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
            const { grew, parse, quantile } = await import("/page/metrics.js");
            const [a, b] = [parse(before), parse(after)];
            const of = (q, route) => quantile(a, b, "took_seconds_bucket", q, (labels) => labels.route === route);
            return [grew(a, b, "made_total"), grew(a, b, "made_total", (labels) => labels.kind === "b"),
                    of(0.5, "/tag"), of(0.99, "/tag"), of(0.5, "/other"), of(0.5, "/none"), grew(b, a, "made_total")];
        }""",
        [before, generate_latest(registry).decode()],
    )
    # Of four, two lie two thirds into the bucket 0.1 to 0.2 that holds three; a process that began anew counts from 0.
    assert found == [3, 1, pytest.approx(0.1 + 0.1 * 2 / 3), pytest.approx(0.2 + 0.2 * 0.96), 0.4, None, 3]


def test_a_timing_header_is_read(page):
    header = 'queue;dur=1.5, total;desc="all, of it";dur=2, batch;desc="batch of 16", hit'
    found = page.evaluate("async (h) => (await import('/page/cost.js')).timings(h)", header)
    assert found == {
        "queue": {"dur": "1.5"},
        "total": {"desc": "all, of it", "dur": "2"},
        "batch": {"desc": "batch of 16"},
        "hit": {},
    }


def test_a_problem_document_becomes_sentences(page):
    say = "async (p) => (await import('/page/api.js')).sentence(p)"
    assert page.evaluate(say, {"title": "The device failed", "detail": "it is on fire"}) == (
        "The device failed. It is on fire."
    )
    errors = [{"pointer": "/top_p", "problem": "got 0", "allowed": "greater than 0"}]
    assert page.evaluate(say, {"title": "The request is not valid", "detail": "x", "errors": errors}) == (
        "The request is not valid. Top p: got 0; allowed: greater than 0."
    )
