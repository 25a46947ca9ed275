"""Maps of an embedding space: points in two dimensions, pictures for a paper, a page to walk about in."""

from embedkit.atlas.curves import Curve, loss_curves, write_curves
from embedkit.atlas.grouping import Groups, by_column, clusters
from embedkit.atlas.mapping import Map, Selection, Trail, labels_of, make_map, select
from embedkit.atlas.neighbours import Neighbours, nearest
from embedkit.atlas.page import VIEWER, write_page
from embedkit.atlas.picture import Picture, write_picture
from embedkit.atlas.projection import METHODS, Method, coordinates
from embedkit.atlas.tables import write_table

__all__ = [
    "METHODS",
    "VIEWER",
    "Curve",
    "Groups",
    "Map",
    "Method",
    "Neighbours",
    "Picture",
    "Selection",
    "Trail",
    "by_column",
    "clusters",
    "coordinates",
    "labels_of",
    "loss_curves",
    "make_map",
    "nearest",
    "select",
    "write_curves",
    "write_page",
    "write_picture",
    "write_table",
]
