"""Gates on pixels: moves, rims, prints, seams and shadows are drawn here, so the right number is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter

from productshot.gates import colour, edge, ground, structure
from productshot.geometry import Box
from productshot.pixels import Pixels

GREY, RED, GREEN = (128, 128, 128), (200, 40, 40), (40, 160, 60)
SIDE = 160


def a_mask(left: int = 50, top: int = 50, right: int = 110, bottom: int = 110) -> Pixels:
    """(SIDE, SIDE) alpha, 255 in the box."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[top:bottom, left:right] = 255
    return alpha


def plain(colour: tuple[int, int, int] = GREY) -> Pixels:
    """One colour all over."""
    return np.broadcast_to(np.uint8(colour), (SIDE, SIDE, 3)).copy()


def laid(alpha: Pixels, product: Pixels, ground: Pixels) -> Pixels:
    """The product where the alpha is, the ground elsewhere."""
    return np.where(alpha[..., None] > 0, product, ground)


def a_print() -> Pixels:
    """(SIDE, SIDE, 3) of spots some px large, the same every time."""
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(SIDE, SIDE)), 1.5)
    return np.repeat(np.where(noise > 0, 220, 30).astype(np.uint8)[..., None], 3, axis=2)


def shifted(picture: Pixels, across: int, down: int) -> Pixels:
    """The picture moved; what leaves it comes back at the other side."""
    return np.roll(picture, (down, across), (0, 1))


def test_a_move_is_found_to_the_pixel() -> None:
    """A print moved by 8 px right and 6 px down stands 10 px away, of a side of 54 px inside the outline."""
    alpha, spots = a_mask(), a_print()
    reference = laid(alpha, spots, plain())
    picture = laid(shifted(alpha, 8, 6), shifted(spots, 8, 6), plain(GREEN))
    assert structure.moved(picture, reference, alpha) == pytest.approx(10 / 54)


def test_a_product_at_its_place_has_not_moved() -> None:
    """Whatever ground it stands on, and with the noise of a file."""
    alpha, spots = a_mask(), a_print()
    noisy = np.clip(spots + np.random.default_rng(1).normal(0, 3, spots.shape), 0, 255).astype(np.uint8)
    assert structure.moved(laid(alpha, noisy, plain(GREEN)), laid(alpha, spots, plain()), alpha) == 0


def test_the_share_of_changed_colour_is_counted() -> None:
    """The left half of a red product is green: half of it has changed, to the blur's one or two px."""
    alpha = a_mask()
    reference = laid(alpha, plain(RED), plain())
    picture = reference.copy()
    picture[50:110, 50:80] = GREEN
    assert colour.colour_changed(picture, reference, alpha) == pytest.approx(0.5, abs=0.05)


def test_an_honest_edge_is_whole() -> None:
    """Product, then ground at once: nothing of the outline is lost, and no rim lies off the line between them."""
    outline = edge.read_edge(laid(a_mask(), plain(RED), plain(GREEN)), a_mask())
    assert edge.outline_lost(outline) == 0
    assert edge.halo(outline) == pytest.approx(0, abs=0.5)


def test_a_grown_product_loses_its_outline() -> None:
    """The product's colour goes on for 6 px all around."""
    grown = binary_dilation(a_mask() > 0, iterations=6).astype(np.uint8) * 255
    assert edge.outline_lost(edge.read_edge(laid(grown, plain(RED), plain(GREEN)), a_mask())) > 0.9


def test_one_colour_has_no_outline() -> None:
    """White on white: whether the product goes on beyond its outline cannot be seen."""
    assert np.isnan(edge.outline_lost(edge.read_edge(plain(), a_mask())))


def test_a_white_rim_is_a_halo() -> None:
    """3 px of white between red and green are tens of Lab units from every mixture of the two."""
    alpha = a_mask()
    picture = laid(alpha, plain(RED), plain(GREEN))
    picture[binary_dilation(alpha > 0, iterations=3) & (alpha == 0)] = 255
    assert edge.halo(edge.read_edge(picture, alpha)) > 20


def test_a_mixture_is_no_halo() -> None:
    """A rim half way between product and ground in Lab is a soft edge."""
    from skimage.color import lab2rgb, rgb2lab

    alpha = a_mask()
    picture = laid(alpha, plain(RED), plain(GREEN))
    middle = rgb2lab(np.uint8([[RED, GREEN]])).mean(axis=1, keepdims=True)
    rim = binary_dilation(alpha > 0, iterations=3) & (alpha == 0)
    picture[rim] = np.rint(lab2rgb(middle)[0, 0] * 255)
    assert edge.halo(edge.read_edge(picture, alpha)) < 2


def test_a_print_is_like_itself() -> None:
    """The same pixels: structural similarity 1 in every window."""
    spots = a_print()
    assert structure.print_kept(spots, spots, a_mask()) == pytest.approx(1)


def test_a_garbled_corner_is_found() -> None:
    """A quarter of the print is mirrored: its worst window is nothing like the photo's."""
    spots = a_print()
    garbled = spots.copy()
    garbled[50:80, 50:80] = spots[50:80, 50:80][::-1, ::-1]
    assert structure.print_kept(garbled, spots, a_mask()) < 0.3


def test_a_plain_product_has_no_print() -> None:
    """Without texture there is nothing to keep."""
    assert np.isnan(structure.print_kept(plain(RED), plain(RED), a_mask()))


def test_blur_takes_sharpness() -> None:
    """The same pixels are as sharp as themselves; blurred by 2 px they keep less than a third of the gradients."""
    spots = a_print()
    blurred = gaussian_filter(spots.astype(float), (2, 2, 0)).astype(np.uint8)
    assert structure.sharpness(spots, spots, a_mask()) == 1
    assert structure.sharpness(blurred, spots, a_mask()) < 0.35


@pytest.mark.parametrize(("ground_colour", "spread"), [((0, 0, 0), 0), ((255, 255, 255), 0)])
def test_a_plain_ground_has_no_range(ground_colour: tuple[int, int, int], spread: float) -> None:
    """Black or white all over is nothing painted, whatever the product looks like."""
    picture = laid(a_mask(), a_print(), plain(ground_colour))
    assert ground.ground_range(picture, a_mask() == 0) == spread


def test_a_step_along_the_border_is_a_seam() -> None:
    """The right part is 10 levels brighter in each channel, against the 2 levels that nobody sees."""
    plate = plain()
    plate[:, 100:] += 10
    assert ground.seam(plate, Box(0, 0, 100, SIDE)) == pytest.approx(10 * 3**0.5 / 2)


def test_a_slope_is_no_seam() -> None:
    """Light that rises by a level each px steps at the border as it does everywhere."""
    plate = np.repeat(np.arange(SIDE, dtype=np.uint8)[None, :, None], SIDE, axis=0).repeat(3, axis=2)
    assert ground.seam(plate, Box(40, 0, 120, SIDE)) == 0


def test_a_plate_without_borders_has_no_seam() -> None:
    """The master is the whole plate: nothing was continued."""
    assert ground.seam(a_print(), Box(0, 0, SIDE, SIDE)) == 0


def test_the_shadow_is_as_deep_as_it_is_drawn() -> None:
    """Half as bright just below the product."""
    picture = laid(a_mask(), plain(RED), plain())
    picture[110:118, 50:110] = 64
    assert ground.shadow_depth(picture, a_mask()) == pytest.approx(0.5, abs=0.01)


def test_without_a_shadow_the_product_floats() -> None:
    """The ground below is as bright as beside."""
    assert ground.shadow_depth(laid(a_mask(), plain(RED), plain()), a_mask()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("bottom", [110, SIDE])
def test_no_shadow_is_looked_for_on_black_or_below_the_frame(bottom: int) -> None:
    """Nobody sees a shadow there, so nothing is told."""
    alpha = a_mask(bottom=bottom)
    shade = plain((4, 4, 4)) if bottom == 110 else plain()
    assert np.isnan(ground.shadow_depth(laid(alpha, plain(RED), shade), alpha))
