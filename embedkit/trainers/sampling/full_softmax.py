"""The full softmax as a loss: which batches, how much memory and time, and how many updates were made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from embedkit.contracts import Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.memory import check_fits
from embedkit.trainers.machinery.kernels_tiles import LANES
from embedkit.trainers.machinery.needs import of_drawing
from embedkit.trainers.machinery.racing import n_workers
from embedkit.trainers.sampling import kernels_softmax
from embedkit.trainers.sampling.losses import Architecture, Loss, Place, Rates, Stretch

if TYPE_CHECKING:
    from embedkit.trainers.skipgram import Word2VecOptions

_LOGITS = 1 << 24  # at once: 64 MiB
_MOST_ROWS = 512
_OPERATIONS_A_CALL = 2e10
_OPERATIONS_AN_HOUR = 2e14  # what a core or two do of matrix products, about
_ROWS_OF_AN_UPDATE = 32  # that take as long as going through all vectors for an update
_LONG = 1.0


class FullSoftmax(Loss):
    """Predict a token among all: the mean of -ln softmax over a batch of pairs, stepped against by plain SGD."""

    races = False
    read_ahead = 2 * kernels_softmax.T
    capacity = kernels_softmax.T

    def __init__(self, corpus: Corpus, options: Word2VecOptions, architecture: Architecture, keep: np.ndarray) -> None:
        """Make room for a batch's gradients, and for the scores of some of its pairs at a time, besides the vectors.

        Raises
        ------
        EmbedkitError
            Where that does not fit into memory.
        """
        n, width = len(corpus.counts), -(-options.vector_size // LANES) * LANES
        rows = int(np.clip(_LOGITS // n, self.capacity, _MOST_ROWS))
        check_fits(
            4 * (5 * n * width + n * rows + 2 * rows * width) + of_drawing(n),
            f"the full softmax over {n:,} tokens × {options.vector_size:,}",
            "take --loss hierarchical-softmax or negative-sampling, or fewer tokens by a higher --min-count",
        )
        self._mean = architecture == "cbow"
        self._batch_size = 0 if options.batch_size == "all" else options.batch_size
        reach = options.max_contexts if options.window == "sentence" else int(options.window)
        pairs = 1 if self._mean else 2 * reach
        rows_a_centre = 1 + _ROWS_OF_AN_UPDATE * pairs / (self._batch_size or np.inf)
        self._n_tokens, self._operations = n, 6 * n * width * rows_a_centre
        self._centres = float(keep @ corpus.counts) / corpus.counts.sum() * corpus.n_tokens * options.epochs
        self._batch = np.zeros(2, np.int64)
        self._begun = {
            "input_gradients": np.zeros((n, width), np.float32),
            "output_gradients": np.zeros((n, width), np.float32),
            "touched": np.zeros(n, np.bool_),
            "batch": self._batch,
            "rate": np.zeros(1),
        }
        self._room = (
            np.zeros((rows, width), np.float32), np.zeros((rows, width), np.float32), np.zeros(rows * n, np.float32),
            np.zeros((n, width), np.float32), *self._begun.values(),
        )  # fmt: skip
        # Some processors' products round otherwise with another number of threads.
        self._threads = 1 if options.reproducible else n_workers(options.workers, corpus.n_tokens)
        self._blas = ThreadpoolController()

    def announce(self, run: Run) -> None:
        """Say so if it will take hours."""
        hours = self._centres * self._operations / _OPERATIONS_AN_HOUR
        if hours > _LONG:
            run.say(
                f"The full softmax scores all {self._n_tokens:,} tokens at each centre, which will take hours (very "
                f"roughly {hours:,.0f}); --loss hierarchical-softmax and negative-sampling take minutes."
            )

    def advance(self, place: Place, stretch: Stretch, rates: Rates) -> tuple[float, int, bool]:
        """See `Loss`; matrix products take as many threads as there are workers, one where bits are to be the same."""
        with self._blas.limit(limits=self._threads, user_api="blas"):
            return kernels_softmax.softmax(
                *place, *stretch, self._mean, self._batch_size, rates.alpha, rates.alpha_end, *self._room
            )

    def carried(self) -> dict[str, np.ndarray]:
        """Return the batch that has begun."""
        return self._begun

    def tokens_a_call(self, vector_size: int, reach: int) -> int:
        """See `Loss`."""
        return int(np.clip(_OPERATIONS_A_CALL / self._operations, 1, 1_000_000))

    def finish(self, learned: Embeddings, run: Run) -> Embeddings:
        """Note how many updates were made."""
        updates = int(self._batch[kernels_softmax.UPDATES])
        run.say(f"Made {updates:,} update{'' if updates == 1 else 's'}.")
        return learned.with_config(updates=updates)
