"""Pictures of maps and curves: what is written is what it says, not blank, and its labels do not overlap."""

import itertools
import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from conftest import needs

needs("matplotlib", "PIL")

from atlas_maps import NAMES, embeddings, small_map
from PIL import Image

from embedkit.atlas import Curve, loss_curves, write_curves, write_picture
from embedkit.atlas.figures import plain, style
from embedkit.atlas.palette import COLOURS
from embedkit.atlas.picture import draw_map
from embedkit.errors import ModelError


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def drawn_map(drawn, width, height, **options):
    """A figure and what was labelled in it; letters that this machine's fonts lack are no matter here."""
    with style(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure, labelled = draw_map(drawn, width, height, **options)
        renderer = figure.canvas.get_renderer()
        return figure, labelled, {text.get_text(): text.get_window_extent(renderer) for text in figure.axes[0].texts}


def share_of(picture, colour):
    """Which share of a picture's pixels is nearly of this colour."""
    # Points are drawn at three quarters, over white.
    wanted = [int(0.8 * int(colour[i : i + 2], 16) + 0.2 * 255) for i in (1, 3, 5)]
    return (np.abs(picture - wanted).max(axis=2) < 60).mean()


def test_a_png_has_its_size_and_the_colours_of_all_groups(tmp_path):
    written = write_picture(small_map(), tmp_path / "map.png", 5, 4, dpi=100)
    picture = pixels(tmp_path / "map.png")
    assert picture.shape == (400, 500, 3)
    assert (picture[0] == 255).all()
    assert 0.5 < (picture > 250).all(axis=2).mean() < 0.99
    assert all(share_of(picture, colour) > 1e-4 for colour in COLOURS[:4])
    assert len(written.labelled) > 10


def test_labels_do_not_overlap_and_stay_inside():
    figure, labelled, _ = drawn_map(small_map(), 6, 5)
    boxes = labelled.boxes
    assert len(boxes) > 15
    width, height = figure.bbox.width, figure.bbox.height
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 0] + boxes[:, 2] <= width).all()
    assert (boxes[:, 1] + boxes[:, 3] <= height).all()
    for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(boxes.tolist(), 2):
        assert x + w <= x2 + 1e-6 or x2 + w2 <= x + 1e-6 or y + h <= y2 + 1e-6 or y2 + h2 <= y + 1e-6


def test_what_is_drawn_is_within_the_boxes_that_were_kept_free():
    _, labelled, drawn = drawn_map(small_map(), 6, 5)
    names = [plain(small_map().labels[point]) for point in labelled.points]
    for name, (x, y, w, h) in zip(names, labelled.boxes.tolist(), strict=True):
        extent = drawn[name]
        assert x - 2 <= extent.x0
        assert extent.x1 <= x + w + 2
        assert y - 2 <= extent.y0
        assert extent.y1 <= y + h + 2


def test_the_first_points_are_labelled_where_they_must_be():
    _, labelled, _ = drawn_map(small_map(keys=()), 6, 5, labels=9, must=9)
    assert set(labelled.points) == set(range(9))


def test_svg_and_pdf_are_whole_and_repeat(tmp_path):
    for name in ("one.svg", "two.svg", "map.pdf"):
        write_picture(small_map(), tmp_path / name)
    root = ET.parse(tmp_path / "one.svg").getroot()
    assert root.tag.endswith("svg")
    assert not root.findall(".//{*}script")
    assert not root.findall(".//{*}img")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "map.pdf").read_bytes().startswith(b"%PDF")


def test_names_become_one_plain_line():
    assert plain("tab\tand\x07bell") == "tab and bell"
    assert plain("$x^2$") == "$x^2$"
    assert len(plain("가" * 100)) == 36
    assert plain("한") == "한"


def test_every_name_can_be_drawn(tmp_path):
    drawn = small_map(keys=())
    written = write_picture(drawn, tmp_path / "map.png", labels=60, must=len(NAMES), title="$\\frac 베타")
    assert {drawn.labels[i] for i in written.labelled} >= set(NAMES)


@pytest.mark.parametrize("n_clusters", [0, 1])
def test_one_colour_needs_no_legend_and_one_point_no_room(tmp_path, n_clusters):
    write_picture(small_map(embeddings(9), keys=(), n_clusters=n_clusters), tmp_path / "map.png", 2, 2, dpi=80)
    assert share_of(pixels(tmp_path / "map.png"), COLOURS[0]) > 1e-4


def test_curves_have_their_colours_and_bands(tmp_path):
    curves = [
        Curve("one", [1, 5, 10], [0.1, 0.2, 0.3], [0.05, 0.1, 0.2], [0.2, 0.3, 0.4]),
        Curve("둘", [1, 5, 10], [0.2, 0.25, 0.1]),
    ]
    look = {"dpi": 100, "x_name": "k", "y_name": "NDCG@k"}
    assert write_curves(curves, tmp_path / "a.png", 4, 3, **look) in ((), ("둘",))
    write_curves(curves[:1], tmp_path / "b.png", 4, 3, logarithmic=True, from_zero=True, title="By k", **look)
    for name in "ab":
        assert share_of(pixels(tmp_path / f"{name}.png"), COLOURS[0]) > 3e-4
    assert share_of(pixels(tmp_path / "a.png"), COLOURS[1]) > 3e-4


def test_losses_are_curves_over_epochs():
    (curve,) = loss_curves({"model": (3.0, 2.0, 1.5)})
    assert (curve.name, list(curve.x), list(curve.y), curve.low) == ("model", [1, 2, 3], [3.0, 2.0, 1.5], None)


def test_a_picture_that_cannot_be_written_leaves_what_is_there(tmp_path):
    with pytest.raises(ModelError, match="there is no folder"):
        write_picture(small_map(), tmp_path / "nowhere" / "map.png")
    assert list(tmp_path.iterdir()) == []
