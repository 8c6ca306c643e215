"""The gates room, its verdicts: stored numbers against the limits of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from catalog_schemas.recipes import GateRecipe
from catalog_schemas.scene import Lane
from productshot.records import Measures, Verdict

SMALLEST = 1e-9
"""Stands in for a limit of 0 where shares of the limit are told."""


@dataclass(frozen=True)
class Gate:
    """One measure and what follows when its limit is passed."""

    measure: str
    limit: str  # field of GateRecipe
    bound: Literal["at most", "at least"]
    remedy: str
    status: Literal["refused", "person"] = "refused"
    lanes: tuple[Lane, ...] = ("packshot", "keep", "draw")

    def passed(self, number: float, limit: float) -> bool:
        """Whether the number is within the limit, the limit itself included."""
        return number <= limit if self.bound == "at most" else number >= limit


SEED = "another seed, or a scene with fewer things"
PIXELS = "run the night again; the photographed pixels must stand in the picture as they are"
ADAPTER = "another seed, or a longer trained adapter"
COLOURS = "another seed, or look whether the photo's colours are right"

GATES: tuple[Gate, ...] = (
    Gate("ground_range", "min_ground_range", "at least", "another seed, or another base model"),
    Gate("product_missing", "max_missing", "at most", ADAPTER),
    Gate("delta_e", "max_delta_e", "at most", COLOURS, lanes=("packshot", "keep")),
    Gate("delta_e", "max_draw_delta_e", "at most", COLOURS, lanes=("draw",)),
    Gate("moved", "max_moved", "at most", PIXELS),
    Gate("second_product", "max_second_likeness", "at most", SEED),
    Gate("other_things", "max_other_things", "at most", SEED),
    Gate("object_expansion", "max_expansion", "at most", SEED),
    Gate("outline_lost", "max_outline_lost", "at most", SEED),
    Gate("print_kept", "min_print_kept", "at least", PIXELS),
    Gate("colour_changed", "max_colour_changed", "at most", COLOURS),
    Gate("sharpness", "min_sharpness", "at least", PIXELS),
    Gate("halo", "max_halo", "at most", "look at the cutout's edge, or bring a mask beside the photo"),
    Gate("subject_fidelity", "min_fidelity", "at least", ADAPTER),
    Gate(
        "shadow_depth",
        "min_shadow_depth",
        "at least",
        "look whether the product stands on the ground",
        "person",
    ),
    Gate("seam", "max_seam", "at most", "look for a line where the picture was continued", "person"),
    Gate(
        "prompt_match",
        "min_prompt_match",
        "at least",
        "look whether the scene is the one asked for",
        "person",
    ),
)
"""In the order in which they speak: what says most about a picture first, refusals before questions."""


def judge(measures: Measures, lane: Lane, limits: GateRecipe) -> Verdict:
    """Accepted, or what the first gate outside its limit says: refused, or a person is asked.

    A measure that is not valid, or whose limit is None, judges nothing. Whether an accepted draw picture still
    needs a person is the caller's policy.
    """
    for gate in GATES:
        number, limit = measures.numbers.get(gate.measure), getattr(limits, gate.limit)
        if number is None or limit is None or lane not in gate.lanes or gate.passed(number, limit):
            continue
        return Verdict(
            status=gate.status,
            gate=gate.measure,
            value=f"{number:.3f}",
            limit=f"{gate.bound} {limit:g}",
            remedy=gate.remedy,
        )
    return Verdict(status="accepted")


class Score(NamedTuple):
    """A measure of a picture beside the limit that judges it."""

    measure: str
    number: float
    bound: Literal["at most", "at least"]
    limit: float

    @property
    def excess(self) -> float:
        """How far beyond the limit the number is, as a share of the limit; below 0 where it is kept."""
        over = self.number - self.limit if self.bound == "at most" else self.limit - self.number
        return over / (abs(self.limit) or SMALLEST)


def telling(numbers: Mapping[str, float], lane: Lane, limits: GateRecipe) -> list[Score]:
    """The judged measures of a picture, those farthest beyond their limit first, then those nearest to it."""
    found = []
    for gate in GATES:
        number, limit = numbers.get(gate.measure), getattr(limits, gate.limit)
        if number is not None and limit is not None and lane in gate.lanes:
            found.append(Score(gate.measure, number, gate.bound, limit))
    return sorted(found, key=lambda score: -score.excess)
