"""`embedkit sources` lists the sources; `embedkit sources preview` shows what one reads before anyone trains on it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli import completion
from embedkit.cli.catalog import echo_registered
from embedkit.cli.failures import say
from embedkit.cli.flags import SpecFlag, WholeNumber, given_values
from embedkit.cli.registry import registry
from embedkit.cli.report import plural, reasons
from embedkit.cli.table import listing, terminal_width
from embedkit.cli.train import SourceCommand, spec_flags
from embedkit.contracts import Sentence

if TYPE_CHECKING:
    from embedkit.contracts import SentenceBatch, Source

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN_TOKENS = 100


@click.group(invoke_without_command=True)
@click.pass_context
def sources(ctx: click.Context) -> None:
    """List the sources of sentences, or preview what one reads."""
    if ctx.invoked_subcommand is None:
        plugins = registry(ctx).plugins()
        echo_registered("source", plugins.sources, plugins.providers)


class PreviewCommand(SourceCommand):
    """`sources preview`, with the flags of the source that it names."""

    def groups(self, ctx: click.Context, args: Sequence[str]) -> dict[str, list[SpecFlag]]:
        """Return the flags of the source."""
        from embedkit.options import describe

        plugins = registry(ctx).plugins()
        name = next((arg for arg in args if arg in plugins.sources), None)
        if name is None:
            named = next((arg for arg in args if not arg.startswith("-")), None)
            if named is None:
                return {}
            name = plugins.source(named).name
        source = plugins.sources[name]
        return {f"Options of source {name}": [SpecFlag(spec) for spec in describe(source.Options)]}


@sources.command(cls=PreviewCommand)
@click.argument("name", shell_complete=completion.sources)
@click.option("--count", type=WholeNumber(min=1), default=5, show_default=True, metavar="INT", help="How many.")
@click.pass_context
def preview(ctx: click.Context, /, name: str, count: int, **params: Any) -> None:
    """Show the first sentences of source NAME as training would read them.

    Without --input it reads the source's sample.
    """
    from embedkit.training import make_plan

    plan = make_plan(name, None, given_values(spec_flags(ctx), params), registry(ctx).plugins())
    if plan.on_sample:
        say(f"no --input, so source {name} reads its own sample.")
    reader = _Reader(plan.source)
    with contextlib.closing(reader.sentences()) as stream:
        sentences = list(islice(stream, count))
    if not sentences:
        say("there is not one sentence in it.")
    else:
        for line in _lines(sentences, terminal_width()):
            click.echo(line)
    for note in plan.source.notes:
        say(note)
    say(f"read so far: {plural(reader.n_sentences, 'sentence')}, {plural(reader.n_tokens, 'token')}.")
    if left_out := reasons(plan.source.dropped):
        say(f"left out so far: {left_out}.")


class _Reader:
    """Sentences of a source one by one, counting those that were read to give them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.n_sentences = 0
        self.n_tokens = 0

    def sentences(self) -> Generator[Sentence, None, None]:
        """Yield sentences, each once its batch is there; nothing is read further than that."""
        batches = self._source.batches()
        if batches is None:
            for sentence in self._source.sentences():
                self.n_sentences += 1
                self.n_tokens += len(sentence.tokens)
                yield sentence
        else:
            for batch in batches:
                self.n_sentences += len(batch.offsets) - 1
                self.n_tokens += len(batch.tokens)
                yield from _rows(batch)


def _rows(batch: SentenceBatch) -> Iterator[Sentence]:
    """Yield a batch's sentences with their first tokens, which are all that a line can show."""
    for row, (start, end) in enumerate(zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True)):
        shown = slice(start, min(end, start + _SHOWN_TOKENS))
        yield Sentence(
            batch.tokens[shown].to_pylist(),
            None if batch.keys is None else batch.keys[row].as_py(),
            None if batch.weights is None else batch.weights[shown].tolist(),
            None if batch.times is None else batch.times[shown].tolist(),
        )


def _lines(sentences: Iterable[Sentence], columns: int) -> list[str]:
    """Return a line for each sentence: its key, when it began, its tokens with weights that are not 1."""
    sentences = list(sentences)
    rows = [[_tokens(sentence)] for sentence in sentences]
    if any(sentence.times is not None for sentence in sentences):
        rows = [[_when(sentence), *row] for sentence, row in zip(sentences, rows, strict=True)]
    if any(sentence.key is not None for sentence in sentences):
        rows = [[sentence.key or "", *row] for sentence, row in zip(sentences, rows, strict=True)]
    return listing(rows, columns)


def _tokens(sentence: Sentence) -> str:
    tokens = list(islice(sentence.tokens, _SHOWN_TOKENS))
    parting = " | " if any(" " in token for token in tokens) else " "
    if sentence.weights is not None:
        pairs = zip(tokens, sentence.weights, strict=False)
        tokens = [token if weight == 1 else f"{token}×{weight:g}" for token, weight in pairs]
    return parting.join(tokens)


def _when(sentence: Sentence) -> str:
    if not sentence.times:
        return ""
    moment = _EPOCH + timedelta(microseconds=int(sentence.times[0]))
    return moment.strftime("%Y-%m-%d %H:%M")
