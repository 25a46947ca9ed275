"""One table of token vectors, its loss over a batch, and a step against the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from embedkit.trainers.contrast import kernels_contrastive as kernels
from embedkit.trainers.machinery.crew import Crew, slices
from embedkit.trainers.machinery.resuming import check_within, put_back

_BETAS = 0.9, 0.999
_EPSILON = 1e-8
_ROWS = 256  # of scores, made and used while they are in the cache


class Batch(NamedTuple):
    """Examples that learn together.

    Attributes
    ----------
    starts, tokens, counts
        int64 (n + 1), int32, float32: the histories and the weights of their tokens, compressed.
    ends, targets
        int64 (n + 1), int32: what each history is to predict, compressed.
    """

    starts: np.ndarray
    tokens: np.ndarray
    counts: np.ndarray
    ends: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1


@dataclass
class TiedSoftmax:
    """Token vectors e and offsets b, and the sampled softmax that they minimise.

    With q = u(Σ_i w_i e_i) over a history of weights w_i, u(x) = x / |x|, T the targets of an example, C the tokens
    that are anybody's target in the batch or were sampled for it, π_j the probability that token j is in such a C and
    τ the temperature, the loss is the mean over the batch's n examples of

        |T|^-½ Σ_{t∈T} -log( exp(s_t - log π_t) / Σ_{j∈C} exp(s_j - log π_j) ),  s_j = q·u(e_j) / τ + b_j

    divided by the mean of |T|^½, so that it is a mean over targets where each example has one. The weights are
    recency^age (times the weight in the corpus); a vector's length counts in a history, and not as a target.

    One table for both sides and cosines: SimpleX (arXiv 2109.12613) has a history's mean and cosines, with another
    loss. Sampled softmax: Bengio and Senécal 2008 (IEEE Trans. Neural Networks 19); in-batch negatives with a
    correction for popularity: Yi et al. 2019 (RecSys), there by frequency instead of the probability of being in C.

    Attributes
    ----------
    table
        float32 (n_tokens × vector_size), e.
    offsets
        float32 (n_tokens), b.
    log_inclusion
        float32 (n_tokens), log π.
    learn_offsets
        Whether b is learned, or stays as it is.
    """

    table: np.ndarray
    offsets: np.ndarray
    log_inclusion: np.ndarray
    temperature: float
    learn_offsets: bool = True

    def __post_init__(self) -> None:
        self._moments = np.zeros_like(self.table), np.zeros_like(self.table)
        self._moments_of_offsets = np.zeros_like(self.offsets)[:, None], np.zeros_like(self.offsets)[:, None]
        self._slots = np.full(len(self.table), -1, np.int32)
        self._steps = 0

    def step(self, batch: Batch, noise: np.ndarray, rate: float, crew: Crew) -> tuple[float, float]:
        """Take a step of Adam against the gradient of a batch; return its summed loss, and over what weight."""
        distinct, n_columns = self._numbered(batch, noise)
        loss, weight, gradients, of_offsets = self._gradients(batch, distinct, n_columns, crew)
        self._steps += 1
        unbias = [1 / (1 - beta**self._steps) for beta in _BETAS]
        numbers = list(map(np.float32, (rate, *_BETAS, *unbias, _EPSILON)))
        kernels.adam(self.table, *self._moments, distinct, gradients, *numbers)
        if self.learn_offsets:
            columns, table = distinct[:n_columns], self.offsets[:, None]
            kernels.adam(table, *self._moments_of_offsets, columns, of_offsets[:, None], *numbers)
        self._slots[distinct] = -1
        return loss, weight

    def state(self, losses: list[float]) -> dict[str, np.ndarray]:
        """Return all that goes on from epoch to epoch."""
        return {"losses": np.array(losses), "steps": np.array([self._steps]), **self._carried()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from such a state."""
        steps = np.zeros(1, np.int64)
        put_back(state, {"steps": steps, **self._carried()})
        check_within("steps", steps, 0, 1 << 53)
        for _, squares in (self._moments, self._moments_of_offsets):
            check_within("means of squares", squares, 0, 1 << 60)
        self._steps = int(steps[0])

    def _carried(self) -> dict[str, np.ndarray]:
        (first, second), (first_of_offsets, second_of_offsets) = self._moments, self._moments_of_offsets
        tables = {"table": self.table, "first_moments": first, "second_moments": second, "offsets": self.offsets}
        return {**tables, "first_moments_of_offsets": first_of_offsets, "second_moments_of_offsets": second_of_offsets}

    def gradient(self, batch: Batch, noise: np.ndarray, crew: Crew) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the loss of a batch and its gradients by the table and by the offsets, float32 in their shapes."""
        distinct, n_columns = self._numbered(batch, noise)
        loss, weight, gradients, of_offsets = self._gradients(batch, distinct, n_columns, crew)
        self._slots[distinct] = -1
        by_table, by_offsets = np.zeros_like(self.table), np.zeros_like(self.offsets)
        by_table[distinct], by_offsets[distinct[:n_columns]] = gradients, of_offsets
        return loss / weight, by_table, by_offsets

    def _numbered(self, batch: Batch, noise: np.ndarray) -> tuple[np.ndarray, int]:
        """Give each token of the step a slot: those of C first; return the tokens by slot, and how many are in C."""
        distinct = np.empty(min(len(self.table), len(batch.targets) + len(noise) + len(batch.tokens)), np.int32)
        n = kernels.number(batch.targets, self._slots, distinct, 0)
        n_columns = kernels.number(noise, self._slots, distinct, n)
        n = kernels.number(batch.tokens, self._slots, distinct, n_columns)
        return distinct[:n], n_columns

    def _gradients(
        self, batch: Batch, distinct: np.ndarray, n_columns: int, crew: Crew
    ) -> tuple[float, float, np.ndarray, np.ndarray]:
        """Return the summed loss, the summed weight, and the gradients of their quotient by vectors and by offsets."""
        columns = distinct[:n_columns]
        units, lengths = self.table[columns], np.empty(n_columns, np.float32)
        kernels.normalize(units, lengths)
        queries = np.empty((len(batch), self.table.shape[1]), np.float32)
        query_lengths = np.empty(len(batch), np.float32)
        kernels.sums(batch.starts, batch.tokens, batch.counts, self.table, queries)
        kernels.normalize(queries, query_lengths)
        sizes = np.diff(batch.ends)
        weights = (sizes**-0.5).astype(np.float32)
        weight = float((sizes * weights).sum(dtype=np.float64))
        scores = np.empty((len(batch), n_columns), np.float32)
        of_queries, gradients = np.empty_like(queries), np.zeros((len(distinct), queries.shape[1]), np.float32)
        of_offsets = np.empty(n_columns, np.float32)
        offsets, targets = self.offsets[columns] - self.log_inclusion[columns], self._slots[batch.targets]

        def work_rows(rows: slice) -> float:
            made = scores[rows]
            np.matmul(queries[rows], units.T, out=made)
            shifts = made.max(axis=1) / np.float32(self.temperature) + offsets.max()
            share = weights[rows] / np.float32(weight)
            ends = batch.ends[rows.start : rows.stop + 1]
            loss = kernels.softmax(made, offsets, shifts, np.float32(1 / self.temperature), ends, targets, share)
            np.matmul(made, units, out=of_queries[rows])
            return float(loss)

        losses = crew.do(work_rows, slices(len(batch), _ROWS))

        def work_columns(part: slice) -> None:
            np.matmul(scores[:, part].T, queries, out=gradients[part])
            of_offsets[part] = scores[:, part].sum(axis=0) * np.float32(self.temperature)

        crew.do(work_columns, slices(n_columns, 4 * _ROWS))
        kernels.through_lengths(gradients, units, lengths)
        kernels.through_lengths(of_queries, queries, query_lengths)
        kernels.add_histories(batch.starts, batch.tokens, batch.counts, self._slots, of_queries, gradients)
        return sum(losses) * weight, weight, gradients, of_offsets
