import numpy as np

from embedkit.contracts import History
from embedkit.scoring.explain import by_token, leave_one_out


def test_amounts_of_one_token_are_summed_and_sorted():
    parts = by_token(np.array([4, 2, 4, 9]), np.array([1.0, 2.0, 1.5, -1.0]))
    assert parts.ids.tolist() == [4, 2, 9]
    assert parts.amounts.tolist() == [2.5, 2.0, -1.0]


def test_leave_one_out_takes_every_occurrence_and_its_weight():
    history = History(np.array([0, 4]), np.array([3, 1, 3, 2], np.int32), np.array([1, 10, 2, 5], np.float32))

    def score(histories):
        weights = np.append(histories.weights, 0)
        return np.array(
            [weights[a:b].max(initial=0) for a, b in zip(histories.indptr, histories.indptr[1:], strict=False)]
        )

    parts = leave_one_out(history, score)
    assert parts.ids.tolist() == [1, 2, 3]
    assert parts.amounts.tolist() == [5.0, 0.0, 0.0]
