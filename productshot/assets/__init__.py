"""Assets: from a cutout, and a plate, to a file that obeys its channel's slot, and the proof that it does."""

from productshot.assets.check import RuleVerdict, check
from productshot.assets.compose import Composed, packshot, product_box, scene_picture
from productshot.assets.encode import encode_jpeg, srgb_profile
from productshot.assets.manifest import asset_manifest
from productshot.assets.marking import read_source_type, says_ai, source_type, xmp_packet

__all__ = [
    "Composed",
    "RuleVerdict",
    "asset_manifest",
    "check",
    "encode_jpeg",
    "packshot",
    "product_box",
    "read_source_type",
    "says_ai",
    "scene_picture",
    "source_type",
    "srgb_profile",
    "xmp_packet",
]
