"""`embedkit export`: its flags are those of the chosen format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from embedkit.cli import completion
from embedkit.cli.flags import SpecFlag, given_values, look_ahead
from embedkit.cli.model import model_option, open_model, refuse_to_replace_model, refuse_to_replace_other
from embedkit.cli.registry import registry
from embedkit.cli.train import SourceCommand, spec_flags

if TYPE_CHECKING:
    from embedkit.contracts import Exporter


class ExportCommand(SourceCommand):
    """`export`, with the flags of the format that `--to` names."""

    def groups(self, ctx: click.Context, args: Sequence[str]) -> dict[str, list[SpecFlag]]:
        """Return the flags of the format; none where none is named yet."""
        from embedkit.options import describe

        form = look_ahead(args, "--to")
        exporters = registry(ctx).plugins().exporters
        if form is None:
            if not {"-h", "--help"} & set(args) and not ctx.resilient_parsing:
                raise click.UsageError(f"say in which format: --to {', '.join(sorted(exporters)) or 'nothing'}.", ctx)
            return {}
        exporter = registry(ctx).plugins().exporter(form)
        return {f"Options of {form}": [SpecFlag(spec) for spec in describe(exporter.Options)]}

    def flags_of_others(self, ctx: click.Context) -> Iterator[tuple[str, str, set[str]]]:
        """Yield the flags of all formats."""
        from embedkit.options import describe

        for name, exporter in registry(ctx).plugins().exporters.items():
            yield "format", name, {spec.flag for spec in describe(exporter.Options)}

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the formats."""
        exporters = registry(ctx).plugins().exporters
        with formatter.section("Formats (embedkit export --to FORMAT --help shows the options of one)"):
            formatter.write_dl([(name, exporters[name].summary) for name in sorted(exporters)])


@click.command(cls=ExportCommand)
@click.argument("target", metavar="TARGET", type=click.Path(readable=False))
@click.option("--to", "form", metavar="FORMAT", help="The format or the store.", shell_complete=completion.exporters)
@click.option(
    "--vectors",
    type=click.Choice(["input", "context", "keys"]),
    default="input",
    show_default=True,
    help="Which: those of tokens that likeness is measured by, those that queries are dotted with, those of keys.",
)
@model_option
@click.pass_context
def export(
    ctx: click.Context, /, target: str, form: str, vectors: Literal["input", "context", "keys"], model: Path,
    **params: Any,
) -> None:  # fmt: skip
    """Write a model's vectors to TARGET: a file, a folder or the URL of a store, as the format wants it.

    What the format has no room for is told; what it would garble is refused.
    """
    from embedkit.cli.report import Timer, duration, plural, size
    from embedkit.cli.terminal import TerminalRun
    from embedkit.embeddings.exporting import export as write

    timer = Timer()
    plugins = registry(ctx).plugins()
    embeddings = open_model(model)
    path = None if "://" in target else Path(target)
    if path is not None:
        _check_target(path, plugins.exporter(form), model)
    with TerminalRun(phase="writing") as run:
        n = write(
            embeddings, form, target, given_values(spec_flags(ctx), params), vectors=vectors, run=run, plugins=plugins
        )
    n_bytes = f" ({size(path.stat().st_size)})" if path is not None and path.is_file() else ""
    written = plural(n, "key" if vectors == "keys" else "token")
    run.say(
        f"Wrote {plugins.exporter(form)().shown(target)}{n_bytes}: {written}, "
        f"{plural(embeddings.vector_size, 'number')} a vector, {duration(timer.lap())}."
    )


def _check_target(path: Path, exporter: type[Exporter], model: Path) -> None:
    """Refuse to write over a model, the one that is exported above all, and over what is something else."""
    from embedkit.errors import ModelError

    if str(path) == "-":
        raise ModelError("a file cannot be replaced whole on standard output; name a file.")
    if path.is_file() and path.samefile(model):
        raise ModelError(f"{path} is the model that is exported; name another file.")
    if exporter.name == "safetensors":
        refuse_to_replace_other(path, "TARGET")
    else:
        refuse_to_replace_model(path, exporter.endings, "TARGET")
