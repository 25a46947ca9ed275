"""The server: a real one on a free port, asked over HTTP, answers as Python does."""

import asyncio
import http.client
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import needs

needs("fastapi", "uvicorn", "httptools", "prometheus_client")

from http_server import read, serving
from served_shop import SIZE, N, assert_refused, make, pairs

import embedkit
from embedkit.server.maps import Maps


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "shop.safetensors"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def client(path):
    with serving(path) as client:
        yield client


def test_the_server_tells_what_it_serves(client):
    status, body = client.get("/health")
    assert (status, body["status"]) == (200, "ok")
    about = {"name": "shop", "tokens": N, "keys": 40, "vector_size": SIZE, "trainer": "skipgram"}
    assert body["model"].items() >= about.items()
    status, body = client.get("/api/model")
    assert body.items() >= (about | {"labels": True, "histories": True}).items()
    assert len(body["examples"]["tokens"]) > 3


def test_examples_are_the_most_frequent(client, model):
    _, body = client.get("/api/model")
    wanted = np.argsort(-model.counts, kind="stable")[: len(body["examples"]["tokens"])]
    assert body["examples"]["tokens"] == model.tokens[wanted]
    lengths = np.diff(model.histories.indptr)
    assert lengths[int(body["examples"]["keys"][0][4:])] == lengths.max()


@pytest.mark.parametrize("topn", [1, 10, N, 1000])
def test_recommendations_are_those_of_python(client, model, topn):
    for key in ("user0", "user17", "user38"):
        status, body = client.get("/api/recommend", key=key, topn=topn)
        assert status == 200
        assert pairs(body["results"]) == model.recommend(key, topn=topn)
        assert body["key"] == key
        assert body["fallback"] is False


def test_recommendations_to_a_history(client, model):
    history = ["item3", "item9", "item3"]
    _, body = client.get("/api/recommend", item=history, exclude=["item1", "item2"], include_seen=True, topn=150)
    wanted = model.recommend(history=history, exclude=["item1", "item2"], include_seen=True, topn=150)
    assert pairs(body["results"]) == wanted
    assert body["history"][:2] == [{"token": "item3", "label": "item3"}, {"token": "item9", "label": "item9"}]
    _, body = client.get("/api/recommend", item=["item4"])
    assert pairs(body["results"]) == model.recommend(history=["item4"])
    assert body["history"] == [{"token": "item4", "label": "Name of 4"}]


def test_recommendations_to_many(client, model):
    keys = [f"user{i}" for i in range(39)]
    _, body = client.post("/api/recommend", {"keys": keys, "topn": 7})
    assert [answer["key"] for answer in body["results"]] == keys
    for key, answer in zip(keys, body["results"], strict=True):
        assert pairs(answer["results"]) == model.recommend(key, topn=7)
    _, body = client.post("/api/recommend", {"histories": [["item1"], ["item2", "item5"]], "exclude": ["item7"]})
    assert pairs(body["results"][1]["results"]) == model.recommend(history=["item2", "item5"], exclude="item7")


def test_reasons_are_those_of_python(client, model):
    _, body = client.get("/api/recommend", key="user5", explain=True, topn=3)
    for result in body["results"]:
        wanted = model.explain("user5", result["token"], topn=5).parts
        assert pairs(result["because"]) == wanted
        assert all("label" in reason for reason in result["because"])


def test_a_fallback_is_taken_where_it_is_asked_for(client, model):
    assert_refused(client.get("/api/recommend", key="user999"), 404, "user999", "Did you mean")
    assert_refused(client.get("/api/recommend", key="user39"), 422, "user39", "fallback=popular")
    for key in ("user999", "user39"):
        _, body = client.get("/api/recommend", key=key, fallback="popular", exclude="item5", topn=20)
        assert body["fallback"] is True
        assert pairs(body["results"]) == model.recommend("user999", fallback="popular", exclude="item5", topn=20)


def test_similar_tokens_are_those_of_python(client, model):
    _, body = client.get("/api/similar", token="item7", topn=300)
    assert pairs(body["results"]) == model.most_similar("item7", topn=300)
    assert body["label"] == "Name of 7"
    _, body = client.post("/api/similar", {"tokens": ["item1", "item2"], "topn": 4})
    assert [pairs(answer["results"]) for answer in body["results"]] == [
        model.most_similar(token, topn=4) for token in ("item1", "item2")
    ]


def test_analogies_similarities_vectors_and_histories(client, model):
    _, body = client.get("/api/analogy", a="item1", b="item2", c="item3", topn=12)
    wanted = model.analogy("item1", "item2", "item3", topn=12)
    assert [result["token"] for result in body["results"]] == [token for token, _ in wanted]
    _, body = client.get("/api/similarity", a="item1", b="item2")
    assert body["similarity"] == pytest.approx(model.similarity("item1", "item2"))
    _, body = client.get("/api/vectors", token=["item1", "item2"], key="user3")
    assert body["vector_size"] == SIZE
    np.testing.assert_array_equal(np.float32([entry["vector"] for entry in body["tokens"]]), model[["item1", "item2"]])
    np.testing.assert_array_equal(np.float32(body["keys"][0]["vector"]), model.key_vector("user3"))
    _, body = client.post("/api/vectors", {"tokens": ["item4"]})
    assert body["tokens"][0]["token"] == "item4"
    assert body["keys"] == []
    _, body = client.get("/api/history", key="user3")
    row = model.histories.take([3])
    assert [entry["token"] for entry in body["history"]] == model.tokens[row.indices]
    times = np.array([entry["time"].removesuffix("Z") for entry in body["history"]], "M8[us]")
    assert abs(times.astype(np.int64) - row.times).max() < 1_000_000
    assert client.get("/api/history", key="user39")[1]["history"] == []


def test_many_clients_at_once_get_their_own_answers(client, model):
    wanted = {f"user{i}": model.recommend(f"user{i}", topn=5) for i in range(39)}
    wrong = []

    def ask(start):
        connection = http.client.HTTPConnection(*client.address, timeout=20)
        for i in range(60):
            key = f"user{(start + 7 * i) % 39}"
            connection.request("GET", f"/api/recommend?key={key}&topn=5")
            status, _, body = read(connection.getresponse())
            if status != 200 or pairs(body["results"]) != wanted[key]:
                wrong.append((key, status, body))
        connection.close()

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(12)]
    for thread in threads:
        thread.start()
    client.post("/api/recommend", {"keys": list(wanted), "topn": 50})
    for thread in threads:
        thread.join()
    assert wrong == []


def test_openapi_describes_every_route_and_brings_no_page_of_others(client):
    _, body = client.get("/openapi.json")
    assert {"/api/recommend", "/api/similar", "/api/search", "/health", "/metrics", "/api/map"} <= body["paths"].keys()
    topn = next(p for p in body["paths"]["/api/similar"]["get"]["parameters"] if p["name"] == "topn")
    assert topn["schema"]["minimum"] == 1
    schema = body["paths"]["/api/recommend"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"].keys() >= {"keys", "histories", "topn"}
    for path in ("/docs", "/redoc"):
        assert client.get(path)[0] == 404


def test_metrics_count_what_happened(client):
    client.get("/api/similar", token="item1")
    client.get("/api/similar", token="nothing")
    client.get("/api/elsewhere/<script>")
    text = client.get("/metrics")[1].decode()
    assert 'embedkit_requests_total{route="/api/similar",status="200"}' in text
    assert 'embedkit_requests_total{route="/api/similar",status="404"}' in text
    assert "elsewhere" not in text
    assert "embedkit_request_seconds_bucket" in text
    assert f"embedkit_model_tokens {float(N)}" in text


def test_the_map_has_a_point_for_each_token(client, model):
    status, body = client.get("/api/map", limit=50)
    assert status == 200
    assert len(body["points"]["x"]) == len(body["points"]["y"]) == len(body["labels"]) == len(body["groups"]) == 50
    assert body["tokens"] == model.tokens[np.argsort(-model.counts, kind="stable")[:50]]


def test_maps_of_many_sizes_are_not_all_kept(client):
    for limit in range(30, 42):
        assert len(client.get("/api/map", limit=limit)[1]["tokens"]) == limit
    assert len(client.server.live._maps._made) <= 4


def test_a_map_that_cannot_be_made_is_told_to_each_who_waits_for_it():
    class Broken:
        embeddings = range(9)

    async def ask():
        with ThreadPoolExecutor(1) as executor:
            maps = Maps(executor, "pca")
            served = Broken()
            return await asyncio.gather(*(maps.get(served, 5) for _ in range(2)), return_exceptions=True)

    first, second = asyncio.run(ask())
    assert isinstance(first, AttributeError)  # `range` has no counts
    assert second is first


def test_the_page_is_there_and_nothing_beside_it(client):
    status, headers, body = client("GET", "/")
    assert (status, headers.get_content_type()) == (200, "text/html")
    assert b"<script>" not in body
    for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page/", "/page/nothing.js"):
        assert client.get(path)[0] == 404


def test_models_without_the_optional_parts(tmp_path):
    rng = np.random.default_rng(1)
    embedkit.Embeddings(["a", "b", "ㅎ"], rng.standard_normal((3, 5), np.float32)).save(tmp_path / "m.safetensors")
    with serving(tmp_path / "m.safetensors") as client:
        _, body = client.get("/api/model")
        assert (body["keys"], body["labels"], body["histories"], body["examples"]["keys"]) == (0, False, False, [])
        assert_refused(client.get("/api/recommend", key="x"), 404, "no keys", "item=A")
        assert_refused(client.get("/api/recommend", key="x", fallback="popular"), 422, "how often", "fallback=none")
        assert_refused(client.get("/api/history", key="x"), 404, "no keys")
        assert client.get("/api/search", q="x", kind="key") == (200, {"results": []})
        assert client.get("/api/search", q="")[1]["results"][0] == {"token": "a", "label": "a", "count": None}
        assert {r["token"] for r in client.get("/api/recommend", item="a")[1]["results"]} == {"b", "ㅎ"}
        assert client.get("/api/similar", token="\u1112")[0] in (200, 404)
        assert client.get("/api/map")[0] == 200


def test_learned_keys_get_no_reasons_but_a_note(tmp_path):
    rng = np.random.default_rng(1)
    model = make(key_vectors=rng.standard_normal((40, SIZE), np.float32))
    model.save(tmp_path / "m.safetensors")
    with serving(tmp_path / "m.safetensors") as client:
        _, body = client.get("/api/recommend", key="user39", explain=True)
        assert pairs(body["results"]) == model.recommend("user39")
        assert "learned" in body["note"]
        assert body["results"][0]["because"] == []


def test_scores_that_are_not_finite_are_refused_and_spoil_no_others(tmp_path):
    vectors = np.ones((4, 2), np.float32)
    vectors[2] = 1e30
    embedkit.Embeddings(["a", "b", "huge", "d"], vectors).save(tmp_path / "m.safetensors")
    with serving(tmp_path / "m.safetensors") as client:
        assert_refused(client.get("/api/recommend", item="huge"), 422, "not finite")
        assert client.get("/api/similar", token="a")[0] == 200
