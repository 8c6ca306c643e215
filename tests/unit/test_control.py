"""Control maps and the smooth fill: exact on drawn shapes."""

from __future__ import annotations

import numpy as np
import pytest

from catalog_schemas.recipes import Reads
from catalog_schemas.scene import Control, Placement
from productshot.geometry import Box, Size
from productshot.pixels import Pixels
from productshot.render.control import control_map, edges, most_told, place, scribble, silhouette
from productshot.render.fill import extend
from productshot.render.plate import plate_size


def a_card(colour: tuple[int, int, int] = (230, 60, 20), size: int = 64) -> Pixels:
    """A placed RGBA canvas with an opaque card at 16..47."""
    rgba = np.zeros((size, size, 4), np.uint8)
    rgba[16:48, 16:48] = (*colour, 255)
    return rgba


def a_striped_card() -> Pixels:
    """The card with a bright stripe inside, 30..33."""
    card = a_card()
    card[30:34, 20:44, :3] = 255
    return card


def test_the_silhouette_is_the_alpha() -> None:
    """255 inside the card, 0 around it."""
    assert silhouette(a_card())[20, 20] == 255
    assert int((silhouette(a_card()) > 0).sum()) == 32 * 32


def test_edges_lie_on_the_outline_and_nowhere_else() -> None:
    """Of a plain card every edge is within a pixel of its outline, on all four sides."""
    found = edges(a_card()) > 0
    assert not found[19:45, 19:45].any()
    assert not found[:14].any() and not found[50:].any()
    assert (
        found[14:18, 30].any()
        and found[46:50, 30].any()
        and found[30, 14:18].any()
        and found[30, 46:50].any()
    )


def test_a_grey_product_on_grey_still_has_an_outline() -> None:
    """The alpha's edge is found where the colours show none."""
    assert (edges(a_card((128, 128, 128))) > 0)[14:18, 30].any()


def test_a_stripe_inside_the_product_is_an_edge() -> None:
    """What is printed on the product steers too."""
    card = a_card()
    card[30:34, 16:48, :3] = 255
    assert (edges(card) > 0)[28:36, 32].any()


def test_a_scribble_is_the_line_three_pixels_wide() -> None:
    """One row of edge becomes three rows at 64 px."""
    line = np.zeros((64, 64), np.uint8)
    line[30, 10:50] = 255
    assert (scribble(line) > 0)[:, 20].nonzero()[0].tolist() == [29, 30, 31]


def test_channels_follow_the_plan() -> None:
    """Silhouette fills blue only; edges fill all three; none is no map."""
    blue = control_map(a_card(), "silhouette", "pocket")
    full = control_map(a_card(), "edges", "pocket")
    assert blue is not None and full is not None
    assert [int(blue[..., c].any()) for c in range(3)] == [0, 0, 1]
    assert [int(full[..., c].any()) for c in range(3)] == [1, 1, 1]
    assert control_map(a_card(), "none", "pocket") is None


def test_pocket_reads_a_scribble_beside_the_silhouette() -> None:
    """Green and blue: the thin lines are left out."""
    told = control_map(a_striped_card(), "scribble", "pocket")
    assert told is not None
    assert [int(told[..., c].any()) for c in range(3)] == [0, 1, 1]


@pytest.mark.parametrize(("control", "striped"), [("silhouette", False), ("edges", True)])
def test_a_canny_controlnet_reads_thin_white_lines(control: Control, striped: bool) -> None:
    """Three equal planes of 0 and 255, lines of a pixel; the stripe inside is an edge, of the silhouette it is none."""
    told = control_map(a_striped_card(), control, "canny")
    assert told is not None and set(np.unique(told)) == {0, 255}
    assert (told == told[..., :1]).all()
    assert (told[30, 12:20, 0] > 0).sum() == 1
    assert bool(told[28:36, 32].any()) == striped


@pytest.mark.parametrize(("control", "striped"), [("silhouette", False), ("scribble", True)])
def test_a_scribble_controlnet_reads_thick_white_lines(control: Control, striped: bool) -> None:
    """As for canny, with the pen: three pixels at 64 px."""
    told = control_map(a_striped_card(), control, "scribble")
    assert told is not None and set(np.unique(told)) == {0, 255}
    assert (told == told[..., :1]).all()
    assert (told[24, 12:20, 0] > 0).sum() == 3
    assert bool(told[28:36, 32].any()) == striped


def test_a_hand_drawn_line_is_hidden_by_the_product_only() -> None:
    """A line across the canvas shows on both sides of the card, in green and as thick as it was drawn."""
    drawn = np.zeros((64, 64), np.uint8)
    drawn[40:44] = 255
    told = control_map(a_card(), "scribble", "pocket", drawn)
    assert told is not None
    assert told[40:44, :14, 1].all() and told[40:44, 50:, 1].all()
    assert not told[40:44, 20:44, 1].any()


@pytest.mark.parametrize(
    ("reads", "most"), [("pocket", "edges"), ("canny", "edges"), ("scribble", "scribble")]
)
def test_a_drawn_product_is_told_by_all_that_the_controlnet_reads(reads: Reads, most: Control) -> None:
    """Where the scene asks for the silhouette, its default; what it asks for by name stays."""
    assert most_told("silhouette", reads) == most
    assert most_told("none", reads) == "none"


def test_a_product_stands_where_the_scene_puts_it() -> None:
    """A tall cutout touches its largest height and stands on the ground line, centred."""
    tall = np.full((200, 100, 4), 255, np.uint8)
    placement = Placement(centre_x=0.5, ground_y=0.75, max_width=0.5, max_height=0.5)
    placed, box = place(tall, placement, Size(64, 64))
    assert box == Box(24, 16, 40, 48)
    assert int((silhouette(placed) > 0).sum()) == 16 * 32


def test_a_product_over_the_rim_is_cut_not_moved() -> None:
    """The box says where it would reach; the canvas holds what fits."""
    wide = np.full((100, 100, 4), 255, np.uint8)
    placed, box = place(wide, Placement(centre_x=0, ground_y=1, max_width=0.5, max_height=0.5), Size(64, 64))
    assert box == Box(-16, 32, 16, 64)
    assert int((silhouette(placed) > 0).sum()) == 16 * 32


def test_a_fill_keeps_what_is_known() -> None:
    """Known pixels stay to the bit; a plain surround fills plainly."""
    picture = np.full((37, 51, 3), (10, 120, 240), np.uint8)
    known = np.ones((37, 51), bool)
    known[10:30, 5:40] = False
    picture[~known] = 255
    assert (extend(picture, known) == (10, 120, 240)).all()


def test_a_fill_runs_smoothly_from_side_to_side() -> None:
    """Between black on the left and white on the right the hole rises, near each side close to its colour."""
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, 32:] = 255
    known = np.zeros((32, 64), bool)
    known[:, :8] = known[:, 56:] = True
    row = extend(picture, known)[16, :, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert row[9] < 40 and row[54] > 215


def test_a_picture_without_known_pixels_stays() -> None:
    """There is nothing to continue from."""
    picture = np.full((8, 8, 3), 77, np.uint8)
    assert (extend(picture, np.zeros((8, 8), bool)) == picture).all()


def test_a_plate_shows_the_master_in_every_ratio() -> None:
    """The tallest and the widest ratio set the plate, rounded up to whole steps."""
    assert plate_size(128, [(1, 1)], 16) == Size(128, 128)
    assert plate_size(128, [(1, 1), (1801, 2600)], 16) == Size(128, 192)
    assert plate_size(128, [(16, 9), (4, 3), (1801, 2600)], 16) == Size(240, 192)
