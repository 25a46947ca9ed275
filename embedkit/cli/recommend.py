"""`embedkit recommend`: to keys, to whoever has a history, or to every key there is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli.completion import names_of
from embedkit.cli.failures import say
from embedkit.cli.filters import filter_options, filters, names_in
from embedkit.cli.model import index_option, model_option, open_model
from embedkit.cli.naming import NamesCommand, labels_for, namer, unzip
from embedkit.cli.rankings import Ranking, Reason, output_options, prepared, write_rankings
from embedkit.cli.report import plural
from embedkit.errors import EmbedkitError

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings

_REASONS = 5
_SHOWN_KEYS = 3


@dataclass(frozen=True)
class Wish:
    """What is asked of every recommendation; `filters` are arguments of `Embeddings.recommend`."""

    topn: int
    filters: dict[str, Any]
    explain: bool


@click.command(cls=NamesCommand)
@click.argument("keys", nargs=-1, metavar="KEY...", shell_complete=names_of("keys"))
@click.option(
    "--item",
    "items",
    multiple=True,
    metavar="TOKEN",
    shell_complete=names_of("tokens"),
    help="Recommend to someone with this history; repeat it, oldest first. - reads standard input, a token a line.",
)
@click.option("--all", "everyone", is_flag=True, help="Recommend to every key of the model.")
@output_options
@filter_options
@click.option("--include-seen", is_flag=True, help="Recommend tokens of the history too.")
@click.option("--explain", is_flag=True, help="Show which tokens of the history carried each score.")
@click.option(
    "--fallback",
    type=click.Choice(["popular"]),
    help="What to recommend to a key that is unknown or has no history: the most frequent tokens.",
)
@click.option(
    "--recency", type=float, metavar="NUMBER",
    help="What each token of a history counts of the one after it, such as 0.7; 1: all the same. "
    "Without it, as the model learned.",
)  # fmt: skip
@index_option
@model_option
def recommend(
    keys: tuple[str, ...],
    items: tuple[str, ...],
    everyone: bool,
    topn: int,
    form: str | None,
    output: Path | None,
    model: Path,
    include_seen: bool,
    explain: bool,
    fallback: str | None,
    recency: float | None,
    index: bool | None,
    **flags: Any,
) -> None:
    """Recommend tokens to each KEY by its history, to a history given with --item, or to --all.

    The score is the dot product of the query that the history makes and the token's context vector.
    """
    _check_call(keys, items, everyone, explain)
    form = prepared(form, output)
    asked = {"include_seen": include_seen, "fallback": fallback, "recency": recency}
    wish = Wish(topn, {**filters(**flags), **asked}, explain)
    history = _history(items)
    embeddings = open_model(model, index)
    if everyone:
        rankings = _to_all(embeddings, wish)
    elif history:
        rankings = iter([_to_history(embeddings, history, wish)])
    else:
        rankings = _to_keys(embeddings, keys, wish)
    write_rankings(rankings, form, output)


def _check_call(keys: Sequence[str], items: Sequence[str], everyone: bool, explain: bool) -> None:
    ways = [way for way, given in (("KEY", keys), ("--item", items), ("--all", everyone)) if given]
    if not ways:
        raise click.UsageError("say whom to recommend to: a KEY, a history with --item, or --all")
    if len(ways) > 1:
        raise click.UsageError(f"{' and '.join(ways)} exclude each other: give one of them")
    if everyone and explain:
        raise click.UsageError("--explain goes with a KEY or --item, not with --all")


def _history(items: Sequence[str]) -> list[str]:
    """Return the tokens given with `--item`, those of standard input in the place of `-`."""
    history: list[str] = []
    for item in items:
        history.extend(names_in(sys.stdin.buffer) if item == "-" else [item])
    if items and not history:
        raise EmbedkitError("standard input holds no token: give one a line.")
    return history


def _to_keys(embeddings: Embeddings, keys: Sequence[str], wish: Wish) -> Iterator[Ranking]:
    unanswerable = set(embeddings.without_query(keys)) if wish.filters["fallback"] else set()
    if unanswerable:
        say(f"unknown or without a history: {_some(list(unanswerable))}; the most frequent tokens stand in.")
    for key in keys:
        found, scores = unzip(embeddings.recommend(key, topn=wish.topn, **wish.filters))
        popular = key in unanswerable
        because = _because(embeddings, found, wish, key=key) if wish.explain and not popular else None
        measure = "count" if popular else "score"
        yield Ranking(key, found, scores, labels_for(embeddings, found), ("key", "token"), measure, because)


def _to_history(embeddings: Embeddings, history: list[str], wish: Wish) -> Ranking:
    found, scores = unzip(embeddings.recommend(history=history, topn=wish.topn, **wish.filters))
    because = _because(embeddings, found, wish, history=history) if wish.explain else None
    labels = labels_for(embeddings, found)
    of_history = ", ".join(map(embeddings.label, history))
    return Ranking(", ".join(history), found, scores, labels, ("query", "token"), "score", because, of_history)


def _because(embeddings: Embeddings, found: Sequence[str], wish: Wish, **whose: Any) -> list[list[Reason]]:
    whose["recency"] = wish.filters["recency"]
    explanations = [embeddings.explain(item=token, topn=_REASONS, **whose) for token in found]
    if explanations and not explanations[0].exact:
        say("a reason's amount is by how much the score falls without it.")
    name = namer(embeddings)
    return [[Reason(token, name(token), amount) for token, amount in e.parts] for e in explanations]


def _to_all(embeddings: Embeddings, wish: Wish) -> Iterator[Ranking]:
    import numpy as np

    n_unanswered, examples = 0, list[str]()
    for block in embeddings.recommend_all(topn=wish.topn, **wish.filters):
        unanswered = block.unanswered
        n_unanswered += len(unanswered)
        examples = (examples + unanswered)[:_SHOWN_KEYS]
        distinct, places = np.unique(block.ids, return_inverse=True)
        names = np.array([*block.names[distinct], None], object)
        labels = None if embeddings.labels is None else np.array([*embeddings.labels[distinct], None], object)
        places = places.reshape(block.ids.shape)
        for row, n_found in enumerate((block.ids >= 0).sum(axis=1).tolist()):
            if n_found:
                cells = places[row, :n_found]
                yield Ranking(
                    block.queries[row],
                    names[cells].tolist(),
                    block.scores[row, :n_found],
                    None if labels is None else labels[cells].tolist(),
                    ("key", "token"),
                )
    if n_unanswered:
        say(f"{plural(n_unanswered, 'key')} got nothing, such as {_some(examples)}: no history, or all was left out.")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in sorted(names)[:_SHOWN_KEYS])
    return shown + (f" and {len(names) - _SHOWN_KEYS:,} more" if len(names) > _SHOWN_KEYS else "")
