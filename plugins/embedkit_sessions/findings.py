"""What a source learns of its input while it reads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Findings:
    """What was left out, what was found out, and whether the table holds names to show for its items.

    Attributes
    ----------
    dropped
        How many rows (or lines) were left out, by reason.
    notes
        A line each: which column is which, what the times were taken for.
    labelled
        Whether a column of the table holds names of items.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    labelled: bool = False
