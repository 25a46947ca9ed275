"""What a training run tells a person: a progress bar on a terminal, nothing on a pipe but what `say` is given."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from embedkit.cli.text import visible
from embedkit.contracts import Run

if TYPE_CHECKING:
    from rich.progress import Progress

    from embedkit.embeddings import Embeddings

_REFRESH = 0.1
_PHASES = {"read": "reading", "counted": "counting", "ranked": "ranking"}
"""What is done, by what its unit says is done to it: `tokens read`."""


class TerminalRun(Run):
    """The link between a trainer and the terminal; use it as a context, which takes the bar away at its end.

    Parameters
    ----------
    epochs
        How many epochs there will be, where that is known.

    Attributes
    ----------
    phase
        What is done where neither the unit (`tokens read`) nor an epoch says it.
    snapshot
        What gives the vectors learned so far, or None before there are any.
    epochs_done
        How many epochs are over.
    """

    def __init__(self, work_dir: Path | None = None, epochs: int | None = None, phase: str = "learning") -> None:
        super().__init__(work_dir=work_dir)
        self.snapshot: Callable[[], Embeddings] | None = None
        self.epochs_done = 0
        self._epochs = epochs
        self.phase = phase
        self._bar = _Bar() if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away; it comes back with the next progress."""
        if self._bar is not None:
            self._bar.close()

    def say(self, message: str) -> None:
        """Write one line to standard error, above the bar."""
        self.close()
        click.echo(visible(message), err=True)

    def progress(
        self,
        done: float,
        total: float,
        *,
        unit: str = "tokens",
        loss: float | None = None,
        snapshot: Callable[[], Embeddings] | None = None,
    ) -> None:
        """Move the bar, and keep `snapshot` for Ctrl-C."""
        if snapshot is not None:
            self.snapshot = snapshot
        if self._bar is not None:
            learning = self.snapshot is not None or loss is not None
            self._bar.show(self._phase(learning, unit), done, total, unit, loss)

    def epoch_done(self, loss: float, snapshot: Callable[[], Embeddings]) -> bool:
        """Count the epoch, and keep `snapshot` for Ctrl-C."""
        self.epochs_done += 1
        self.snapshot = snapshot
        return True

    def goes_on(self, epochs: int) -> None:
        """Count the epochs of before too."""
        self.epochs_done = epochs

    def _phase(self, learning: bool, unit: str) -> str:
        if not learning:
            return _PHASES.get(unit.partition(" ")[2], self.phase)
        epoch = self.epochs_done + 1
        return f"epoch {min(epoch, self._epochs)}/{self._epochs}" if self._epochs else f"epoch {epoch}"


class _Bar:
    """One line at the bottom of the terminal, drawn when told to and at most ten times a second."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: Any = None
        self._kind = ""
        self._drawn = 0.0

    def show(self, phase: str, done: float, total: float, unit: str, loss: float | None) -> None:
        now = time.monotonic()
        if now - self._drawn < _REFRESH:
            return
        self._drawn = now
        unit = unit.partition(" ")[0]
        kind = f"{phase.partition(' ')[0]} {unit}"
        if self._progress is None or kind != self._kind:
            self._begin(kind, phase)
        assert self._progress is not None
        known = math.isfinite(total) and total > 0
        self._progress.update(
            self._task,
            description=phase if known else f"{phase}: {short(done)} {unit}",
            completed=done,
            total=total if known else None,
            unit=unit,
            loss="" if loss is None else f"loss {loss:.4f}",
        )
        self._progress.refresh()

    def _begin(self, kind: str, phase: str) -> None:
        self.close()
        self._kind = kind
        self._progress = _columns()
        self._task = self._progress.add_task(phase, total=None, unit="", loss="")
        self._progress.start()

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _columns() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Share(ProgressColumn):
        """Per cent, where the whole is known."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.percentage:>3.0f}%" if task.total else "")

    class Rate(ProgressColumn):
        """Units a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{short(task.speed)} {task.fields['unit']}/s" if task.speed else "")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        Share(),
        Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[loss]}"),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def short(number: float) -> str:
    """Return a number as people say it: `950`, `12.3k`, `1.25M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}" if number < 1000 * size else f"{number / size:,.0f}{letter}"
    return f"{number:.3g}" if number < 1000 else f"{number:,.0f}"
