"""What `spectral` holds out of training, and what it chooses by that."""

import numpy as np
import pytest
import reference_factors as slow
from hypothesis import given, settings
from hypothesis import strategies as st
from test_spectral import Recorder, corpus_of

import embedkit
from embedkit import OptionError, evaluation
from embedkit.trainers.factors import holdout
from embedkit.trainers.factors.seen import histories_of
from embedkit.trainers.factors.spectral_choice import FIXED, _ndcg


def chosen(corpus, **options):
    """Return what was chosen, what was said of it, and the embeddings."""
    run = Recorder()
    emb = embedkit.train(corpus, "spectral", run=run, **{"vector_size": 16, **options})
    (said,) = [line for line in run.said if "hosen" in line or "to choose" in line] or [""]
    return emb.config["chosen"], said, emb


def fans(n=300, seed=0, of_two=False):
    """Return histories of fans of one of five kinds of ten tokens each; `of_two`: of another one later."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        first, second = rng.choice(5, 2, replace=False) * 10
        late = second if of_two else first
        rows.append([*(first + rng.permutation(10)[:5]).tolist(), *(late + 5 + rng.permutation(5)).tolist()])
    return rows


def crowd(n=300, seed=0):
    """Return histories drawn by popularity alone."""
    rng = np.random.default_rng(seed)
    worth = 1 / np.arange(1, 61)
    return [rng.choice(60, 10, replace=False, p=worth / worth.sum()).tolist() for _ in range(n)]


def asked_of(rows, times=None, how=None):
    corpus = corpus_of(rows, times=times)
    made = holdout.held_out(histories_of(corpus), corpus.tokens, how, 1)
    own = np.array([int(token[1:]) for token in corpus.tokens])
    return made, own


def test_the_last_fifth_of_each_history_is_held_out():
    rows = fans(of_two=True)
    made, own = asked_of(rows, how="latest")
    kept, targets = slow.held_out(rows)
    assert [own[row].tolist() for row in made.rows] == kept
    assert sorted(made.asked.tolist()) == [r for r, wanted in enumerate(targets) if wanted]
    for r, wanted in zip(made.asked, made.targets, strict=True):
        assert sorted(own[wanted].tolist()) == targets[r]


def test_with_times_everything_from_one_moment_on_is_held_out():
    rows = crowd()
    rng = np.random.default_rng(1)
    times = [sorted(rng.integers(0, 1000, len(row)).tolist()) for row in rows]
    made, own = asked_of(rows, times)
    moment = np.sort(np.concatenate(times))[int(0.8 * 3000)]
    for r, row in enumerate(rows):
        assert own[list(made.rows)[r]].tolist() == [t for t, when in zip(row, times[r], strict=True) if when < moment]
    assert made.rows.times.max() < moment
    assert all(len(list(made.rows)[r]) for r in made.asked)


def test_drawn_ones_leave_as_much_and_keep_the_order():
    rows = crowd()
    made, own = asked_of(rows, how="random")
    for row, left in zip(rows, made.rows, strict=True):
        places = [row.index(token) for token in own[left]]
        assert len(places) == 8
        assert places == sorted(places)
    assert any(row[-1] in own[left] for row, left in zip(rows, made.rows, strict=True))


def test_without_times_every_other_history_leaves_its_last_and_the_rest_drawn_ones():
    rows = crowd()
    (made, own), (latest, _), (drawn, _) = (asked_of(rows, how=how) for how in (None, "latest", "random"))
    for r, (left, first, kept) in enumerate(zip(made.rows, latest.rows, drawn.rows, strict=True)):
        assert left.tolist() == (kept if r % 2 else first).tolist()
    assert len(own) == 60


@pytest.mark.parametrize("reverse", [False, True])
def test_lists_in_the_order_of_names_tell_nothing_about_time(reverse):
    rows = [sorted(row, key=lambda t: f"t{t}", reverse=reverse) for row in crowd()]
    made, own = asked_of(rows)
    assert not made.in_order
    assert any(row[-1] in own[left] for row, left in zip(rows, made.rows, strict=True))
    settled, _, _ = chosen(corpus_of(rows))
    assert settled["recency_exponent"] == 0


def test_numbers_in_ascending_order_are_seen_as_such():
    rows = [sorted(row) for row in crowd()]
    corpus = embedkit.Corpus.from_sentences([[str(token + 1) for token in row] for row in rows])
    assert not holdout.held_out(histories_of(corpus), corpus.tokens, "latest", 1).in_order


def test_a_split_says_how_more_is_to_be_held_out():
    times = [list(range(r, r + 10)) for r in range(300)]
    corpus = corpus_of(crowd(), times=times)
    for split, how in ((evaluation.random, "random"), (evaluation.leave_one_out, "latest"), (evaluation.by_time, None)):
        part = split(corpus).train
        as_tested, as_said = chosen(part)[1], chosen(part, holdout=how)[1]
        assert as_tested == as_said
        assert ("trend" in as_said) == (how != "random")


def test_few_histories_are_too_few_to_choose_on():
    settled, said, _ = chosen(corpus_of(crowd(50)))
    assert settled == FIXED
    assert "Too few histories" in said


def test_where_all_happened_at_once_the_last_of_each_history_is_held_out():
    rows = crowd()
    made, own = asked_of(rows, [[7] * 10 for _ in rows])
    assert [own[row].tolist() for row in made.rows] == slow.held_out(rows)[0]


def test_where_popularity_is_all_there_is_it_leans_on_it():
    settled, said, emb = chosen(corpus_of(crowd()))
    assert settled["prior"] > 0 or settled["shrinkage"] > FIXED["shrinkage"]
    first = emb.tokens.find_all([token for token, _ in emb.recommend(history=["t50"], topn=5)])
    assert emb.counts[first].mean() > 2 * emb.counts.mean()
    assert f"shrinkage {settled['shrinkage']:g}, prior {settled['prior']:g}" in said
    assert "trend" not in said  # there are no times


def test_where_histories_tell_everything_it_does_not():
    settled, _, _ = chosen(corpus_of(fans()))
    assert settled["prior"] <= 0.3


def test_where_the_latest_tell_the_most_it_goes_by_them():
    assert chosen(corpus_of(fans(of_two=True)))[0]["recency_exponent"] > 0


def test_where_fashions_change_it_follows_them():
    rng = np.random.default_rng(3)
    times = [sorted(rng.choice(5000, 10, replace=False).tolist()) for _ in range(400)]
    rows = [[int(when // 250 * 3 + rng.integers(6)) for when in of_row] for of_row in times]
    settled, _, _ = chosen(corpus_of(rows, times=times))
    assert settled["trend"] > 0 or settled["prior"] > 0


def test_what_is_given_is_not_chosen():
    given = {"recency_exponent": 0.3, "trend": 0.2, "prior": 0.1, "shrinkage": 0.3, "leverage_discount": 0.05}
    times = [list(range(r, r + 10)) for r in range(300)]
    settled, said, _ = chosen(corpus_of(crowd(), times=times), **given)
    assert settled == given
    assert said == ""
    settled, said, _ = chosen(corpus_of(crowd()), prior=0.7)
    assert settled["prior"] == 0.7
    assert "prior" not in said


def test_choices_are_the_same_with_any_number_of_workers():
    corpus = corpus_of(crowd())
    (first, said, one), (second, also, two) = (chosen(corpus, workers=w) for w in (1, 3))
    assert (first, said) == (second, also)
    assert np.array_equal(one.context_vectors, two.context_vectors)


def test_progress_of_choosing_and_learning_goes_on():
    run = Recorder()
    embedkit.train(corpus_of(crowd()), "spectral", run=run, vector_size=8)
    done = [d for d, _ in run.reported]
    assert done == sorted(done)
    assert run.reported[-1][0] == run.reported[-1][1]


def test_a_prior_needs_a_number_besides_the_singular_vector():
    with pytest.raises(OptionError, match=r"^prior takes one number"):
        embedkit.train(corpus_of(crowd()), "spectral", vector_size=1, prior=1)
    assert chosen(corpus_of(crowd()), vector_size=1)[0]["prior"] == 0


def test_a_trend_needs_times():
    with pytest.raises(OptionError, match=r"^trend needs times"):
        embedkit.train(corpus_of(crowd()), "spectral", trend=0.5)


@settings(max_examples=100, deadline=None)
@given(scores=st.lists(st.integers(0, 9), min_size=1, max_size=40), data=st.data())
def test_ndcg_agrees_with_its_twin(scores, data):
    wanted = data.draw(st.lists(st.integers(0, len(scores) - 1), min_size=1, max_size=25, unique=True))
    made = _ndcg(np.array(scores, np.float32), np.array(wanted))
    assert made == pytest.approx(slow.ndcg(scores, wanted))
