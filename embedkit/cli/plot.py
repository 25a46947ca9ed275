"""`embedkit plot`: the loss of trainings, and what `evaluate recommendations --format json` found, as pictures."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli.failures import say
from embedkit.cli.flags import WholeNumber
from embedkit.cli.model import DEFAULT_MODEL, ENVIRONMENT, FILE, open_model, refuse_to_replace_model
from embedkit.errors import EmbedkitError, did_you_mean

if TYPE_CHECKING:
    from embedkit.atlas import Curve

_ENDINGS = (".png", ".svg", ".pdf")
_NAMES = {
    "recall": "Recall", "precision": "Precision", "hit_rate": "Hit rate", "ndcg": "NDCG", "mrr": "MRR", "map": "MAP",
    "coverage": "Coverage", "popularity_bias": "Popularity bias",
}  # fmt: skip
_REMEDY = "make them with embedkit evaluate recommendations ... --format json"


def picture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags of a picture."""
    for flag in (
        click.option("--dpi", type=WholeNumber(min=50, max=1200), default=300, show_default=True, metavar="INT",
                     help="Of a .png: dots an inch."),
        click.option("--size", nargs=2, type=click.FloatRange(1, 100), default=(4.5, 3.0), show_default=True,
                     metavar="WIDTH HEIGHT", help="In inches."),
        click.option("--title", default="", metavar="TEXT", help="A heading; none where not given."),
        click.option("--output", required=True, metavar="FILE", type=FILE, help="A .png, .svg or .pdf to write."),
    ):  # fmt: skip
        command = flag(command)
    return command


@click.group(invoke_without_command=True)
@click.pass_context
def plot(ctx: click.Context) -> None:
    """Draw the loss of a training, or what evaluate found."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@plot.command()
@click.option(
    "--model", "models", multiple=True, type=FILE, metavar="FILE",
    help=f"The model file; repeat it to compare. ${ENVIRONMENT} or ./{DEFAULT_MODEL} where not given.",
)  # fmt: skip
@picture_options
def loss(models: tuple[Path, ...], output: Path, **look: Any) -> None:
    """Draw the mean loss of each epoch."""
    from embedkit.atlas import loss_curves

    _check(output)
    models = tuple(dict.fromkeys(models)) or (Path(os.environ.get(ENVIRONMENT) or DEFAULT_MODEL),)
    losses = {path: open_model(path).losses for path in models}
    for path, values in losses.items():
        if len(values) < 2:
            held = "one loss alone" if values else "no losses"
            raise EmbedkitError(f"{path} holds {held}: its trainer has no epochs, it had one, or it was imported.")
    _write(loss_curves(_named(losses)), output, look, x_name="Epoch", y_name="Mean loss")


def _named(by_path: Mapping[Path, Sequence[float]]) -> dict[str, Sequence[float]]:
    """Return what belongs to files under their short names, or under their paths where these are the same."""
    short = [path.stem for path in by_path]
    names = short if len(set(short)) == len(short) else [str(path) for path in by_path]
    return dict(zip(names, by_path.values(), strict=True))


@plot.command(short_help="Draw what evaluate recommendations found, by k or by popularity.")
@click.argument("files", nargs=-1, required=True, metavar="RESULTS.json...", type=FILE)
@click.option("--by", type=click.Choice(["k", "popularity"]), default="k", show_default=True,
              help="What goes to the right: how many of the best count, or how popular items are.")  # fmt: skip
@click.option("--metric", type=click.Choice(list(_NAMES)), help="What goes up.  [default: ndcg; by popularity: recall]")
@click.option("--k", type=WholeNumber(min=1), metavar="INT", help="By popularity: how many of the best count.  "
              "[default: the greatest]")  # fmt: skip
@picture_options
def evaluation(
    files: tuple[Path, ...], by: str, metric: str | None, k: int | None, output: Path, **look: Any
) -> None:  # fmt: skip
    """Draw what evaluate recommendations --format json wrote: a metric by k, or recall by the popularity of items.

    Bands are 95% intervals. Several files (or several systems in one) are compared.
    """
    if by == "popularity" and metric not in (None, "recall"):
        raise click.UsageError("--by popularity draws the recall of items; leave --metric out")
    if by == "k" and k is not None:
        raise click.UsageError("--k goes with --by popularity; by k all that were measured are drawn")
    _check(output)
    systems = [system for path in dict.fromkeys(files) for system in _systems(path, several=len(files) > 1)]
    try:
        curves, axes = _by_popularity(systems, k) if by == "popularity" else _by_k(systems, metric or "ndcg")
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise EmbedkitError(f"the results are not as embedkit writes them; {_REMEDY}") from error
    if by == "k" and all(len(curve.x) == 1 for curve in curves):
        say("the results hold one k alone; evaluate with several (--k 1 --k 5 --k 10 --k 20) for a curve.")
    _write(curves, output, look, from_zero=metric != "popularity_bias", **axes)


def _by_popularity(systems: Sequence[tuple[str, dict[str, Any]]], k: int | None) -> tuple[list[Curve], dict[str, Any]]:
    k = k or max(map(int, _first(systems, "by_popularity")), default=0)
    curves = [_popularity_curve(name, system, k) for name, system in systems]
    return curves, {"x_name": "Interactions of an item", "y_name": f"Recall@{k}", "logarithmic": True}


def _by_k(systems: Sequence[tuple[str, dict[str, Any]]], metric: str) -> tuple[list[Curve], dict[str, Any]]:
    curves = [_metric_curve(name, system, metric) for name, system in systems]
    return curves, {"x_name": "k", "y_name": f"{_NAMES[metric]}@k"}


def _systems(path: Path, several: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the systems that a file of results holds, with their names."""
    try:
        systems = json.loads(path.read_bytes())["systems"]
        named = [(str(system["name"]), system) for system in systems]
        if not all(isinstance(system["measures"], dict) for _, system in named):
            raise TypeError
    except OSError as error:
        raise EmbedkitError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EmbedkitError(f"{path} holds no results; {_REMEDY} > {path}") from error
    if not named:
        raise EmbedkitError(f"{path} holds the results of no system.")
    for name, system in named:
        yield (f"{name} ({path.stem})" if several else name), system


def _first(systems: Sequence[tuple[str, dict[str, Any]]], part: str) -> Mapping[str, Any]:
    return next((system[part] for _, system in systems if system.get(part)), {})


def _metric_curve(name: str, system: Mapping[str, Any], metric: str) -> Curve:
    from embedkit.atlas import Curve

    measures: dict[str, dict[str, float | None]] = system["measures"]
    found = {int(measure.rpartition("@")[2]): v for measure, v in measures.items() if measure.startswith(f"{metric}@")}
    if not found:
        known = {measure.partition("@")[0] for measure in measures}
        near = did_you_mean(metric, known) or f" It has: {', '.join(sorted(known))}."
        raise EmbedkitError(f"the results of {name} have no {metric}.{near}")
    cutoffs = sorted(found)
    values = {part: [_number(found[k].get(part)) for k in cutoffs] for part in ("value", "low", "high")}
    bounded = not all(map(math.isnan, values["low"]))
    low, high = (values["low"], values["high"]) if bounded else (None, None)
    return Curve(name, cutoffs, values["value"], low, high)


def _popularity_curve(name: str, system: Mapping[str, Any], k: int) -> Curve:
    from embedkit.atlas import Curve

    bands = (system.get("by_popularity") or {}).get(str(k))
    if not bands:
        known = ", ".join(system.get("by_popularity") or {})
        raise EmbedkitError(
            f"the results of {name} do not tell recall by popularity at k = {k}; "
            + (f"they do at {known}." if known else "its model knows no counts, or an older version measured it.")
        )
    middles = [math.sqrt(max(band["least"], 1) * max(band["most"], 1)) for band in bands]
    return Curve(name, middles, *([_number(band[part]) for band in bands] for part in ("recall", "low", "high")))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _check(output: Path) -> None:
    """Refuse an output that cannot be, before any work."""
    from embedkit.embeddings import check_writable

    if output.suffix.lower() not in _ENDINGS:
        raise click.UsageError(f"the ending of {output} tells no format; it can be {', '.join(_ENDINGS)}")
    check_writable(output)
    refuse_to_replace_model(output)


def _write(curves: Sequence[Curve], output: Path, look: Mapping[str, Any], **axes: Any) -> None:
    from embedkit.atlas import write_curves
    from embedkit.cli.report import plural, size

    missing = write_curves(curves, output, *look["size"], dpi=look["dpi"], title=look["title"], **axes)
    if missing:
        say(f"no font here has {' '.join(missing[:8])}; install one with these letters, such as Noto Sans CJK.")
    say(f"wrote {output} ({size(output.stat().st_size)}): {plural(len(curves), 'curve')}.")
