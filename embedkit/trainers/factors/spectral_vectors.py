"""How `spectral` runs: the matrix, its singular vectors, and the embeddings made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from embedkit.contracts import History, Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.errors import OptionError
from embedkit.memory import available_bytes, check_fits, smaller
from embedkit.trainers.factors.holdout import held_out
from embedkit.trainers.factors.seen import histories_of, rows_of
from embedkit.trainers.factors.spectral_choice import FIXED, choose, parts_of_choice, to_choose
from embedkit.trainers.factors.spectral_factors import Standing, normalized, put_directions, vectors_of
from embedkit.trainers.factors.subspace import Subspace, gram_product, n_parts, random_block
from embedkit.trainers.machinery.crew import Crew
from embedkit.trainers.machinery.growth import Known
from embedkit.trainers.machinery.needs import n_interactions, n_rows, of_interactions
from embedkit.trainers.machinery.racing import warm_up
from embedkit.trainers.machinery.told import lying, told_options
from embedkit.trainers.spectral import SpectralOptions

OVERSAMPLING = 32  # directions besides those wanted, which make these converge sooner
_KEPT_UNTIL = 1.2  # times as many interactions: then an update chooses options anew
TABLES = 6  # of n_tokens × (vector_size + OVERSAMPLING) float32, that the search and what is made of it hold at once


def learn(corpus: Corpus, options: SpectralOptions, run: Run) -> Embeddings:
    """Learn vectors by a truncated SVD of the normalised matrix; losses are the shares of its squares left out.

    Raises
    ------
    EmbedkitError
        If there are fewer than two keys (or sentences) or tokens, or an option asks for what is not there.
    """
    _check_memory(corpus, options, run)
    seen = rows_of(corpus, options.weighting)
    size = size_of(options.vector_size, len(seen), len(corpus.tokens), run)
    rows = histories_of(corpus)
    if size == 1 and options.prior:
        raise OptionError("prior", "takes one number of each vector, so it needs a vector_size of 2 or more.")
    if rows.times is None and options.trend:
        raise OptionError("trend", "needs times, and these interactions have none; leave it out.")
    _compile(run)
    how = options.holdout or corpus.defaults.get("holdout")
    if how == "random" and not options.trend:
        # Drawn interactions are of any time: what is popular now says no more of them than what always was.
        rows = History(rows.indptr, rows.indices, rows.weights)
    n_occurrences = int(corpus.counts.sum())
    chosen_at = n_occurrences
    if run.start is not None:
        chosen, before = choices_of(run.start)
        if n_occurrences <= _KEPT_UNTIL * before:
            options, chosen_at = replace(options, **chosen), before
    asked = held_out(rows, corpus.tokens, how, options.seed) if to_choose(options) else None
    width = min(size + OVERSAMPLING, len(corpus.tokens))
    n_main = n_parts(len(corpus.tokens), width, options.iterations)
    n_choice = 0 if asked is None else parts_of_choice(asked, len(corpus.tokens), size, options)
    progress = _Progress(run, n_choice, n_main)
    with Crew(options.workers, progress) as crew:
        options = choose(asked, len(corpus.tokens), size, options, crew, run)
        progress.chosen()
        standing = Standing.of(seen, rows, len(corpus.tokens), options.trend_window)
        task = Task(corpus, options, seen, size, standing, chosen_at)
        return _learned(task, width, crew, run)


def choices_of(start: Embeddings) -> tuple[dict[str, Any], int]:
    """Return the options that were chosen for a model, and how many occurrences there were then.

    Raises
    ------
    ModelError
        If the model's config tells of choices that nobody can have made.
    """
    chosen = told_options(start, "chosen", SpectralOptions, FIXED) if "chosen" in start.config else {}
    most = 0 if start.counts is None else int(start.counts.sum())
    at = start.config.get("chosen_at", most)
    if type(at) is not int or not 0 <= at <= most:
        raise lying("chosen_at", f"must be a whole number from 0 to the model's {most:,} occurrences; got {at!r}.")
    return chosen, at


def _check_memory(corpus: Corpus, options: SpectralOptions, run: Run) -> None:
    n_tokens, n = len(corpus.tokens), n_interactions(corpus, run)
    rest = of_interactions(n)
    size = min(options.vector_size, n_tokens, n_rows(corpus))
    available = available_bytes()
    fits = 0 if available is None else max(0, (available - rest) // (4 * TABLES * n_tokens) - OVERSAMPLING)
    check_fits(
        4 * TABLES * n_tokens * (size + OVERSAMPLING) + rest,
        f"singular vectors of {n_tokens:,} tokens × {size:,} from {n:,} interactions",
        smaller(fits, "take fewer interactions"),
    )


def _learned(task: Task, width: int, crew: Crew, run: Run) -> Embeddings:
    """Return embeddings of singular vectors that are sharpened until the iterations are over or the run stops."""
    options, n_tokens = task.options, len(task.standing.totals)
    matrix, scale = normalized(task.seen, n_tokens, options.key_exponent, options.token_exponent)
    total = float(np.square(matrix.weights, dtype=np.float64).sum())  # type: ignore[arg-type]
    block = random_block(n_tokens, width, options.seed)
    if run.start is not None:
        known = Known.tokens(task.corpus, run)
        put_directions(block, known, run.start.vectors, task.standing, options)
    subspace = Subspace.spanned_by(matrix, gram_product(matrix, block, crew), crew)
    losses = [max(0.0, 1 - subspace.variance() / total)]
    while run.epoch_done(losses[-1], task.snapshot(subspace, scale, losses)) and len(losses) < options.iterations:
        subspace = subspace.sharpened(crew)
        losses.append(max(0.0, 1 - subspace.variance() / total))
    return task.embeddings(subspace, scale, losses, crew)


@dataclass(frozen=True)
class Task:
    """What is learned from, and how a subspace becomes embeddings.

    Attributes
    ----------
    options
        With every choice made.
    seen
        The interactions, before they are normalised.
    size
        How many numbers a vector is to have.
    standing
        How popular the tokens are.
    chosen_at
        Of how many occurrences the options were chosen; all that there are where None.
    """

    corpus: Corpus
    options: SpectralOptions
    seen: History
    size: int
    standing: Standing
    chosen_at: int | None = None

    def snapshot(self, subspace: Subspace, scale: float, losses: list[float]) -> Callable[[], Embeddings]:
        """Return what makes embeddings of the subspace as it is now, in threads of its own."""
        losses = list(losses)

        def make() -> Embeddings:
            with Crew(self.options.workers) as crew:
                return self.embeddings(subspace, scale, losses, crew)

        return make

    def embeddings(self, subspace: Subspace, scale: float, losses: list[float], crew: Crew) -> Embeddings:
        """Return the vectors that the best singular vectors within a subspace give; `scale` is as of `normalized`."""
        options = self.options
        values, singular = subspace.singular_vectors(self.size, crew)
        made = vectors_of(values, singular, self.standing, options, crew)
        fold_in = {"weighting": options.weighting, "recency_exponent": options.recency_exponent}
        return Embeddings.from_corpus(
            self.corpus,
            made.vectors,
            context_vectors=made.context_vectors,
            query="spectral",
            arrays={"prior": made.prior, "singular_values": values * np.float32(scale)},
            config={
                "fold_in": fold_in,
                "chosen": {name: getattr(options, name) for name in FIXED},
                "chosen_at": int(self.corpus.counts.sum()) if self.chosen_at is None else self.chosen_at,
            },
            losses=losses,
        )


def size_of(asked: int, n_rows: int, n_tokens: int, run: Run) -> int:
    """Return how many numbers vectors get; say so where the matrix holds fewer than are asked for."""
    most = min(n_rows, n_tokens)
    if asked > most:
        run.say(
            f"Vectors have {most:,} numbers instead of {asked:,}: {n_rows:,} rows × {n_tokens:,} tokens hold no more."
        )
    return min(asked, most)


def _compile(run: Run) -> None:
    nothing = History(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    with Crew(1) as crew:
        warm_up(lambda: gram_product(nothing, np.zeros((1, 1), np.float32), crew), run)


class _Progress:
    """What a crew calls to tell how far it is: first through the choice, then through the rest."""

    def __init__(self, run: Run, choice: int, rest: int) -> None:
        self._run, self._done, self._reach, self._total = run, 0, choice, choice + rest
        self(0)

    def __call__(self, parts: int) -> None:
        self._done = min(self._done + parts, self._reach)
        self._run.progress(self._done, self._total, unit="parts")

    def chosen(self) -> None:
        """Go on to the rest."""
        self._done, self._reach = self._reach, self._total
