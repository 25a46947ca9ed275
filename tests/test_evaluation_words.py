"""Word tests: counted as the field counts them, and bad files are told by name and line."""

import io
import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import spearmanr

from embedkit import Embeddings, SourceError, train
from embedkit.evaluation.word_files import word_test
from embedkit.evaluation.words import analogies, similarities


@pytest.fixture
def grid():
    """Vectors in which king - man + woman = queen, and paris - france + italy is nearest to rome."""
    vectors = {
        "man": [1, 0, 0, 0],
        "woman": [1, 1, 0, 0],
        "king": [1, 0, 1, 0],
        "queen": [1, 1, 1, 0],
        "france": [0, 0, 0, 1],
        "paris": [0, 0, 1, 1],
        "italy": [0, 0.5, 0, 1],
        "rome": [0, 0.5, 1, 1],
    }
    return Embeddings(list(vectors), np.array(list(vectors.values()), np.float32))


def test_analogies_are_counted_by_section(grid, tmp_path):
    path = tmp_path / "questions.txt"
    family = ": family\nman king woman queen\nMan King Woman Queen\nman king woman rome\n"
    path.write_text(family + ": gram1\nman x woman y\n")
    family, gram = analogies(grid, path)
    assert (family.section, family.asked, family.covered, family.right) == ("family", 3, 3, 2)
    assert family.accuracy == pytest.approx(2 / 3)
    assert (gram.asked, gram.covered, gram.right) == (1, 0, 0)
    assert math.isnan(gram.accuracy)


def test_analogies_are_asked_of_the_most_frequent_words_only(grid, tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text("man king woman queen\nfrance paris italy rome\n")
    (everything,) = analogies(grid, path, restrict_vocab=None)
    (few,) = analogies(grid, path, restrict_vocab=4)
    assert (everything.covered, few.covered) == (2, 1)


def test_similarities_agree_with_scipy_over_the_covered_pairs(grid, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("\ufeffword 1,word 2,score\nman,woman,8\nking,queen,9\nman,paris,1\nfrance,rome,3\nman,mars,5\n")
    score = similarities(grid, path)

    def cosine(a, b):
        return float(grid[a] @ grid[b] / np.linalg.norm(grid[a]) / np.linalg.norm(grid[b]))

    pairs = [("man", "woman"), ("king", "queen"), ("man", "paris"), ("france", "rome")]
    assert score.spearman == pytest.approx(spearmanr([cosine(*p) for p in pairs], [8, 9, 1, 3])[0])
    assert (score.pairs, score.covered) == (5, 4)


@pytest.mark.parametrize(
    ("test", "content", "message"),
    [
        (analogies, "a b c\n", "line 1 has 3 words; a question has four"),
        (analogies, ": empty\n", "holds no question"),
        (analogies, None, "cannot read"),
        (similarities, "a\tb\n", "line 1 has 2 fields"),
        (similarities, "a\tb\t1\nc\td\tmuch\n", "line 2: the score 'much' is no number"),
        (similarities, "", "holds no pair"),
        (similarities, b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_bad_file_is_told_in_one_line(grid, tmp_path, test, content, message):
    path = tmp_path / "test.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SourceError, match=message):
        test(grid, path)


@pytest.mark.parametrize(
    "content",
    [
        "word1\tword2\tPOS\tSimLex999\tconc(w1)\nman\twoman\tN\t8\t1\nking\tqueen\tN\t9\t2\nman\tparis\tN\t1\t3\n",
        "man woman 8\nking queen 9\nman paris 1\n",
        "man woman N 8\nking queen N 9\nman paris N 1\n",
        "\ufeffword 1,word 2,kor_score\r\nman,woman,8\r\nking,queen,9\r\nman,paris,1\r\n",
    ],
)
def test_the_usual_layouts_of_similarities_are_told_apart(grid, tmp_path, content):
    path = tmp_path / "pairs"
    path.write_text(content, newline="")
    score = word_test(grid, path)
    cosines = [grid.similarity(*pair) for pair in (("man", "woman"), ("king", "queen"), ("man", "paris"))]
    assert score.spearman == pytest.approx(spearmanr(cosines, [8, 9, 1])[0])
    assert (score.pairs, score.covered, score.built) == (3, 3, 0)


def test_questions_are_told_from_pairs(grid, tmp_path):
    path = tmp_path / "questions"
    path.write_text("man king woman queen\n")
    assert word_test(grid, path)[0].right == 1


def test_words_that_were_never_seen_are_built_of_their_subwords(tmp_path):
    text = io.StringIO("walking talking walked talked walks talks\n" * 40)
    options = {"epochs": 1, "vector_size": 8, "min_count": 1, "workers": 1}
    model = train("text", "fasttext", input=text, **options)
    path = tmp_path / "pairs"
    path.write_text("walking\twalked\t9\nwalker\ttalker\t5\nwalks\ttalking\t2\n")
    score = similarities(model, path)
    assert (score.pairs, score.covered, score.built) == (3, 3, 1)
    cosines = [model.similarity(*pair) for pair in (("walking", "walked"), ("walker", "talker"), ("walks", "talking"))]
    assert score.spearman == pytest.approx(spearmanr(cosines, [9, 5, 2])[0])


def test_where_all_are_judged_alike_there_is_no_correlation(grid, tmp_path):
    path = tmp_path / "alike.tsv"
    path.write_text("".join(f"{one}\t{other}\t5\n" for one, other in pairwise(grid.tokens[:4])))
    score = similarities(grid, path)
    assert math.isnan(score.spearman)
    assert score.covered == 3
