"""`embedkit map`: tokens in two dimensions, as a picture for a paper or a page to walk about in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from embedkit.cli.completion import names_of
from embedkit.cli.failures import say
from embedkit.cli.filters import names_in
from embedkit.cli.flags import WholeNumber
from embedkit.cli.model import FILE, model_option, open_model, refuse_to_replace_model
from embedkit.cli.naming import NamesCommand

if TYPE_CHECKING:
    from embedkit.atlas import Groups, Map, Method, Selection
    from embedkit.cli.terminal import TerminalRun
    from embedkit.embeddings import Embeddings

_PICTURES, _PAGES, _TABLES = (".png", ".svg", ".pdf"), (".html", ".htm"), (".csv", ".parquet")
_TOP_OF_PICTURE, _TOP_OF_PAGE = 2_000, 20_000
_MANY = 20_000  # points from which t-SNE and UMAP take minutes


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    output: Path
    tokens: tuple[str, ...]
    top: int | None
    method: Method | None
    keys: tuple[str, ...]
    topn: int
    clusters: int
    groups: Path | None
    group_column: str | None
    id_column: str | None
    labels: int | None
    neighbours: int
    title: str | None
    size: tuple[float, float]
    dpi: int
    perplexity: float
    n_neighbors: int
    seed: int

    @property
    def ending(self) -> str:
        """The ending of the output, which tells what to make."""
        return self.output.suffix.lower()


@click.command("map", cls=NamesCommand)
@click.argument("tokens", nargs=-1, metavar="[TOKEN]...", shell_complete=names_of("tokens"))
@click.option(
    "--output", required=True, metavar="FILE", type=FILE,
    help="What to write, told by its ending: .png, .svg, .pdf: a picture; .html: a page that needs no network; "
    ".csv, .parquet: the coordinates.",
)  # fmt: skip
@click.option("--tokens-from", type=click.File("rb"), metavar="FILE", help="More TOKENs, from a file: one a line.")
@click.option(
    "--top", type=WholeNumber(min=0), metavar="INT",
    help="How many of the most frequent tokens; 0: all.  [default: 2,000 in a picture, 20,000 on a page; where TOKENs "
    "are named, these alone]",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(["pca", "tsne", "umap"]),
    help="How to find two dimensions.  [default: tsne where openTSNE is installed, else pca]",
)  # fmt: skip
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", shell_complete=names_of("keys"),
    help="Draw this key's (a user's) history and recommendations on the map; may be repeated.",
)  # fmt: skip
@click.option("--topn", type=WholeNumber(min=1), default=10, show_default=True, metavar="INT",
              help="How many recommendations.")  # fmt: skip
@click.option("--groups", type=FILE, metavar="FILE", help="Colours by a column of this CSV, TSV or Parquet file.")
@click.option("--group-column", metavar="NAME", help="Its column with the groups; of two columns, the other one.")
@click.option("--id-column", metavar="NAME", help="Its column with the tokens.  [default: the first]")
@click.option("--clusters", type=WholeNumber(min=0, max=8), default=8, show_default=True, metavar="INT",
              help="Colours by so many clusters, found in the full space; 0: one colour.")  # fmt: skip
@click.option("--labels", type=WholeNumber(min=0), metavar="INT",
              help="The most labels in a picture.  [default: two a square inch]")  # fmt: skip
@click.option("--neighbours", type=WholeNumber(min=0, max=50), default=10, show_default=True, metavar="INT",
              help="How many neighbours the page shows of each point.")  # fmt: skip
@click.option("--title", metavar="TEXT", help="A heading.  [default: none in a picture, the model's name on a page]")
@click.option("--size", nargs=2, type=click.FloatRange(1, 100), default=(7.0, 5.5), show_default=True,
              metavar="WIDTH HEIGHT", help="Of a picture, in inches.")  # fmt: skip
@click.option("--dpi", type=WholeNumber(min=50, max=1200), default=300, show_default=True, metavar="INT",
              help="Of a .png: dots an inch.")  # fmt: skip
@click.option("--perplexity", type=float, default=30.0, show_default=True, metavar="NUMBER",
              help="t-SNE: about how many neighbours a point is drawn by.")  # fmt: skip
@click.option("--n-neighbors", type=WholeNumber(min=2), default=15, show_default=True, metavar="INT",
              help="UMAP: by how many neighbours a point is drawn.")  # fmt: skip
@click.option("--seed", type=WholeNumber(min=0), default=1, show_default=True, metavar="INT",
              help="For what is drawn at random.")  # fmt: skip
@model_option
def map(model: Path, tokens_from: IO[bytes] | None, **params: Any) -> None:  # noqa: A001 - the command's name
    """Draw the most frequent tokens, or each TOKEN, on a map where those with like vectors lie together.

    The page holds pan, zoom, search, each point's true neighbours, and the keys that are named.
    """
    from embedkit.cli.terminal import TerminalRun

    named = params["tokens"]
    params["tokens"] = (*named, *names_in(tokens_from))
    wish = _checked(Wish(**params))
    if tokens_from is not None and not params["tokens"]:
        raise click.UsageError(f"{tokens_from.name} names no token: give one a line.")
    embeddings = open_model(model)
    with TerminalRun(phase="placing") as run:
        _draw(embeddings, wish, model.stem, run)


def _checked(wish: Wish) -> Wish:
    """Refuse what cannot be done before any work, and return the wish."""
    from embedkit.embeddings import check_writable

    if wish.ending not in (*_PICTURES, *_PAGES, *_TABLES):
        endings = ", ".join((*_PICTURES, _PAGES[0], *_TABLES))
        raise click.UsageError(f"the ending of {wish.output} tells no format; it can be {endings}")
    if wish.groups is None and (wish.group_column or wish.id_column):
        raise click.UsageError("--group-column and --id-column belong to --groups FILE")
    check_writable(wish.output)
    refuse_to_replace_model(wish.output)
    if wish.ending in _PICTURES and not _installed("matplotlib"):
        from embedkit.errors import missing_extra

        raise missing_extra("matplotlib", "map", "a picture")
    return wish


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def _draw(embeddings: Embeddings, wish: Wish, name: str, run: TerminalRun) -> None:
    from embedkit.atlas import make_map, select
    from embedkit.cli.report import Timer, duration, size

    timer = Timer()
    top = wish.top
    if top is None:
        top = 0 if wish.tokens else _TOP_OF_PICTURE if wish.ending in _PICTURES else _TOP_OF_PAGE
    selection = select(embeddings, wish.tokens, top, wish.keys, wish.topn)
    method = _method(wish.method, len(selection.ids), run)
    groups = _groups(embeddings, selection, wish)
    drawn = make_map(
        embeddings, selection, groups, method, wish.seed,
        perplexity=wish.perplexity, n_neighbors=wish.n_neighbors, run=run,
    )  # fmt: skip
    note = _write(embeddings, drawn, wish, name, run)
    run.close()
    of_all = f" of {len(embeddings):,}" if len(drawn) < len(embeddings) else ""
    noun = "token" if len(embeddings) == 1 else "tokens"
    written = size(wish.output.stat().st_size)
    took = duration(timer.lap())
    run.say(f"Wrote {wish.output} ({written}): {len(drawn):,}{of_all} {noun}{note}; {drawn.method}, {took}.")


def _method(wanted: Method | None, n: int, run: TerminalRun) -> Method:
    """Return the method that is wanted, else the best that is installed, and say what takes long."""
    method: Method = wanted or ("tsne" if _installed("openTSNE") else "pca")
    if wanted is None and method == "pca":
        run.say("openTSNE is not installed, so the map is a PCA; pip install '.[map]' for t-SNE.")
    if method != "pca" and n > _MANY:
        run.say(f"Placing {n:,} points by {method} takes some minutes; --method pca takes seconds.")
    return method


def _groups(embeddings: Embeddings, selection: Selection, wish: Wish) -> Groups | None:
    from embedkit.atlas import by_column, clusters, labels_of

    if wish.groups is not None:
        found = by_column(embeddings.tokens[selection.ids], wish.groups, wish.group_column, wish.id_column)
        if found.rest:
            say(f"grey: {found.rest}.")
        return found
    if not wish.clusters:
        return None
    return clusters(
        embeddings.vectors[selection.ids], labels_of(embeddings, selection.ids), wish.clusters, wish.seed
    )  # fmt: skip


def _write(embeddings: Embeddings, drawn: Map, wish: Wish, name: str, run: TerminalRun) -> str:
    """Write what the output's ending tells, and return what there is to say of it."""
    from embedkit.atlas import nearest, write_page, write_picture, write_table

    if wish.ending in _TABLES:
        write_table(drawn, wish.output)
        return ""
    if wish.ending in _PAGES:
        neighbours = nearest(embeddings.vectors[drawn.ids], wish.neighbours, run)
        write_page(drawn, neighbours, wish.output, wish.title or name)
        return ""
    picture = write_picture(
        drawn, wish.output, *wish.size, dpi=wish.dpi, title=wish.title or "", labels=wish.labels,
        must=len(set(wish.tokens)),
    )  # fmt: skip
    if picture.missing:
        run.say(f"No font here has {_some(picture.missing)}; install one with these letters, such as Noto Sans CJK.")
    without = len(set(wish.tokens)) - sum(point < len(set(wish.tokens)) for point in picture.labelled)
    room = f", {without} of them without room for a label" if without > 0 else ""
    return f", {len(picture.labelled)} labelled{room}"


def _some(letters: Sequence[str]) -> str:
    more = f" and {len(letters) - 8:,} more" if len(letters) > 8 else ""
    return " ".join(letters[:8]) + more
