"""`embedkit evaluate`: recommendations against what was held out, vectors of words against word tests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from embedkit.cli.failures import say
from embedkit.cli.flags import SpecFlag, look_ahead
from embedkit.cli.model import DEFAULT_MODEL, ENVIRONMENT, open_model
from embedkit.cli.registry import registry
from embedkit.cli.scores import FORMATS
from embedkit.cli.train import SourceCommand, spec_flags
from embedkit.errors import did_you_mean

_METRICS = ("recall", "precision", "hit_rate", "ndcg", "mrr", "map")
_SPLITS = ("random", "leave-one-out", "by-time", "next-item")


@click.group(invoke_without_command=True)
@click.pass_context
def evaluate(ctx: click.Context) -> None:
    """Measure how good recommendations are, or vectors of words."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


class RecommendationsCommand(SourceCommand):
    """`evaluate recommendations`, with the flags of the source, where one is named, and of the corpus."""

    def groups(self, ctx: click.Context, args: Sequence[str]) -> dict[str, list[SpecFlag]]:
        """Return the flags under the headings of the help. A name that this command has itself is its own."""
        from embedkit.training import option_specs, trainer_name

        name = look_ahead(args, "--source")
        if name is None:
            return {}
        plugins = registry(ctx).plugins()
        source = plugins.source(name)
        specs = option_specs(source, plugins.trainer(trainer_name(source)))
        own = {param.name for param in self.params}
        headings = {f"Options of source {name}": "source", "Options of the corpus": "corpus"}
        return {
            heading: [SpecFlag(spec) for spec in specs[kind] if spec.name not in own]
            for heading, kind in headings.items()
        }

    def _refusal(self, ctx: click.Context, flag: str) -> str:
        from embedkit.options import describe

        for name, trainer in registry(ctx).plugins().trainers.items():
            if flag in {spec.flag for spec in describe(trainer.Options)}:
                return f"{flag} is an option of a trainer: give it as --set {name}.{flag[2:]}=VALUE"
        if not spec_flags(ctx):
            known = [name for param in self.params for name in param.opts]
            near = did_you_mean(flag, known) or " A source's flags come with --source NAME."
            return f"there is no flag {flag}.{near}"
        return super()._refusal(ctx, flag)


def _flag(*names: str, **settings: Any) -> Any:
    return click.option(*names, **settings)


@evaluate.command(cls=RecommendationsCommand)
@_flag("--source", metavar="NAME", help="What to learn from; it has flags of its own. Also reads a --test table.")
@_flag("--split", type=click.Choice(_SPLITS), help="What to hold out of it; leave-one-out where neither it nor --test.")
@_flag("--share", type=float, metavar="NUMBER", help="How much to hold out: .2 of interactions, .1 of sessions.")
@_flag("--until", metavar="MOMENT", help="With by-time: hold out what happened from then on, such as 2013-10-01.")
@_flag("--seed", type=int, metavar="INT", help="For drawing, in the split and in trainers.  [default: 1]")
@_flag("--split-output", type=Path, metavar="DIR", help="Write both parts there, so that others can check.")
@_flag("--split-layout", type=click.Choice(["table", "lines"]), default="table", show_default=True, help="As what.")
@_flag("--test", type=Path, metavar="FILE", help="What to find, instead of a split.")
@_flag(
    "--test-layout",
    type=click.Choice(["lines", "prefix-target", "source"]),
    help="lines: user item item ...; prefix-target: item item ...<TAB>item; source: as --source and its flags read. "
    "Where not given: source with --source, else lines.",
)
@_flag("--trainer", "trainers", multiple=True, metavar="NAME", help="How to learn; repeat it to compare.")
@_flag("--set", "settings", multiple=True, metavar="TRAINER.OPTION=VALUE", help="An option of a trainer; repeatable.")
@_flag(
    "--model", "models", multiple=True, type=Path, metavar="FILE",
    help=f"A model to evaluate on --test; repeat it to compare. ${ENVIRONMENT} or the default file without --source.",
)  # fmt: skip
@_flag("--k", "cutoffs", multiple=True, type=int, metavar="INT", help="How many of the best count.  [default: 10 20]")
@_flag("--metric", type=click.Choice(_METRICS), default="ndcg", show_default=True, help="The one shown with ±.")
@_flag("--include-seen", is_flag=True, help="Recommend items of the user's history (or the prefix) too.")
@_flag("--fallback", type=click.Choice(["popular"]), help="Answer unknown users; else they are left out and counted.")
@_flag("--confidence", type=click.Choice(["normal", "bootstrap"]), default="normal", show_default=True,
       help="How the 95% intervals over users are made.")  # fmt: skip
@_flag("--ease-limit", type=click.IntRange(min=0), metavar="INT",
       help="The most items for which EASE is worth its time; else as many as take 90 seconds.")  # fmt: skip
@_flag("--format", "form", type=click.Choice(FORMATS), default="table", help="JSON or CSV for a program.")
@click.pass_context
def recommendations(ctx: click.Context, /, **params: Any) -> None:
    """Measure recommendations: all items are ranked, never a sample.

    Either trainers on a part of a source (--source, --split, --trainer), or models on a test of their own
    (--model, --test). Popularity, ItemKNN and EASE stand beside them.
    """
    from embedkit.cli.comparison import Wish, compare

    compare(ctx, Wish.of(ctx, params))


@evaluate.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=Path)
@click.option(
    "--restrict-vocab", type=click.IntRange(min=0), default=30_000, show_default=True, metavar="INT",
    help="Analogies: ask and answer with this many of the most frequent words; 0 takes all.",
)  # fmt: skip
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", help="JSON or CSV for a program.")
@click.option(
    "--model", "models", multiple=True, type=Path, metavar="FILE",
    help=f"The model file; repeat it to compare. ${ENVIRONMENT} or ./{DEFAULT_MODEL} where not given.",
)  # fmt: skip
def words(files: tuple[Path, ...], restrict_vocab: int, form: str, models: tuple[Path, ...]) -> None:
    """Answer the word tests in each FILE.

    Analogies: four words a line, in sections that begin with ": name". Similarities: word, word, score, parted by
    tabs, commas or spaces; Spearman's correlation with the cosines.
    """
    from embedkit.cli.word_tables import as_csv, as_json, rows_of, table

    models = models or (Path(os.environ.get(ENVIRONMENT) or DEFAULT_MODEL),)
    rows = []
    for model in dict.fromkeys(models):
        found = rows_of(open_model(model), model, files, restrict_vocab)
        if not any(row["covered"] for row in found):
            say(f"{model} knows the words of not one question or pair: are these its language and spelling?")
        rows += found
    if form == "table":
        for line in table(rows):
            click.echo(line)
    else:
        click.echo(as_json(rows) if form == "json" else as_csv(rows), nl=form == "json")
