"""How `contrastive` runs: what it draws, where it begins, epochs, result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from embedkit.contracts import History, Run
from embedkit.corpus import Corpus
from embedkit.embeddings import Embeddings
from embedkit.errors import EmbedkitError
from embedkit.memory import available_bytes, check_fits, smaller
from embedkit.trainers.contrast import kernels_contrastive as kernels
from embedkit.trainers.contrast.examples import Examples, HeldOutTokens, NextTokens
from embedkit.trainers.contrast.starting import grow, random_vectors, singular_vectors
from embedkit.trainers.contrast.tied_softmax import TiedSoftmax
from embedkit.trainers.contrastive import ContrastiveOptions
from embedkit.trainers.factors.seen import check_weights, histories_of, touched_histories_of
from embedkit.trainers.factors.spectral_vectors import OVERSAMPLING, TABLES
from embedkit.trainers.machinery.crew import Crew, slices
from embedkit.trainers.machinery.distributions import alias_table, noise_probabilities
from embedkit.trainers.machinery.growth import Known, Tether, anchors
from embedkit.trainers.machinery.needs import n_interactions, of_interactions
from embedkit.trainers.machinery.racing import warm_up
from embedkit.trainers.machinery.resuming import losses_of, put_back

_ROWS = 1 << 12
_LEAST_WITH_OFFSETS = 3  # a single number besides would be 1 or -1 as a unit vector
_RAREST = 0.5  # how often a token counts as a target at the start that is none
_BATCHES = {"next": 512, "held-out": 64}  # in an epoch, as far as sizes of 64 to 2048 examples allow


@dataclass(frozen=True)
class Settings:
    """The options in force where these depend on the corpus."""

    target: str
    recency: float
    repeats: bool
    batch_size: int
    epochs: int
    alpha: float
    offsets: bool

    @classmethod
    def of(cls, options: ContrastiveOptions, corpus: Corpus) -> Settings:
        """Return the options, with what suits the corpus in the place of None."""
        owned = corpus.keys is not None
        target = options.target or ("held-out" if owned and corpus.times is None else "next")
        n = corpus.n_tokens if target == "next" else len(corpus.keys or corpus)
        usual = {
            "recency": 0.5 if target == "next" and not owned else 1.0,
            "repeats": not owned,
            "batch_size": min(max(n // _BATCHES[target], 64), 2048),
            "epochs": 3 if target == "next" else 20,
            "alpha": 0.003 if target == "next" else 0.01,
        }
        given = {name: value for name in usual if (value := getattr(options, name)) is not None}
        offsets = options.offsets and options.vector_size >= _LEAST_WITH_OFFSETS
        return cls(target, **{**usual, **given}, offsets=offsets)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Learning:
    """What an epoch needs."""

    corpus: Corpus
    options: ContrastiveOptions
    settings: Settings
    examples: Examples
    model: TiedSoftmax
    tethers: Sequence[Tether] = ()

    def epochs(self, run: Run) -> list[float]:
        """Learn, fewer epochs where `run` says so; return the mean loss of each."""
        accept, alias = alias_table(noise_probabilities(self.corpus.counts, self.options.ns_exponent))
        noise = np.empty(self.options.negative, np.int32)
        total = self.settings.epochs * self.examples.total
        losses: list[float] = [] if run.state is None else self._restore(run.state)
        before, loss, weight = len(losses) * self.examples.total, 0.0, 0.0

        def result() -> Embeddings:
            return self.embeddings(losses)

        def watch(parts: int) -> None:
            run.progress(before, total, unit=self.examples.unit, loss=loss / (weight or 1), snapshot=result)

        with Crew(self.options.workers, watch) as crew:
            for epoch in range(len(losses), self.settings.epochs):
                rng = np.random.default_rng([self.options.seed, 2, epoch])
                loss = weight = 0.0
                for batch, place in self.examples.batches(epoch, self.settings.batch_size):
                    kernels.draw_noise(accept, alias, rng, noise)
                    rate = self.settings.alpha * (1 - before / total)
                    more, of_weight = self.model.step(batch, noise, rate, crew)
                    if not np.isfinite(more):
                        raise EmbedkitError("the vectors grew beyond all bounds; lower --alpha.")
                    loss, weight, before = loss + more, weight + of_weight, epoch * self.examples.total + place
                    watch(0)
                if weight == 0:
                    raise EmbedkitError("an epoch drew nothing to predict; raise --held-out or --max-history.")
                for tether in self.tethers:
                    tether.pull()
                losses.append(loss / weight)
                if not run.epoch_done(losses[-1], result):
                    break
                run.keep_state(lambda: {**self.model.state(losses), **anchors(self.tethers)}, epoch_over=True)
        return losses

    def _restore(self, state: Mapping[str, np.ndarray]) -> list[float]:
        put_back(state, anchors(self.tethers))
        self.model.restore(state)
        return losses_of(state, self.settings.epochs)

    def embeddings(self, losses: list[float]) -> Embeddings:
        """Return a copy of the vectors; as targets they are unit vectors, the offset behind them."""
        table, size = self.model.table, self.options.vector_size
        vectors, targets = (np.zeros((len(table), size), np.float32) for _ in range(2))
        for rows in slices(len(table), _ROWS):
            units = table[rows].copy()
            vectors[rows, : units.shape[1]] = units
            kernels.normalize(units, np.empty(len(units), np.float32))
            targets[rows, : units.shape[1]] = units
        if not np.isfinite(targets).all():
            raise EmbedkitError("the vectors grew beyond all bounds; lower --alpha.")
        if self.settings.offsets:
            targets[:, -1] = self.model.offsets * np.float32(self.options.temperature)
        return Embeddings.from_corpus(
            self.corpus,
            vectors,
            context_vectors=targets,
            query="contrastive",
            config={name: getattr(self.settings, name) for name in ("target", "recency", "repeats", "offsets")},
            losses=losses,
        )


def learn(corpus: Corpus, options: ContrastiveOptions, run: Run) -> Embeddings:
    """Learn vectors by telling what belongs to a history from what does not; see `TiedSoftmax`.

    Raises
    ------
    EmbedkitError
        If there is a single token, or nothing to predict, or the vectors diverge.
    """
    settings = Settings.of(options, corpus)
    n_tokens = len(corpus.tokens)
    if n_tokens < 2:
        raise EmbedkitError("there is a single token, so nothing to tell apart; this trainer needs two or more.")
    if options.target is None and run.start is None:  # an update's is the model's
        run.say(f"The target is {settings.target}; --target chooses another.")
    _check_memory(corpus, options, settings, run)
    rows = histories_of(corpus) if run.start is None else touched_histories_of(corpus)
    if rows.weights is not None:
        check_weights(rows.weights)
    _compile(rows, run)
    examples = _examples(rows, n_tokens, options, settings)
    with Crew(options.workers, lambda parts: run.progress(0, 0, unit="parts")) as crew:
        singular = options.start == "spectral" and len(rows) > 1 and run.start is None
        begin = singular_vectors if singular else random_vectors
        table = begin(corpus, options.vector_size - settings.offsets, options.seed, crew)
    chances = examples.chances()
    offsets = np.zeros(n_tokens, np.float32)
    if settings.offsets:
        offsets += options.popularity * np.log(np.maximum(chances, _RAREST / examples.total))
        offsets -= offsets.mean()
    known = Known.tokens(corpus, run)
    if run.start is not None:
        grow(run, known, corpus.counts, options, table, offsets)
    inclusion = _log_inclusion(chances, corpus.counts, options, settings)
    model = TiedSoftmax(table, offsets, inclusion, options.temperature, settings.offsets)
    tethers = [Tether(array, known.now, run.drift) for array in (table, offsets)]
    learning = Learning(corpus, options, settings, examples, model, tethers)
    return learning.embeddings(learning.epochs(run))


def _examples(rows: History, n_tokens: int, options: ContrastiveOptions, settings: Settings) -> Examples:
    if settings.target == "next":
        return NextTokens(rows, n_tokens, settings.recency, settings.repeats, options.max_history, options.seed)
    return HeldOutTokens(rows, n_tokens, options.held_out, settings.recency, options.max_history, options.seed)


def _log_inclusion(
    chances: np.ndarray, counts: np.ndarray, options: ContrastiveOptions, settings: Settings
) -> np.ndarray:
    """Return the logarithm of the probability that a token is a target in a batch, or sampled for it: float32."""
    missed = settings.batch_size * np.log1p(-np.minimum(chances, 1 - 1e-12))
    missed += options.negative * np.log1p(-noise_probabilities(counts, options.ns_exponent))
    return np.log(np.maximum(-np.expm1(missed), 1e-12)).astype(np.float32)


def _check_memory(corpus: Corpus, options: ContrastiveOptions, settings: Settings, run: Run) -> None:
    """Refuse what does not fit.

    Five tables: vectors, two moments, the result's two; seven while singular vectors are sought to begin with. Of a
    batch scores, queries and targets with their gradients.
    """
    n_tokens, size, batch = len(corpus.tokens), options.vector_size, settings.batch_size
    columns = min(n_tokens, batch + options.negative)
    rest = 4 * batch * columns + of_interactions(n_interactions(corpus, run, touched=True))
    a_number = 20 * n_tokens + 8 * batch + 8 * columns
    if options.start == "spectral" and run.start is None:
        rest, a_number = rest + 4 * TABLES * OVERSAMPLING * n_tokens, a_number + 4 * (TABLES - 4) * n_tokens
    available = available_bytes()
    fits = 0 if available is None else max(0, available - rest) // a_number
    check_fits(
        rest + size * a_number,
        f"learning vectors of {n_tokens:,} tokens × {size:,} in batches of {batch:,}",
        smaller(fits, "lower --batch-size or --negative"),
    )


def _compile(rows: History, run: Run) -> None:
    """Learn from a history of two tokens, in arrays like those of `rows`, so that the kernels are compiled."""

    def like(array: np.ndarray, *values: float) -> np.ndarray:
        made = np.array(values, array.dtype)
        made.flags.writeable = array.flags.writeable
        return made

    weights = None if rows.weights is None else like(rows.weights, 1, 1)
    pair = History(like(rows.indptr, 0, 2), like(rows.indices, 0, 1), weights)

    def compile_kernels() -> None:
        model = TiedSoftmax(np.eye(2, dtype=np.float32), np.zeros(2, np.float32), np.zeros(2, np.float32), 1.0)
        with Crew(1) as crew:
            for examples in (NextTokens(pair, 2, 1.0, True, 1, 0), HeldOutTokens(pair, 2, 0.5, 1.0, 2, 0)):
                for batch, _ in examples.batches(0, 1):
                    model.step(batch, np.zeros(1, np.int32), 0.0, crew)
        accept, alias = alias_table(np.full(2, 0.5))
        kernels.draw_noise(accept, alias, np.random.default_rng(0), np.zeros(1, np.int32))

    warm_up(compile_kernels, run)
