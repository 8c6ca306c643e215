"""Assets, the manifest: the JSON beside a published file that says what it was made from. No clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import PIL

from catalog_schemas import AssetRecipe
from productshot import __version__
from productshot.assets.rules import RuleVerdict
from productshot.keys import STAGE_FORMATS
from productshot.records import Asset, Measures, Render, Verdict, as_json


def asset_manifest(
    asset: Asset,
    render: Render,
    measures: Measures | None,
    verdict: Verdict,
    verdicts: Sequence[RuleVerdict],
    recipe: AssetRecipe,
    signed_by: str | None = None,
    relit: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The lineage of an asset, JSON-able: photo, cutout, adapter, render, measures, verdicts, recipe, versions.

    `measures` are the numbers of the gates, None where no gate looked; `verdict` is what they, or a person, said;
    `signed_by` the digest of the certificate behind its C2PA manifest; `relit` how far the product was brought towards
    its scene's light, None where its pixels are the photo's. The recipes of earlier stages are part of
    their keys: work/<sku>/<stage>/<key>.json holds each in full.
    """
    cutout, photo = render.cutout, render.cutout.photo
    return {
        "asset": as_json(asset),
        "photo": {
            "key": photo.key,
            "digest": photo.digest,
            "ai_source": photo.ai_source,
            "mask": {"key": photo.mask_key, "digest": photo.mask_digest} if photo.mask_key else None,
            "clutter": {"key": photo.clutter_key, "digest": photo.clutter_digest}
            if photo.clutter_key
            else None,
        },
        "cutout": {"key": cutout.key, "digest": cutout.digest, "confidence": cutout.confidence},
        "adapter": render.adapter,
        "render": {
            "key": render.key,
            "digest": render.digest,
            "scene": render.scene,
            "lane": render.lane,
            "variant": render.variant,
            "seed": render.seed,
        },
        "gates": {"numbers": measures.numbers, "not_valid": measures.not_valid} if measures else None,
        "verdict": as_json(verdict),
        "rules": [as_json(verdict) for verdict in verdicts],
        "signed_by": signed_by,
        "relit": dict(relit) if relit else None,
        "recipe": recipe.model_dump(mode="json"),
        "made_by": {"productshot": __version__, "formats": dict(STAGE_FORMATS), "pillow": PIL.__version__},
    }
