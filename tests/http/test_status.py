import re

import httpx
from prometheus_client.parser import text_string_to_metric_families


def metrics(client: httpx.Client) -> dict[str, float]:
    """Returns the samples, by name and labels as they are written."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        sample.name + "".join(f" {k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_models_are_listed_and_described(client):
    answer = client.get("/models").json()
    models = {model["name"]: model for model in answer["models"]}
    assert answer["limits"] == {
        "items": 1024,
        "text_characters": 200_000,
        "body_bytes": 4_194_304,
        "generated_tokens": 4096,
    }
    assert {name: model["task"] for name, model in models.items()} == {
        "tagger-en": "tag",
        "sentiment-en": "classify",
        "lm-shakespeare": "generate",
        "tagger-fr": "tag",
    }
    assert all(model["state"] == "ready" for model in models.values())
    assert {name for name, model in models.items() if not model["default"]} == {"tagger-fr"}
    manifest = client.get("/models/tagger-en").json()["manifest"]
    assert manifest["labels"]["upos"]


def test_every_answer_has_its_id_and_its_timing(client):
    response = client.post("/tag", json={"text": "A dog."}, headers={"X-Request-ID": "mine-1"})
    assert response.headers["x-request-id"] == "mine-1"
    stages = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["server-timing"]))
    assert list(stages) == ["tokenize", "queue", "inference", "total"]
    assert float(stages["total"]) >= float(stages["inference"]) > 0
    assert 'batch;desc="batch of 1"' in response.headers["server-timing"]
    eight = client.post("/tag", json={"text": ["A dog."] * 8}).headers["server-timing"]
    assert re.search('batch;desc="batch of [1-8]"', eight), "as many as take the least time"
    assert "batch" not in client.post("/tag", json={"text": " "}).headers["server-timing"]
    generated = client.post("/generate", json={"prompt": "A", "max_tokens": 5}).headers["server-timing"]
    assert re.findall(r"(\w+);dur", generated) == ["tokenize", "queue", "inference", "total"]
    assert client.get("/livez").headers["x-request-id"] != client.get("/livez").headers["x-request-id"]
    assert "evil" not in client.get("/livez", headers={"X-Request-ID": "evil" * 100}).headers["x-request-id"]


def test_metrics_count_what_was_asked(client):
    before = metrics(client)
    client.post("/tag", json={"text": ["One two three.", "Four."]})
    client.post("/tag", json={"text": 7})
    client.post("/generate", json={"prompt": "A", "max_tokens": 5})
    client.get("/nothing/here")
    after = metrics(client)

    def grew(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grew("tagwerk_requests_total route=/tag status=200") == 1
    assert grew("tagwerk_requests_total route=/tag status=422") == 1
    assert grew("tagwerk_requests_total route=unmatched status=404") == 1
    assert grew("tagwerk_generated_tokens_total model=lm-shakespeare") == 5
    assert grew("tagwerk_queue_duration_seconds_count model=tagger-en") == 2
    cells = grew("tagwerk_batch_cells_total model=tagger-en")
    assert cells - grew("tagwerk_padding_cells_total model=tagger-en") == 6, "four tokens and two"
    assert after["tagwerk_queue_entries"] == 0


def test_no_request_compiles_anything(client):
    def compilations() -> float:
        return sum(v for k, v in metrics(client).items() if k.startswith("tagwerk_compilations_total"))

    before = compilations()
    assert before == 2 * 4 + 3 + 2, "four for each tagger, three for the classifier, two for the language model"
    for words in (1, 5, 17, 40, 200):
        client.post("/tag", json={"text": ["word " * words] * 3})
        client.post("/classify", json={"text": "word " * words})
        client.post("/generate", json={"prompt": "word " * words, "max_tokens": 3})
    assert compilations() == before


def test_a_language_model_lists_its_characters_and_others_none(client):
    characters = client.get("/models/lm-shakespeare").json()["characters"]
    assert {"a", "\n", " "} <= set(characters)
    assert "\u00e9" not in characters
    assert client.get("/models/tagger-en").json()["characters"] is None
