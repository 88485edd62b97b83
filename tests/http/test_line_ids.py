"""The ids of lines: they come back in answers and in errors, and name nothing but their line."""

import json
from typing import Any

import pytest

from service.api.lines import LARGEST_ID, LONGEST_ID, MEDIA_TYPE
from service.http.problem import Problem
from tests.http.scene import post
from tests.http.test_problems import check

ID = f"an integer from -{LARGEST_ID} to {LARGEST_ID}, or a string of at most {LONGEST_ID} characters"


def ask(path: str, *lines: str | dict[str, Any], **settings: Any) -> list[dict[str, Any]]:
    """Returns the answers to lines, which are sent as they are, or as JSON."""
    content = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    response = post(path, content.encode(), {"content-type": MEDIA_TYPE}, **settings)
    assert response.status_code == 200
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize("id", ["a", "", "é\n\"'{}", "x" * LONGEST_ID, 0, -1, LARGEST_ID, -LARGEST_ID])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tag", {"text": "fine"}),
        ("/classify", {"text": "fine"}),
        ("/generate", {"prompt": "a", "max_tokens": 3, "seed": 1}),
    ],
)
def test_an_id_comes_back_first_in_the_answer_of_its_line(path, body, id):
    with_id, without = ask(path, {**body, "id": id}, body)
    assert next(iter(with_id)) == "id"
    assert with_id == {"id": id, **without}
    assert without == post(path, json.dumps(body).encode()).json()


@pytest.mark.parametrize(
    ("line", "status"), [({"text": 7}, 422), ({"text": "fine", "model": "none"}, 404), ({"text": ["fine"] * 3}, 413)]
)
def test_an_id_comes_back_in_the_error_of_its_line(line, status):
    first, failed, last = ask(
        "/classify", {"text": "fine", "id": 1}, {**line, "id": "b"}, {"text": "fine"}, max_items=2
    )
    assert list(failed) == ["id", "error"]
    assert (failed["id"], Problem.model_validate(failed["error"]).status) == ("b", status)
    assert (first["id"], "id" in last) == (1, False)


@pytest.mark.parametrize("id", [True, 1.5, [1], {"a": 1}, "x" * (LONGEST_ID + 1), LARGEST_ID + 1, -LARGEST_ID - 1])
def test_an_id_that_is_not_valid_is_refused_and_not_returned(id):
    (failed,) = ask("/classify", {"text": "fine", "id": id})
    assert list(failed) == ["error"]
    (place,) = failed["error"]["errors"]
    assert (place["pointer"], place["allowed"]) == ("/id", ID)


def test_a_line_without_an_id_or_that_is_no_object_has_none():
    answers = ask("/classify", {"text": "fine", "id": None}, '{"id": 1, "text"', "[1]", "7", "null")
    assert ["id" in answer for answer in answers] == [False] * 5
    assert [answer.get("error", {}).get("status") for answer in answers] == [None, 400, 422, 422, 422]


def test_other_requests_have_no_id():
    assert check(post("/classify", b'{"text": "fine", "id": 1}'), 422).errors[0].pointer == "/id"
