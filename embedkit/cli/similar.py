"""`embedkit similar`, `similarity` and `analogy`: questions about the vectors themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli.completion import names_of
from embedkit.cli.failures import say
from embedkit.cli.filters import Filters, filter_options, filters
from embedkit.cli.model import index_option, model_option, open_model
from embedkit.cli.naming import NamesCommand, labels_for, unzip
from embedkit.cli.rankings import Ranking, output_options, prepared, shortest, write_rankings

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings
    from embedkit.scoring import AnalogyMethod, Metric


@click.command(cls=NamesCommand)
@click.argument("tokens", nargs=-1, required=True, metavar="TOKEN...", shell_complete=names_of("tokens"))
@click.option("--keys", is_flag=True, help="The arguments are keys (users, documents): show similar keys.")
@output_options
@filter_options
@index_option
@model_option
def similar(
    tokens: tuple[str, ...],
    keys: bool,
    topn: int,
    form: str | None,
    output: Path | None,
    model: Path,
    index: bool | None,
    **flags: Any,
) -> None:
    """Show the tokens most similar to each TOKEN, by the cosine of their vectors."""
    chosen = filters(**flags)
    if keys and (chosen["exclude"] or chosen["only"] is not None):
        raise click.UsageError("--exclude and --only are for tokens, not for --keys")
    if keys and index:
        raise click.UsageError("--index is for tokens, not for --keys")
    form = prepared(form, output)
    embeddings = open_model(model, False if keys else index, "cosine")
    if not keys:
        tell_built(embeddings, tokens)
    rankings = _similar_keys(embeddings, tokens, topn) if keys else _similar(embeddings, tokens, topn, chosen)
    write_rankings(rankings, form, output)


def _similar(embeddings: Embeddings, tokens: Iterable[str], topn: int, chosen: Filters) -> Iterator[Ranking]:
    for token in tokens:
        found, scores = unzip(embeddings.most_similar(token, topn=topn, **chosen))
        labels = labels_for(embeddings, found)
        label = embeddings.label(token) if token in embeddings else token
        yield Ranking(token, found, scores, labels, measure="cosine", query_label=label)


def _similar_keys(embeddings: Embeddings, keys: Iterable[str], topn: int) -> Iterator[Ranking]:
    for key in keys:
        found, scores = unzip(embeddings.similar_keys(key, topn=topn))
        yield Ranking(key, found, scores, names=("query", "key"), measure="cosine")


@click.command(cls=NamesCommand)
@click.argument("a", shell_complete=names_of("tokens"))
@click.argument("b", shell_complete=names_of("tokens"))
@click.option(
    "--metric",
    type=click.Choice(["cosine", "dot", "euclidean"]),
    default="cosine",
    show_default=True,
    help="Cosine of the angle, dot product, or Euclidean distance (which is small where things are alike).",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="JSON for a program.")
@model_option
def similarity(a: str, b: str, metric: Metric, form: str, model: Path) -> None:
    """Say how similar the tokens A and B are."""
    embeddings = open_model(model)
    tell_built(embeddings, (a, b))
    score = embeddings.similarity(a, b, metric=metric)
    if form == "json":
        click.echo(json.dumps({"a": a, "b": b, "metric": metric, "score": shortest([score])[0]}, ensure_ascii=False))
    else:
        click.echo(f"{score:.2f}")


@click.command(cls=NamesCommand)
@click.argument("a", shell_complete=names_of("tokens"))
@click.argument("b", shell_complete=names_of("tokens"))
@click.argument("c", shell_complete=names_of("tokens"))
@click.option(
    "--method",
    type=click.Choice(["3cosadd", "3cosmul"]),
    default="3cosadd",
    show_default=True,
    help="Add and subtract cosines (3CosAdd), or multiply and divide them (3CosMul).",
)
@output_options
@filter_options
@model_option
def analogy(
    a: str,
    b: str,
    c: str,
    method: AnalogyMethod,
    topn: int,
    form: str | None,
    output: Path | None,
    model: Path,
    **flags: Any,
) -> None:
    """Answer: A is to B as C is to what? For example: embedkit analogy man king woman."""
    chosen = filters(**flags)
    form = prepared(form, output)
    embeddings = open_model(model)
    tell_built(embeddings, (a, b, c))
    found, scores = unzip(embeddings.analogy(a, b, c, topn=topn, method=method, **chosen))
    ranking = Ranking(f"{a} : {b} = {c} : ?", found, scores, labels_for(embeddings, found))
    write_rankings([ranking], form, output)


def tell_built(embeddings: Embeddings, tokens: Iterable[str]) -> None:
    """Say which tokens are none, and that their vectors are built; those that cannot be built are refused elsewhere."""
    if embeddings.subwords is None:
        return
    for token in dict.fromkeys(tokens):
        if token not in embeddings and embeddings.subwords.build(token) is not None:
            say(f"{token!r} is not in the vocabulary: built from its character n-grams.")
