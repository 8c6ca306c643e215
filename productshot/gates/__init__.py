"""The gates room: what a rendered picture measures, and what the limits say of it. Pure functions.

    comparison.py  the picture beside the truth, and the masks that every measure uses
    shape.py       grown, missing, doubled: outlines of a segmentation
    colour.py      CIEDE2000 inside the product
    structure.py   moved, garbled, blurred: the photographed pixels one by one
    edge.py        halo, lost outline: the colours along the product's edge
    ground.py      nothing painted, a seam, no shadow
    measure.py     measure_render: all of them, each a number or the reason why it says nothing
    judge.py       judge: the numbers against a recipe's limits; telling: which of them matter

All pictures of one measurement have one size, the compare size; lengths in px are px of that size. A measure that
says nothing for a picture is NaN and becomes a reason in `Measures.not_valid`.
"""

from productshot.gates.colour import colour_shift, mean_colour_shift
from productshot.gates.comparison import Comparison
from productshot.gates.judge import GATES, Gate, Score, judge, telling
from productshot.gates.measure import Senses, measure_render
from productshot.gates.shape import attached, expansion, missing, overlap

__all__ = [
    "GATES",
    "Comparison",
    "Gate",
    "Score",
    "Senses",
    "attached",
    "colour_shift",
    "expansion",
    "judge",
    "mean_colour_shift",
    "measure_render",
    "missing",
    "overlap",
    "telling",
]
