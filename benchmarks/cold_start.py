"""Cold start: items whose interactions are all held back, recommended by their content alone.

python benchmarks/cold_start.py --data DIR [--set gowalla] [--trainer als] [--share .2] [--seed 1]

A share of the items is drawn; no interaction with them is trained on. Users are then ranked those items alone, and
Recall@20 is the mean over users of how many of a user's held-back items are among the first 20, ± half of its 95%
interval.

gowalla: the held-back interactions of LightGCN's train file make the content of the held-back items, those of its test
file are what is to be found; held-back items that a user has in the train file are left out of the ranking for all
systems. An item's content is the mean, over its users, of the mean vector (als, 128 numbers, of the trained part) of
their other items. movietweetings: content is the SVD (300 numbers) of TF-IDF over the words of titles, years, decades
and genres; every held-back rating is to be found.

What stands beside: popularity, how often the held-back items stand in the train file (gowalla; nobody would know it of
items that nobody has met); popularity in the test itself, which an oracle alone knows; the newest first
(movietweetings); content kNN, the cosine of an item's content with the mean content of a user's items; chance.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import markdown, parser
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

import embedkit
from embedkit.extending import extend

TOPN = 20
Lists = dict[str, list[str]]


@dataclass
class Task:
    """What is trained on, what is to be found, and what the items are about."""

    train: Lists  # with the held-back items, where their interactions make content
    test: Lists
    cold: set[str]
    items: list[str]

    def warm_lines(self) -> list[str]:
        """Return a line for each user with what may be trained on."""
        kept = {user: [item for item in row if item not in self.cold] for user, row in self.train.items()}
        return [" ".join([user, *row]) for user, row in kept.items() if row]


def gowalla(data: Path, share: float, seed: int) -> Task:
    """Return LightGCN's split with a share of its items held back."""
    train, test = (
        {row[0]: row[1:] for row in map(str.split, (data / f"gowalla/{name}.txt").open()) if len(row) > 1}
        for name in ("train", "test")
    )
    items = sorted({item for row in train.values() for item in row}, key=int)
    cold = drawn(items, share, seed)
    return Task(train, {u: [i for i in row if i in cold] for u, row in test.items()}, cold, items)


def movietweetings(data: Path, share: float, seed: int) -> Task:
    """Return all ratings, those of a share of the movies held back."""
    lines = (data / "movietweetings/ratings.dat").read_text(encoding="utf-8").splitlines()
    rows = sorted((line.split("::") for line in lines), key=lambda row: int(row[3]))
    items = sorted({row[1] for row in rows})
    cold = drawn(items, share, seed)
    train: Lists = {}
    test: Lists = {}
    for user, item, *_ in rows:
        (test if item in cold else train).setdefault(user, []).append(item)
    return Task(train, test, cold, items)


def drawn(items: list[str], share: float, seed: int) -> set[str]:
    """Return a share of the items, drawn."""
    return set(np.random.default_rng(seed).permutation(items)[: round(share * len(items))].tolist())


def neighbours(task: Task, model: embedkit.Embeddings) -> embedkit.Embeddings:
    """Return for each item the mean over its users of the mean vector of their other items that are known."""
    place = {item: i for i, item in enumerate(task.items)}
    entries = [(row, place[item]) for row, items in enumerate(task.train.values()) for item in items]
    users, columns = np.array(entries).T
    matrix = csr_matrix((np.ones(len(users), np.float32), (users, columns)), (len(task.train), len(task.items)))
    known = model.tokens.find_all(task.items)
    warm = (known >= 0).astype(np.float32)
    vectors = model.vectors[known] * warm[:, None]
    sums, numbers = matrix @ vectors, matrix @ warm
    made = np.zeros((len(task.items), model.vector_size), np.float32)
    having = np.zeros(len(task.items), np.float32)
    for own in (0, 1):  # a known item is left out of its users' means
        share = np.where(numbers > own, 1 / np.maximum(numbers - own, 1), 0).astype(np.float32)
        total = matrix.T @ (sums * share[:, None]) - own * vectors * (matrix.T @ share)[:, None]
        rows = warm == own
        made[rows], having[rows] = total[rows], (matrix.T @ (share > 0))[rows]
    rows = np.flatnonzero(having)
    return embedkit.Embeddings([task.items[i] for i in rows], made[rows] / having[rows, None])


def descriptions(data: Path) -> dict[str, list[str]]:
    """Return the words of title, year, decade and genres of each movie."""
    found = {}
    for line in (data / "movietweetings/movies.dat").read_text(encoding="utf-8").splitlines():
        item, title, genres = line.split("::")
        year = year_of(title)
        words = re.findall(r"\w+", re.sub(r"\(\d{4}\)", "", title).lower())
        parts = [f"genre {name}" for name in genres.split("|") if name]
        found[item] = [*set(words), *parts, f"year {year}", f"decade {year[:3]}"]
    return found


def year_of(title: str) -> str:
    """Return the year in a title such as `The Bank (1915)`, else an empty string."""
    year = re.search(r"\((\d{4})\)", title)
    return year[1] if year else ""


def titles_and_genres(task: Task, data: Path) -> embedkit.Embeddings:
    """Return the truncated SVD of TF-IDF over what movies are described by; no rating is looked at."""
    described = descriptions(data)
    items = [item for item in task.items if item in described]
    counts = Counter(word for item in items for word in described[item])
    place = {word: i for i, word in enumerate(word for word, count in counts.items() if count > 1)}
    entries = [(row, place[word]) for row, item in enumerate(items) for word in described[item] if word in place]
    rows, columns = np.array(entries).T
    weight = np.log(len(items) / np.array([counts[word] for word in place]))
    matrix = csr_matrix((weight[columns], (rows, columns)), (len(items), len(place)))
    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    left, values, _ = svds(csr_matrix(matrix.multiply(1 / np.maximum(lengths, 1e-9))), 300, random_state=0)
    return embedkit.Embeddings(items, left * values)


class Ranking:
    """The users who are asked, and Recall@20 for whatever scores the held-back items."""

    def __init__(self, task: Task, model: embedkit.Embeddings, cold: list[str]) -> None:
        place = {item: i for i, item in enumerate(cold)}
        self.users = [user for user, row in task.test.items() if user in model.keys and any(i in place for i in row)]
        # Items without content are targets that nothing can find.
        self.targets = [{place.get(item, -1 - n) for n, item in enumerate(task.test[u])} for u in self.users]
        self.seen = [[place[item] for item in task.train.get(u, ()) if item in place] for u in self.users]

    def recall(self, scores: Callable[[slice], np.ndarray]) -> str:
        """Return Recall@20 with half of its 95% interval; `scores` gives a row for each of a slice of the users."""
        found = []
        for start in range(0, len(self.users), 2000):
            block = np.array(scores(slice(start, start + 2000)), np.float32)
            for row, values in enumerate(block, start):
                values[self.seen[row]] = -np.inf
                top = set(np.argpartition(-values, TOPN)[:TOPN].tolist())
                found.append(len(top & self.targets[row]) / len(self.targets[row]))
        half = 1.96 * np.std(found) / len(found) ** 0.5
        return f"{np.mean(found):.4f} ± {half:.4f}"

    def same_for_all(self, scores: np.ndarray) -> str:
        """Return Recall@20 of one order of items for everybody."""
        return self.recall(lambda part: np.tile(scores, (len(self.users[part]), 1)))


def train(task: Task, trainer: str, workers: int, scratch: Path) -> embedkit.Embeddings:
    """Train on what is not held back."""
    path = scratch / "warm.txt"
    path.write_text("\n".join(task.warm_lines()) + "\n", encoding="utf-8")
    more = {"workers": workers} if trainer != "spectral" else {}
    return embedkit.train("sessions", trainer, input=str(path), layout="lines", key="first", **more)


def baselines(task: Task, ranking: Ranking, cold: list[str], content: embedkit.Embeddings, data: Path) -> list[list]:
    """Return a row for each system that is no trained model."""
    trained = Counter(item for row in task.train.values() for item in row)
    tested = Counter(item for row in task.test.values() for item in row)
    rows = [["chance", ranking.same_for_all(np.random.default_rng(0).random(len(cold)))]]
    if any(trained[item] for item in cold):
        rows.append(["popularity (their count in train)", ranking.same_for_all(np.array([trained[i] for i in cold]))])
    else:
        lines = (data / "movietweetings/movies.dat").read_text(encoding="utf-8").splitlines()
        years = {line.split("::")[0]: year_of(line) for line in lines}
        rows.append(["newest first", ranking.same_for_all(np.array([float(years.get(i) or 0) for i in cold]))])
    rows.append(["popularity in the test (oracle)", ranking.same_for_all(np.array([tested[i] for i in cold]))])
    return [*rows, ["content kNN (cosine with the mean of a user's items)", knn(task, ranking, cold, content)]]


def knn(task: Task, ranking: Ranking, cold: list[str], content: embedkit.Embeddings) -> str:
    """Return the Recall@20 of content alone, without anything learned."""
    known = [item for item in content.tokens if item not in task.cold]
    vectors = content[known]
    centre = vectors.mean(axis=0)
    unit = [(v - centre) / np.maximum(np.linalg.norm(v - centre, axis=1, keepdims=True), 1e-9) for v in
            (vectors, content[cold])]  # fmt: skip
    place = {item: i for i, item in enumerate(known)}
    rows = [[place[i] for i in task.train[u] if i in place] for u in ranking.users]
    profiles = np.array([unit[0][row].sum(axis=0) for row in rows])
    return ranking.recall(lambda part: profiles[part] @ unit[1].T)


def main() -> None:
    """Measure and print a table."""
    args = parser(__doc__, "")
    args.add_argument("--set", dest="name", choices=("gowalla", "movietweetings"), default="gowalla")
    args.add_argument("--trainer", action="append", help="als where not given; repeatable")
    args.add_argument("--share", type=float, default=0.2)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--workers", type=int, default=1)
    given = args.parse_args()
    task = {"gowalla": gowalla, "movietweetings": movietweetings}[given.name](given.data, given.share, given.seed)
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for trainer in given.trainer or ["als"]:
            model = train(task, trainer, given.workers, Path(folder))
            if not rows:
                base = model if trainer == "als" or given.name != "gowalla" else train(task, "als", 1, Path(folder))
                content = neighbours(task, base) if given.name == "gowalla" else titles_and_genres(task, given.data)
                cold = [item for item in content.tokens if item in task.cold]
                ranking = Ranking(task, model, cold)
                rows = baselines(task, ranking, cold, content, given.data)
            extended = extend(model, content, seed=given.seed)
            queries = model.key_queries(model.keys.find_all(ranking.users))
            vectors = extended.targets[extended.tokens.find_all(cold)]
            score = ranking.recall(lambda part, q=queries, v=vectors: q[part] @ v.T)
            rows.append([f"extend, {trainer}: {extended.config['extended']}", score])
    print(f"{given.name}: {len(task.cold):,} of {len(task.items):,} items held back, {len(cold):,} with content; "
          f"{len(ranking.users):,} users, {sum(map(len, ranking.targets)):,} interactions to find\n")  # fmt: skip
    print(markdown(["system", "Recall@20 among held-back items"], rows))


if __name__ == "__main__":
    main()
