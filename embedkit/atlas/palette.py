"""The colours of groups: told apart by all kinds of eyes, on white and on black."""

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#803820", "#9838f8")
"""Six of Okabe & Ito's (2008), and the two that stay farthest from them where a kind of cone is missing."""

OTHER = "#c4c8cc"
"""Of points without a group, or in one beyond the palette."""

INK = "#14171a"
ACCENT = "#b3002d"
"""Of what is marked on a map."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
"""A shape for each colour, so that a picture also works in black and white."""
