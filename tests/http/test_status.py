import re


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


def test_metrics_count_what_was_asked(client, server):
    counts = {
        'tagwerk_requests_total{route="/tag",status="200"}': 1,
        'tagwerk_requests_total{route="/tag",status="422"}': 1,
        'tagwerk_requests_total{route="unmatched",status="404"}': 1,
        'tagwerk_generated_tokens_total{model="lm-shakespeare"}': 5,
        'tagwerk_queue_duration_seconds_count{model="tagger-en"}': 2,
    }
    cells, padding = (f'tagwerk_{name}_cells_total{{model="tagger-en"}}' for name in ("batch", "padding"))
    before = {name: server.metric(name) for name in (*counts, cells, padding)}
    client.post("/tag", json={"text": ["One two three.", "Four."]})
    client.post("/tag", json={"text": 7})
    client.post("/generate", json={"prompt": "A", "max_tokens": 5})
    client.get("/nothing/here")
    grown = {name: server.metric(name) - value for name, value in before.items()}
    assert grown.pop(cells) - grown.pop(padding) == 6, "four tokens and two"
    assert grown == counts
    assert server.metric("tagwerk_queue_entries") == 0


def test_no_request_compiles_anything(client, server):
    before = server.metric("tagwerk_compilations_total")
    assert before == 2 * 4 + 3 + 2, "four for each tagger, three for the classifier, two for the language model"
    for words in (1, 5, 17, 40, 200):
        client.post("/tag", json={"text": ["word " * words] * 3})
        client.post("/classify", json={"text": "word " * words})
        client.post("/generate", json={"prompt": "word " * words, "max_tokens": 3})
    assert server.metric("tagwerk_compilations_total") == before


def test_a_language_model_lists_its_characters_and_others_none(client):
    characters = client.get("/models/lm-shakespeare").json()["characters"]
    assert {"a", "\n", " "} <= set(characters)
    assert "\u00e9" not in characters
    assert client.get("/models/tagger-en").json()["characters"] is None
