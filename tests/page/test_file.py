"""Files that are dropped on the page, or chosen: answered as a table that can be saved."""

import base64
import csv
from pathlib import Path

import pytest

from tests.page.driving import check_accessible, run, until

DROP = """([name, content]) => {
    const transfer = new DataTransfer();
    const zeros = typeof content === "number";
    const bytes = zeros ? new Uint8Array(content) : Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def drop(page, name: str, content: str | bytes | int) -> None:
    """Drops a file with a content, or with a number of zeros."""
    raw = content.encode() if isinstance(content, str) else content
    page.evaluate(DROP, [name, raw if isinstance(raw, int) else base64.b64encode(raw).decode()])


def saved(page, panel: str, summary: str) -> tuple[str, list[dict[str, str]]]:
    """Returns name and rows of the table that a panel offers to save, once all texts are answered."""
    page.locator(f"#{panel} .summary", has_text=summary).wait_for()
    page.wait_for_selector(f"#{panel} .answer[aria-busy=false]")
    with page.expect_download() as download:
        page.locator(f"#{panel}").get_by_role("button", name="Save as CSV").click()
    csv.field_size_limit(1_000_000)
    with Path(download.value.path()).open(newline="") as file:
        return download.value.suggested_filename, list(csv.DictReader(file))


def test_a_dropped_table_keeps_its_columns_and_gets_labels(page, client):
    texts = ['Good, "really" good.', "Awful;\ntwo lines.", "Fine."]
    page.locator("#tab-classify").click()
    rows = '\ufefflabel;text;id\r\nw;;4\r\nx;"Good, ""really"" good.";1\r\ny;"Awful;\ntwo lines.";2\r\nz;Fine.;3\r\n'
    drop(page, "reviews.csv", rows)
    name, table = saved(page, "classify", "reviews.csv: 3 of 3 texts")
    assert name == "reviews.classify.csv"
    results = client.post("/classify", json={"text": texts}).json()["results"]
    kept = list(zip("wxyz", ["", *texts], "4123", strict=True))
    assert [(row["label"], row["text"], row["id"]) for row in table] == kept
    assert table[0]["label (answer)"] == table[0]["positive"] == "", "a row without a text stays, and has no answer"
    for row, result in zip(table[1:], results, strict=True):
        assert row["label (answer)"] == result["label"]
        assert float(row["positive"]) == pytest.approx(result["scores"]["positive"], abs=1e-5)
    assert page.locator("#classify .table tbody tr").count() == 4
    assert page.locator("#classify .scores").count() == 0
    check_accessible(page, "a table")
    run(page, "classify", "Superb.")
    assert page.locator("#classify .table table").count() == 0


def test_the_lines_of_a_chosen_file_are_tagged(page, client):
    lines = [f"Dog {number} barks." for number in range(250)]
    file = {"name": "lines.txt", "mimeType": "text/plain", "buffer": "\n\n".join(lines).encode()}
    page.locator("#tag input[type=file]").set_input_files(file)
    name, table = saved(page, "tag", "lines.txt: 250 of 250 texts")
    assert name == "lines.tag.csv"
    assert [row["line"] for row in table][::4] == [str(1 + 2 * number) for number in range(250)]
    assert [row["form"] for row in table] == [word for line in lines for word in [*line[:-1].split(), "."]]
    (first, *_) = client.post("/tag", json={"text": lines[0]}).json()["results"][0]["sentences"][0]["tokens"]
    assert [table[0][column] for column in ("upos", "xpos", "lemma")] == [first["upos"], first["xpos"], first["lemma"]]
    assert page.locator("#tag .table tbody tr").count() == 50
    assert "1,000 rows, of which the first 50 are shown." in page.locator("#tag .table").inner_text()


def test_a_text_that_cannot_be_answered_costs_no_other(page):
    page.locator("#tab-classify").click()
    drop(page, "texts.txt", "Good.\n" + "long " * 50_000 + "\nBad.")
    _, table = saved(page, "classify", "texts.txt: 3 of 3 texts")
    assert [row["label"] for row in table] == ["positive", "", "negative"]
    assert "at most" in table[1]["error"] or "too" in table[1]["error"], table[1]["error"]
    assert "1 text could not be answered" in page.locator("#classify .table").inner_text()


def test_rows_without_texts_stay_and_a_phone_shows_the_labels_beside_long_texts(open_page):
    page = open_page(viewport={"width": 390, "height": 844})
    page.locator("#tab-classify").click()
    text = "A film that is as long, as warm, as funny and as good as can be."
    drop(page, "reviews.csv", f'id,text\n1,"{text}"\n' + "0, \n" * 250)
    _, table = saved(page, "classify", "reviews.csv: 1 of 1 text")
    assert [row["label"] for row in table] == ["positive"] + [""] * 250
    heading = page.locator("#classify .table th", has_text="label").bounding_box()
    assert heading["x"] + heading["width"] < 390


@pytest.mark.parametrize(
    ("panel", "name", "content", "message"),
    [
        ("tag", "a.csv", "id,review\n1,Good.\n", 'a.csv has no column "text", but id, review.'),
        ("tag", "a.txt", b"caf\xe9", "a.txt is not text in UTF-8."),
        ("classify", "a.txt", " \n\n", "a.txt has no text."),
        ("classify", "a.txt", 10_000_001, "a.txt is larger than 10 MB."),
        ("generate", "a.txt", "ROMEO:", "Files of texts are answered by Tag and by Classify."),
    ],
)
def test_a_file_without_texts_is_refused(page, panel, name, content, message):
    page.locator(f"#tab-{panel}").click()
    drop(page, name, content)
    page.locator(f"#{panel} .message", has_text=message).wait_for()
    assert page.locator(f"#{panel} .table table").count() == 0


def test_what_is_answered_stays_if_the_service_fails(page):
    page.locator("#tab-classify").click()
    until(page, "!document.querySelector('#classify .cost').hidden")
    parts = []

    def answer(route) -> None:
        parts.append(route.request.post_data)
        if len(parts) == 1:
            route.continue_()
        else:
            route.fulfill(status=500, json={"title": "The device failed", "detail": "for a test"})

    page.route("**/classify", answer)
    drop(page, "texts.txt", "Good.\n" * 150)
    page.locator("#classify .message", has_text="The device failed. For a test.").wait_for()
    with page.expect_download() as download:
        page.locator("#classify").get_by_role("button", name="Save as CSV").click()
    assert Path(download.value.path()).read_text().count("Good.") == 100
