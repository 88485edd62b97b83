"""The client for JavaScript and TypeScript, packed and installed as others would: its types, in Node, in a browser."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
from playwright.sync_api import Route, sync_playwright

from tests.clients.typescript_types import SOURCE, generated
from tests.conftest import ROOT, Server
from tests.node import install, run_node
from tests.page.chromium import FLAGS, WANTED, find_chromium

STRICT = ("--strict", "--skipLibCheck", "false", "--module", "nodenext", "--target", "es2022")
COMPILER = "node_modules/typescript/bin/tsc"
CALLER = """
import { Client, Refused, type Tagged } from "tagwerk-client";

export async function calls(url: string): Promise<unknown[]> {
  const client = new Client(url);
  const text = "\\u{1F600} She sings.";
  const [first]: Tagged[] = await client.tag([text], { n_best: 2, lemmas: false });
  const tokens = first?.sentences.flatMap((sentence) => sentence.tokens) ?? [];
  const words = tokens.map((token) => `${text.slice(token.start, token.end)}/${token.upos}`).slice(-3);
  const [given] = await client.tagTokens([["Dogs", "bark", "."]]);
  const labels = (await client.classify("A warm, funny film.", { contributions: "positive" })).map((one) => one.label);
  const sizes = (await client.classify(Array.from({ length: 1500 }, () => "Good."))).length;
  const [whole] = await client.generate("ROMEO:", { max_tokens: 20, seed: 7 });
  let streamed = "";
  for await (const piece of client.generateStream("ROMEO:", { max_tokens: 20, seed: 7 })) streamed += piece.text;
  const lines: (string | number)[] = [];
  const texts = ["Good.", "\\uD83D", "a ".repeat(2 ** 17), "Bad."];
  for await (const one of client.classifyLines(texts, {}, { returnErrors: true }))
    lines.push(one instanceof Refused ? one.problem.status : one.label);
  let tagged = 0;
  const many = Array.from({ length: 1000 }, (_, i) => `Line ${i}.`);
  for await (const one of client.tagLines(many)) tagged += one.sentences.length;
  const wrong = client.tag("Dogs bark.", { language: "English" });
  const refused = await wrong.catch((error: unknown) => error instanceof Refused);
  const { changed } = await client.feedback("Dogs bark.", { tags: [] });
  const models = (await client.models()).filter((model) => model.default).length;
  const same = streamed === whole?.text;
  return [words, given?.sentences.length, labels, sizes, same, lines, tagged, refused, changed, models > 2];
}
"""
ANSWERS = [
    ["She/PRON", "sings/VERB", "./PUNCT"],
    1,
    ["positive"],
    1500,
    True,
    ["positive", 400, 413, "negative"],
    1000,
    True,
    0,
    True,
]
MISTAKES = {
    "nbest": 'await client.tag("a", { nbest: 2 });',
    '"bytes"': 'await client.classify("a", { offsets: "bytes" });',
    "'number'": 'await client.generate("a", { max_tokens: "5" });',
    r"\| Refused": 'for await (const one of client.tagLines([], {}, { returnErrors: true })) one.sentences;',
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a copy of the client's folder with its development tools."""
    folder = tmp_path_factory.mktemp("typescript") / "client"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    install(folder, "ci")
    return folder


@pytest.fixture(scope="module")
def caller(project: Path) -> Path:
    """Returns a folder with the packed client installed, and no other package but the compiler."""
    packed = run_node(project, "npm", "pack", "--json")
    assert packed.returncode == 0, packed.stdout + packed.stderr
    (pack,) = json.loads(packed.stdout[packed.stdout.index("[") :])
    files = {file["path"] for file in pack["files"] if not file["path"].startswith("dist/")}
    assert files == {"LICENSE", "package.json", "README.md"}
    assert (project / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    folder = project.parent / "caller"
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    install(folder, "install", str(project / pack["filename"]))
    assert {path.name for path in (folder / "node_modules").iterdir() if path.is_dir()} == {"tagwerk-client"}
    (folder / "node_modules" / "typescript").symlink_to(project / "node_modules" / "typescript")
    (folder / "caller.ts").write_text(CALLER)
    return folder


def test_the_types_are_those_of_the_service(project: Path) -> None:
    version = tomllib.loads((ROOT / "tagwerk" / "pyproject.toml").read_text())["project"]["version"]
    assert json.loads((SOURCE / "package.json").read_text())["version"] == version, "that of the client for Python"
    assert generated(project) == (SOURCE / "src" / "schema.ts").read_text(), "make typescript-types writes them anew"


@pytest.fixture(scope="module")
def errors(caller: Path) -> str:
    """Compiles the caller, the program of the client's page, and mistakes; returns the errors."""
    (page,) = re.findall(r"^```ts\n(.*?)^```", (SOURCE / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (caller / "page.ts").write_text(page)
    head = 'import { Client } from "tagwerk-client";\nconst client = new Client();\n'
    (caller / "wrong.ts").write_text(head + "\n".join(MISTAKES.values()))
    return run_node(caller, "node", COMPILER, *STRICT, "caller.ts", "page.ts", "wrong.ts").stdout


def test_a_compiler_knows_the_fields_of_requests_and_answers(errors: str) -> None:
    for line, word in enumerate(MISTAKES, start=3):
        assert re.search(rf"^wrong\.ts\({line},.*{word}", errors, re.MULTILINE), errors
    assert set(re.findall(r"^(\S+)\(", errors, re.MULTILINE)) == {"wrong.ts"}, errors


@pytest.mark.usefixtures("errors")  # beside which the compiler writes the caller as JavaScript
def test_node_calls_the_service(caller: Path, server: Server) -> None:
    program = f'import {{ calls }} from "./caller.js"; console.log(JSON.stringify(await calls("{server.url}")));'
    done = run_node(caller, "node", "--input-type=module", "--eval", program)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == ANSWERS


@pytest.mark.usefixtures("errors")
def test_a_browser_calls_the_service(caller: Path, server: Server) -> None:
    path = find_chromium()
    if path is None:
        pytest.skip(WANTED)
    packed = caller / "node_modules" / "tagwerk-client" / "dist"
    script = (caller / "caller.js").read_text().replace('"tagwerk-client"', '"./index.js"')
    scripts = {file.name: file.read_text() for file in packed.glob("*.js")} | {"caller.js": script}

    def serve(route: Route) -> None:
        route.fulfill(body=scripts[route.request.url.rpartition("/")[2]], content_type="text/javascript")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_context(bypass_csp=True).new_page()
        page.route("**/client/*.js", serve)
        page.goto(f"{server.url}/livez")
        page.set_default_timeout(120_000)
        got = page.evaluate("async () => (await import('/client/caller.js')).calls(location.origin)")
        browser.close()
    assert got == ANSWERS


def test_it_retries_and_ends_as_it_says(caller: Path) -> None:
    shutil.copy(SOURCE / "tests" / "failures.test.mjs", caller)
    done = run_node(caller, "node", "--test", "failures.test.mjs")
    assert done.returncode == 0, done.stdout[-6000:]
