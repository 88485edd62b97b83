// The client against a server that fails as told. It is the installed package, which imports of its name find.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { text as read } from "node:stream/consumers";
import { test } from "node:test";
import { Client, ClientError, DeadlineExceeded, Refused, Unavailable } from "tagwerk-client";

const GOOD = { results: [{ label: "positive", scores: { positive: 1 } }] };
const good = (response) => response.end(JSON.stringify(GOOD));
const hang = () => undefined;
const cut = (response) => response.destroy();
const problem = (status, seconds) => (response) => {
  if (seconds !== undefined) response.setHeader("Retry-After", seconds);
  response.writeHead(status).end(JSON.stringify({ type: "urn:test", title: "A test", status, detail: "as told", errors: [] }));
};

/** Serves by handlers in turn, the last for ever; calls `use` with a client and the requests that have come. */
async function serving(handlers, options, use) {
  const seen = [];
  const server = createServer(async (request, response) => {
    const body = await read(request);
    seen.push({ body, at: performance.now(), timeoutMs: Number(request.headers["x-request-timeout-ms"]) });
    (handlers.length > 1 ? handlers.shift() : handlers[0])(response, body, request);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  try {
    await use(new Client(`http://127.0.0.1:${server.address().port}`, options), seen);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("a refused request is sent again after Retry-After, with the time that is left", () =>
  serving([problem(429, 1), good], {}, async (client, seen) => {
    assert.equal((await client.classify("a"))[0].label, "positive");
    assert.ok(seen[1].at - seen[0].at >= 990);
    assert.ok(seen[1].timeoutMs <= seen[0].timeoutMs - 990);
  }));

test("without capacity until the deadline, the last refusal is thrown", () =>
  serving([problem(503, 1)], { timeoutMs: 1900 }, async (client, seen) => {
    const last = (error) => (error instanceof DeadlineExceeded ? error.cause : error); // of an attempt that was too late
    await assert.rejects(client.classify("a"), (error) => last(error) instanceof Unavailable && last(error).problem.status === 503);
    assert.ok(seen.length <= 2);
  }));

for (const failure of [problem(500), problem(502), (response) => response.writeHead(502).end("<html>"), cut])
  test("other failures are tried again while the budget lasts", () =>
    serving([failure, failure, good], {}, async (client, seen) => {
      assert.equal((await client.classify("a"))[0].label, "positive");
      assert.equal(seen.length, 3);
    }));

test("a service that fails gets few more requests", () =>
  serving([problem(500)], { timeoutMs: 500 }, async (client, seen) => {
    for (let i = 0; i < 30; i += 1) await assert.rejects(client.classify("a"), ClientError);
    assert.ok(seen.length <= 30 + 10 + 30 * 0.2, `${seen.length}`);
  }));

test("an invalid request is sent once", () =>
  serving([problem(422)], {}, async (client, seen) => {
    await assert.rejects(client.classify("a"), (error) => error instanceof Refused && error.problem.status === 422);
    assert.equal(seen.length, 1);
  }));

test("a call ends at its deadline, and when it is aborted", () =>
  serving([hang], {}, async (client) => {
    await assert.rejects(client.classify("a", {}, { timeoutMs: 100 }), DeadlineExceeded);
    const stop = new AbortController();
    const reason = new Error("enough");
    setTimeout(() => stop.abort(reason), 50);
    await assert.rejects(client.classify("a", {}, { signal: stop.signal }), reason);
    await assert.rejects(client.classifyLines(["a"], {}, { signal: stop.signal }).next(), reason);
  }));

test("at most `connections` requests are under way", async () => {
  let underWay = 0;
  let most = 0;
  const slow = (response) => {
    most = Math.max(most, (underWay += 1));
    setTimeout(() => ((underWay -= 1), good(response)), 50);
  };
  await serving([slow], { connections: 3 }, (client) => Promise.all(Array.from({ length: 30 }, () => client.classify("a"))));
  assert.equal(most, 3);
});

/** Answers each line with its text as the label; `broken` says what becomes of a line instead. */
const labels = (broken = () => undefined) => (response, body) => {
  for (const line of body.trimEnd().split("\n")) {
    const { id, text } = JSON.parse(line);
    const error = broken(text);
    if (error === "cut") return response.end();
    response.write(JSON.stringify(error ? { id, error } : { id, results: [{ label: text, scores: {} }] }) + "\n");
  }
  response.end();
};
const document = (status) => ({ type: "urn:test", title: "A test", status, detail: "as told", errors: [] });
const numbers = function* (count) {
  for (let i = 0; i < count; i += 1) yield String(i);
};

test("lines come in order, and those without an answer are sent again", async () => {
  const broken = new Map([["7", "cut"], ["300", document(503)]]); // once each
  const once = (text) => [broken.get(text), broken.delete(text)][0];
  await serving([labels(once)], {}, async (client, seen) => {
    const got = [];
    for await (const { label } of client.classifyLines(numbers(1000))) got.push(label);
    assert.deepEqual(got, [...numbers(1000)]);
    assert.equal(seen.length, Math.ceil(1000 / 128) + 2);
    assert.ok(seen.some(({ body }) => body.startsWith('{"id":44,') && body.indexOf("\n") === body.length - 1), "300 alone");
  });
});

test("a refused line throws after the results before it, or is yielded", () =>
  serving([labels((text) => (text === "2" ? document(422) : undefined))], {}, async (client) => {
    const got = [];
    await assert.rejects(async () => {
      for await (const { label } of client.classifyLines(numbers(4))) got.push(label);
    }, Refused);
    assert.deepEqual(got, ["0", "1"]);
    const all = [];
    for await (const one of client.classifyLines(numbers(4), {}, { returnErrors: true })) all.push(one instanceof Refused || one.label);
    assert.deepEqual(all, ["0", "1", true, "3"]);
  }));

test("a refusal without an id is that of the line in its place", () =>
  serving([(response) => response.end(`{"id":0,"results":[{"label":"0"}]}\n${JSON.stringify({ error: document(400) })}\n{"id":2,"results":[{"label":"2"}]}\n`)], {}, async (client) => {
    const all = [];
    for await (const one of client.classifyLines(numbers(3), {}, { returnErrors: true })) all.push(one instanceof Refused || one.label);
    assert.deepEqual(all, ["0", true, "2"]);
  }));

test("a source is read no faster than results are taken, and closed when they are not taken to the end", () =>
  serving([labels()], {}, async (client) => {
    let given = 0;
    let closed = false;
    async function* endless() {
      try {
        for (;;) yield String((given += 1));
      } finally {
        closed = true;
      }
    }
    for await (const { label } of client.classifyLines(endless())) if (label === "300") break;
    while (!closed) await new Promise((later) => setTimeout(later, 1));
    assert.ok(given < 300 + 128 * 6, `${given}`);
  }));

test("results come while the source waits, and its error follows them", () =>
  serving([labels()], {}, async (client) => {
    let answered;
    async function* source() {
      yield "a";
      await new Promise((resolve) => (answered = resolve));
      throw new Error("the source");
    }
    const results = client.classifyLines(source());
    assert.equal((await results.next()).value.label, "a");
    answered();
    await assert.rejects(results.next(), /the source/);
  }));

test("a stream yields pieces, also of characters that are cut, and throws its error", async () => {
  const bytes = Buffer.from('data: {"index": 0, "text": "é"}\n\n: idle\n\nevent: error\ndata: ' + JSON.stringify(document(500)) + "\n\n");
  const slowly = async (response) => {
    for (const byte of bytes) {
      response.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    response.end();
  };
  await serving([slowly], {}, async (client) => {
    const pieces = client.generateStream("a");
    assert.deepEqual((await pieces.next()).value, { index: 0, text: "é" });
    await assert.rejects(pieces.next(), Unavailable);
  });
  await serving([(response) => response.write('data: {"index": 0, "text": "b"}\n\n')], { timeoutMs: 3000 }, async (client) => {
    const pieces = client.generateStream("a");
    await pieces.next();
    await assert.rejects(pieces.next(), DeadlineExceeded);
  });
});
