"""Real tables straight from their files: ten users of each, drawn by a seed, with their histories and recommendations.

python benchmarks/real_tables.py --data DIR [--trainer NAME] [--seed 1]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from measure import note, parser, seconds

import embedkit


def tables(data: Path) -> dict[str, dict]:
    """Return the options that read each table."""
    return {
        "MovieTweetings": {
            "input": str(data / "movietweetings/ratings.dat"),
            "labels": str(data / "movietweetings/movies.dat"),
            "min_interactions": 5,
        },
        "Online Retail": {
            "input": str(data / "online-retail/online_retail.parquet"),
            "user_column": "CustomerID",
            "item_column": "StockCode",
            "time_column": "InvoiceDate",
            "invoice_column": "InvoiceNo",
            "item_label_column": "Description",
            "min_interactions": 5,
        },
    }


def show(emb: embedkit.Embeddings, seed: int, users: int = 10, items: int = 5) -> None:
    """Print users with the last items of their histories and their first recommendations."""
    rng = np.random.default_rng(seed)
    for row in sorted(rng.choice(len(emb.keys), users, replace=False).tolist()):
        key = emb.keys[row]
        (history,) = emb.histories.take([row])
        latest = [emb.label(token) for token in emb.tokens[history[-items:]]]
        found = [emb.label(token) for token, _ in emb.recommend(key, topn=items)]
        print(f"\n{key}, {len(history)} in all, last: {'; '.join(latest)}\n  → {'; '.join(found)}")


def main() -> None:
    """Train on each table and show."""
    args = parser(__doc__, "")
    args.add_argument("--trainer", default=None)
    args.add_argument("--seed", type=int, default=1)
    given = args.parse_args()
    for name, options in tables(given.data).items():
        made = []
        took = seconds(
            lambda options=options, made=made: made.append(embedkit.train("sessions", given.trainer, **options))
        )
        note(f"{name}: {made[0]}, {took:.1f} s")
        print(f"\n## {name}: {made[0]}, {made[0].config['trainer']}")
        show(made[0], given.seed)


if __name__ == "__main__":
    main()
