"""The trainer `spectral` on tokens × tokens: PPMI and its vectors against dense NumPy; what it tells and refuses."""

import numpy as np
import pytest
import reference_glove as slow
from checkerboard import GRID, checkerboard, misses
from test_cooccurrence import corpus_of, counted, dense, expected, zipf_corpus
from test_spectral import Recorder

import embedkit
from embedkit import Corpus, EmbedkitError, OptionError, Run
from embedkit.corpus.workdir import WorkFolder
from embedkit.trainers.factors import ppmi
from embedkit.trainers.machinery.crew import Crew


def trained(corpus, run=None, **options):
    return embedkit.train(corpus, "spectral", run=run, matrix="token-token", **options)


@pytest.mark.parametrize(("size", "seed"), GRID)
def test_the_checkerboard_is_filled(seed, size):
    assert misses(trained(checkerboard(seed), vector_size=size, seed=seed, window="sentence")) == []


@pytest.mark.parametrize(("shift", "smoothing"), [(1, 1), (1, 0.75), (3, 0.75), (0.5, 0)])
def test_the_matrix_is_that_of_the_formula(monkeypatch, shift, smoothing):
    monkeypatch.setattr(ppmi, "_ROWS", 7)
    corpus = zipf_corpus(3000, 80)
    counts = counted(corpus, 4, "linear")
    folder = WorkFolder()
    with Crew(2) as crew:
        matrix = ppmi.ppmi(counts, shift, smoothing, crew, folder)
    contexts_by_tokens = np.zeros((counts.n_tokens, counts.n_tokens))
    for row in range(counts.n_tokens):
        at = slice(matrix.indptr[row], matrix.indptr[row + 1])
        contexts_by_tokens[row, matrix.indices[at]] = matrix.weights[at]
    assert (matrix.weights > 0).all()
    np.testing.assert_allclose(contexts_by_tokens.T, slow.ppmi(dense(counts), shift, smoothing), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"vector_size": 5, "iterations": 60},
        {"vector_size": 8, "iterations": 60, "eigenvalue_exponent": 0, "window": 2},
        {"eigenvalue_exponent": 1, "shift": 2, "context_smoothing": 1, "distance_weighting": "harmonic"},
        {"distance_weighting": "flat", "window": "sentence"},
    ],
)
def test_vectors_are_those_of_the_exact_decomposition(options):
    options = {
        "vector_size": 40,
        "eigenvalue_exponent": 0.5,
        "shift": 1,
        "context_smoothing": 0.75,
        "window": 5,
        **options,
    }
    weighting = options.setdefault("distance_weighting", "linear")
    corpus = zipf_corpus(900, 40)
    matrix = slow.ppmi(expected(corpus, options["window"], weighting), options["shift"], options["context_smoothing"])
    size = min(options["vector_size"], np.linalg.matrix_rank(matrix))
    options["vector_size"] = size
    W, C = slow.ppmi_vectors(matrix, size, options["eigenvalue_exponent"])
    both, summed = (trained(corpus, keep=keep, **options) for keep in ("both", "sum"))
    # A pair of singular vectors has no sign of its own, so products are compared.
    for made, right in (
        (both.vectors @ both.context_vectors.T, W @ C.T),
        (both.vectors @ both.vectors.T, W @ W.T),
        (summed.vectors @ summed.vectors.T, (W + C) @ (W + C).T),
    ):
        np.testing.assert_allclose(made, right, rtol=5e-3, atol=5e-3 * np.abs(right).max())
    assert summed.context_vectors is None


def test_losses_are_the_shares_of_the_squares_left_out(monkeypatch):
    monkeypatch.setattr(ppmi, "_OVERSAMPLING", 2)
    corpus = zipf_corpus(900, 40)
    run = Recorder()
    emb = trained(corpus, run=run, vector_size=6, iterations=80)
    s = np.linalg.svd(slow.ppmi(expected(corpus, 5, "linear"), 1, 0.75), compute_uv=False)
    np.testing.assert_allclose(emb.arrays["singular_values"], s[:6], rtol=1e-3)
    assert run.losses[-1] == pytest.approx(np.square(s[8:]).sum() / np.square(s).sum(), rel=1e-3)
    assert all(after < before for before, after in zip(run.losses[:6], run.losses[1:7], strict=True))


def test_any_number_of_workers_gives_the_same_bits():
    corpus = zipf_corpus(4000, 300)
    first, second, other = (trained(corpus, vector_size=20, workers=w, seed=s) for w, s in ((1, 3), (3, 3), (1, 4)))
    assert np.array_equal(first.vectors, second.vectors)
    assert not np.array_equal(first.vectors, other.vectors)


def test_a_run_can_stop_and_early_snapshots_stay_whole():
    corpus = zipf_corpus(1000, 60)
    stopped, whole = Recorder(stop_after=1), Recorder()
    first = trained(corpus, run=stopped, vector_size=4, iterations=5)
    last = trained(corpus, run=whole, vector_size=4, iterations=5)
    assert (len(first.losses), len(last.losses)) == (1, 5)
    assert np.array_equal(whole.snapshots[-1]().vectors, last.vectors)


def test_vectors_larger_than_the_vocabulary_are_cut_and_it_says_so():
    run = Recorder()
    emb = trained(corpus_of([[1, 2, 3], [3, 4]]), run=run, vector_size=500)
    assert emb.vector_size == 4
    assert [line for line in run.said if "4 numbers instead of 500" in line]
    assert np.isfinite(emb.vectors).all()


def test_a_saved_model_answers_alike(tmp_path):
    emb = trained(checkerboard(), vector_size=4, window="sentence", keep="both")
    emb.save(tmp_path / "model.safetensors")
    assert embedkit.load(tmp_path / "model.safetensors").recommend("user3") == emb.recommend("user3")


def test_temporary_files_lie_where_told_and_go(tmp_path):
    trained(zipf_corpus(1000, 50), run=Run(work_dir=tmp_path), vector_size=4)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sentences", "options", "what"),
    [
        ([["a"], ["a"]], {}, "single token"),
        ([["a"], ["b"]], {}, "nothing occurs together"),
        ([["a", "b"]], {"shift": 1e6}, r"1e\+06 times as often as by chance; lower --shift"),
    ],
)
def test_what_has_nothing_to_tell_is_refused(sentences, options, what):
    with pytest.raises(EmbedkitError, match=what):
        trained(Corpus.from_sentences(sentences), **options)


def test_vectors_that_do_not_fit_are_refused(monkeypatch):
    corpus = corpus_of([list(range(300))])
    monkeypatch.setattr("embedkit.memory.available_bytes", lambda: 10**4)
    with pytest.raises(EmbedkitError, match=r"singular vectors of 300 tokens × 132.*--vector-size of"):
        trained(corpus, vector_size=100)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("matrix", "key-key"),
        ("window", 0),
        ("distance_weighting", "square"),
        ("shift", 0),
        ("context_smoothing", -1),
        ("eigenvalue_exponent", float("nan")),
        ("keep", "none"),
    ],
)
def test_options_out_of_range_are_refused_by_name(option, value):
    with pytest.raises(OptionError, match=f"^{option} must"):
        embedkit.train(corpus_of([[1, 2, 3]]), "spectral", **{"matrix": "token-token", option: value})
