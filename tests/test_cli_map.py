"""`map` and `plot`: what they write, what they say, and one clear line for each wrong call."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from atlas_maps import HOSTILE, embeddings
from click.testing import CliRunner
from conftest import needs

import embedkit
from embedkit.cli.app import app

needs("matplotlib")


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.delenv("EMBEDKIT_MODEL", raising=False)
    monkeypatch.setenv("EMBEDKIT_PLUGINS", "embedkit-toolkit")
    monkeypatch.chdir(tmp_path)
    embeddings().save("embedkit.safetensors")
    return lambda *args: CliRunner().invoke(app, args)


def said(result):
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    return result.stderr


def refused(result, code):
    assert result.exit_code == code, result.stderr
    (line,) = result.stderr.splitlines()
    return line.removeprefix("embedkit: ")


@pytest.mark.parametrize(
    ("name", "begins"), [("m.png", b"\x89PNG"), ("m.pdf", b"%PDF"), ("m.html", b"<!doctype html>")]
)
def test_the_ending_tells_what_is_written(run, tmp_path, name, begins):
    told = said(run("map", "--method", "pca", "--output", name))
    assert f"Wrote {name} (" in told
    assert "60 tokens" in told
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_a_table_holds_the_places(run, tmp_path):
    said(run("map", "--method", "pca", "--top", "20", "--output", "m.parquet"))
    table = pq.read_table(tmp_path / "m.parquet").to_pandas()
    assert list(table.columns) == ["token", "label", "x", "y", "group"]
    assert table["token"][:3].tolist() == ["alpha", "베타", HOSTILE]
    assert len(table) == 20
    said(run("map", "--method", "pca", "--output", "m.csv", "--clusters", "0"))
    lines = (tmp_path / "m.csv").read_text(encoding="utf-8").split("\n")
    assert lines[0] == '"token","label","x","y","group"'
    assert any(line.startswith('"\'=1+1"') for line in lines)


def test_named_tokens_are_shown_alone_and_more_on_demand(run, tmp_path):
    (tmp_path / "names").write_text("t3\nt4\n")
    assert "4 of 60 tokens, 4 labelled" in said(
        run("map", "t1", "t2", "t1", "--tokens-from", "names", "--method", "pca", "--output", "m.png")
    )
    assert "11 of 60 tokens" in said(run("map", "t50", "--top", "10", "--method", "pca", "--output", "m.png"))


def test_what_belongs_to_a_key_is_shown_besides(run, tmp_path):
    told = said(run("map", "--key", "user1", "--top", "2", "--topn", "4", "--method", "pca", "--output", "m.parquet"))
    tokens = set(pq.read_table(tmp_path / "m.parquet")["token"].to_pylist())
    model = embeddings()
    assert tokens >= {token for token, _ in model.recommend("user1", topn=4)}
    assert tokens >= {model.tokens[0], model.tokens[4], model.tokens[8]}
    assert " of 60 tokens" in told


def test_groups_of_a_file(run, tmp_path):
    (tmp_path / "about.csv").write_text("item,kind\nt1,a\nt2,b\n")
    told = said(run("map", "--groups", "about.csv", "--method", "pca", "--output", "m.csv"))
    assert "grey: 58 without one." in told
    assert '"a"' in (tmp_path / "m.csv").read_text()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["map"], 2, "Missing option '--output'"),
        (["map", "--output", "m.gif"], 2, "the ending of m.gif tells no format; it can be .png, .svg, .pdf, .html"),
        (["map", "--output", "nowhere/m.png"], 1, "there is no folder"),
        (["map", "--output", "m.png", "--group-column", "x"], 2, "belong to --groups FILE"),
        (["map", "--output", "m.png", "--groups", "none.csv"], 1, "none.csv cannot be read"),
        (["map", "alhpa", "--output", "m.png"], 1, "there is no token 'alhpa'. Did you mean 'alpha'?"),
        (["map", "--key", "user2", "--output", "m.png"], 1, "there is no key 'user2'. Did you mean 'user1'?"),
        (["map", "--model", "none.safetensors", "--output", "m.png"], 1, "there is no model none.safetensors"),
        (["map", "--output", "m.html", "--method", "tsne", "--perplexity", "0"], 2, "--perplexity must be a"),
        (["map", "--output", "m.png", "--clusters", "9"], 2, "9"),
        (["map", "--output", "embedkit.safetensors"], 2, "tells no format"),
        (["plot", "loss", "--output", "l.png"], 1, "embedkit.safetensors holds no losses"),
        (["plot", "loss", "--output", "l.txt"], 2, "it can be .png, .svg, .pdf"),
        (["plot", "evaluation", "none.json", "--output", "l.png"], 1, "none.json cannot be read: No such file"),
        (["plot", "evaluation", "embedkit.safetensors", "--output", "l.png"], 1, "holds no results; make them with"),
        (["plot", "evaluation", "r.json", "--k", "5", "--output", "l.png"], 2, "--k goes with --by popularity"),
        (["plot", "evaluation", "r.json", "--by", "popularity", "--metric", "mrr", "--output", "l.png"], 2, "leave -"),
    ],
)  # fmt: skip
def test_wrong_calls_get_one_line_and_write_nothing(run, tmp_path, args, code, message):
    assert message in refused(run(*args), code)
    assert [path.name for path in tmp_path.iterdir()] == ["embedkit.safetensors"]


def test_few_points_are_placed_by_pca_and_the_page_says_so(run):
    assert "; pca, " in said(run("map", "t1", "t2", "t3", "--method", "umap", "--output", "m.html"))


def test_losses_of_models_are_compared(run, tmp_path):
    for name, losses in (("one", (3, 2, 1)), ("two", (4, 2, 1.5))):
        model = embeddings()
        embedkit.Embeddings(model.tokens, model.vectors, losses=losses).save(f"{name}.safetensors")
    told = said(run("plot", "loss", "--model", "one.safetensors", "--model", "two.safetensors", "--output", "loss.svg"))
    assert "2 curves" in told
    assert (tmp_path / "loss.svg").read_text().lstrip().startswith("<?xml")


@pytest.fixture
def results(run, tmp_path):
    flags = ["--source", "sessions", "--trainer", "spectral", "--ease-limit", "0", "--k", "1", "--k", "10"]
    done = run("evaluate", "recommendations", *flags, "--format", "json")
    assert done.exit_code == 0, done.stderr
    (tmp_path / "r.json").write_text(done.stdout)
    return json.loads(done.stdout)


def test_evaluations_are_drawn_by_k_and_by_popularity(run, results, tmp_path):
    for system in results["systems"]:
        bands = system["by_popularity"]["10"]
        assert len(bands) > 3
        hits, targets = (sum(band[part] for band in bands) for part in ("hits", "targets"))
        # One target a user: the mean over users is the share of all targets.
        assert hits / targets == pytest.approx(system["measures"]["recall@10"]["value"])
        assert all(band["low"] <= band["recall"] <= band["high"] for band in bands)
    n = len(results["systems"])
    assert f"{n} curves" in said(run("plot", "evaluation", "r.json", "--metric", "recall", "--output", "k.png"))
    assert f"{n} curves" in said(run("plot", "evaluation", "r.json", "--by", "popularity", "--output", "p.pdf"))
    assert "do not tell recall by popularity at k = 7; they do at 1, 10." in refused(
        run("plot", "evaluation", "r.json", "--by", "popularity", "--k", "7", "--output", "p.png"), 1
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        '{"systems": [{"name": "x"}]}',
        '{"systems": [{"name": "x", "measures": 3}]}',
        '{"systems": ' + "[" * 5000 + "]" * 5000 + "}",
    ],
    ids=str.__len__,
)
def test_a_file_without_results_is_told(run, tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    assert "bad.json holds no results; make them with" in refused(
        run("plot", "evaluation", "bad.json", "--output", "x.png"), 1
    )


@pytest.mark.parametrize(
    ("by", "system"),
    [
        ("k", {"measures": {"ndcg@ten": {"value": 1}}}),
        ("k", {"measures": {"ndcg@5": {"value": "much"}}}),
        ("k", {"measures": {"ndcg@5": 3}}),
        ("k", {"measures": {"ndcg@5": {"value": 10**400}}}),
        ("popularity", {"measures": {}, "by_popularity": {"ten": []}}),
        ("popularity", {"measures": {}, "by_popularity": {"5": [{"least": 1}]}}),
        ("popularity", {"measures": {}, "by_popularity": [1, "x"]}),
    ],
)
def test_results_of_another_shape_are_told(run, tmp_path, by, system):
    (tmp_path / "odd.json").write_text(json.dumps({"systems": [{"name": "x", **system}]}))
    assert refused(run("plot", "evaluation", "odd.json", "--by", by, "--output", "x.png"), 1).startswith(
        "the results are not as embedkit writes them; make them with embedkit evaluate recommendations"
    )
    assert not (tmp_path / "x.png").exists()


def test_places_of_the_command_are_those_of_the_function(run, tmp_path):
    from embedkit.atlas import coordinates

    said(run("map", "--method", "pca", "--output", "m.parquet", "--top", "0"))
    table = pq.read_table(tmp_path / "m.parquet").to_pandas()
    np.testing.assert_allclose(table[["x", "y"]].to_numpy(), coordinates(embeddings()), atol=1e-6)
