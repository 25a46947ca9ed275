"""`embedkit similar`, `similarity` and `analogy`: questions about the vectors themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedkit.cli.model import model_option, open_model
from embedkit.cli.naming import NamesCommand, labels_for, unzip
from embedkit.cli.rankings import Ranking, output_options, prepared, shortest, write_rankings

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings
    from embedkit.scoring import AnalogyMethod, Metric


@click.command(cls=NamesCommand)
@click.argument("tokens", nargs=-1, required=True, metavar="TOKEN...")
@click.option("--keys", is_flag=True, help="The arguments are keys (users, documents): show similar keys.")
@output_options
@model_option
def similar(tokens: tuple[str, ...], keys: bool, topn: int, form: str | None, output: Path | None, model: Path) -> None:
    """Show the tokens most similar to each TOKEN, by the cosine of their vectors."""
    form = prepared(form, output)
    embeddings = open_model(model)
    write_rankings(_similar(embeddings, tokens, keys, topn), form, output)


def _similar(embeddings: Embeddings, names: tuple[str, ...], keys: bool, topn: int) -> Iterator[Ranking]:
    find = embeddings.similar_keys if keys else embeddings.most_similar
    for name in names:
        found, scores = unzip(find(name, topn=topn))
        labels = None if keys else labels_for(embeddings, found)
        yield Ranking(name, found, scores, labels, ("query", "key" if keys else "token"), "cosine")


@click.command(cls=NamesCommand)
@click.argument("a")
@click.argument("b")
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
    score = open_model(model).similarity(a, b, metric=metric)
    if form == "json":
        click.echo(json.dumps({"a": a, "b": b, "metric": metric, "score": shortest([score])[0]}, ensure_ascii=False))
    else:
        click.echo(f"{score:.2f}")


@click.command(cls=NamesCommand)
@click.argument("a")
@click.argument("b")
@click.argument("c")
@click.option(
    "--method",
    type=click.Choice(["3cosadd", "3cosmul"]),
    default="3cosadd",
    show_default=True,
    help="Add and subtract cosines (3CosAdd), or multiply and divide them (3CosMul).",
)
@output_options
@model_option
def analogy(
    a: str, b: str, c: str, method: AnalogyMethod, topn: int, form: str | None, output: Path | None, model: Path
) -> None:
    """Answer: A is to B as C is to what? For example: embedkit analogy man king woman."""
    form = prepared(form, output)
    embeddings = open_model(model)
    found, scores = unzip(embeddings.analogy(a, b, c, topn=topn, method=method))
    ranking = Ranking(f"{a} : {b} = {c} : ?", found, scores, labels_for(embeddings, found))
    write_rankings([ranking], form, output)
