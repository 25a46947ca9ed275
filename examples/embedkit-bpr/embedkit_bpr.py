"""Bayesian personalised ranking: an embedkit plugin in one module."""

from dataclasses import dataclass
from typing import Any

import embedkit


@dataclass(frozen=True)
class BPROptions:
    """How long to learn, and how fast."""

    vector_size: int = embedkit.option(
        64, "Numbers in a vector.", minimum=1, search=embedkit.Between(16, 256, log=True)
    )
    epochs: int = embedkit.option(10, "Passes over the interactions.", minimum=1, search=embedkit.Between(5, 100))
    alpha: float = embedkit.option(0.1, "Learning rate.", above=0, search=embedkit.Between(0.01, 0.5, log=True))
    regularization: float = embedkit.option(0.01, "How much vectors shrink at each step.", minimum=0)
    batch_size: int = embedkit.option(256, "Interactions learned from at once.", minimum=1)
    seed: int = embedkit.option(1, "Seed of what is drawn.", minimum=0)


class BPR(embedkit.Trainer):
    """Bayesian personalised ranking: what somebody has met is to score above what they have not."""

    name = "bpr"
    Options = BPROptions

    def train(self, corpus: Any, options: BPROptions, run: embedkit.Run) -> embedkit.Embeddings:
        """Learn a vector for each key (for each sentence, where they belong to nobody) and each token."""
        import numpy as np

        rng = np.random.default_rng(options.seed)
        met = corpus.matrix()
        rows = np.repeat(np.arange(met.shape[0]), np.diff(met.indptr))
        users, items = (
            rng.normal(0, 0.1, (n, options.vector_size)).astype(np.float32) for n in (met.shape[0], met.shape[1])
        )
        losses: list[float] = []

        def snapshot() -> embedkit.Embeddings:
            return embedkit.Embeddings.from_corpus(
                corpus,
                items.copy(),
                key_vectors=users.copy() if corpus.keys is not None else None,
                losses=losses,
            )

        for epoch in range(options.epochs):
            order, steps = rng.permutation(len(rows)), []
            for start in range(0, len(order), options.batch_size):
                batch = order[start : start + options.batch_size]
                steps.append(_step(users, items, rows[batch], met.indices[batch], met, rng, options))
                done = epoch * len(order) + start + len(batch)
                run.progress(done, options.epochs * len(order), unit="interactions", snapshot=snapshot)
            losses.append(float(np.concatenate(steps).mean()))
            if not run.epoch_done(losses[-1], snapshot):
                break
        return snapshot()


def _step(users: Any, items: Any, u: Any, i: Any, met: Any, rng: Any, options: BPROptions) -> Any:
    """Go down the gradient of -ln σ(u·i - u·j), j being drawn anew for each pair; return these losses."""
    import numpy as np

    j = rng.integers(len(items), size=len(u))
    new = np.asarray(met[u, j]).ravel() == 0
    u, i, j = u[new], i[new], j[new]
    user, better, worse = users[u], items[i], items[j]
    margin = np.einsum("ij,ij->i", user, better - worse)
    pull = options.alpha * np.exp(-np.logaddexp(0, margin))[:, None]
    shrink = options.alpha * options.regularization
    np.add.at(users, u, pull * (better - worse) - shrink * user)
    np.add.at(items, i, pull * user - shrink * better)
    np.add.at(items, j, -pull * user - shrink * worse)
    return np.logaddexp(0, -margin)


@embedkit.hookimpl
def register_trainers(register: Any) -> None:
    """Tell embedkit of the trainer."""
    register(BPR)
