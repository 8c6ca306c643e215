"""Assets: from a cutout, and a plate, to a file that obeys its channel's slot, and the proof that it does."""

from productshot.assets.check import check, unreadable
from productshot.assets.compose import Composed, packshot, product_box, scene_picture
from productshot.assets.encode import WRITTEN, encode, srgb_profile
from productshot.assets.fix import Fixed, Source, fix
from productshot.assets.label import label_box, labelled
from productshot.assets.levels import Levels
from productshot.assets.limits import ENDINGS, Seen, ending_of
from productshot.assets.manifest import asset_manifest
from productshot.assets.marking import read_source_type, says_ai, source_type, xmp_packet
from productshot.assets.rules import MAX_AGE_DAYS, RuleVerdict, age_verdict

__all__ = [
    "ENDINGS",
    "MAX_AGE_DAYS",
    "WRITTEN",
    "Composed",
    "Fixed",
    "Levels",
    "RuleVerdict",
    "Seen",
    "Source",
    "age_verdict",
    "asset_manifest",
    "check",
    "encode",
    "ending_of",
    "fix",
    "label_box",
    "labelled",
    "packshot",
    "product_box",
    "read_source_type",
    "says_ai",
    "scene_picture",
    "source_type",
    "srgb_profile",
    "unreadable",
    "xmp_packet",
]
