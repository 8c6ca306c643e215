"""The scenes and channels that ship with productshot, as YAML beside this module."""

from __future__ import annotations

from pathlib import Path

import yaml

from catalog_schemas.base import did_you_mean
from catalog_schemas.channel import Channel
from catalog_schemas.scene import Scene

_HERE = Path(__file__).parent


def scene_names() -> tuple[str, ...]:
    """Names of all scenes of the library, sorted."""
    return tuple(sorted(path.stem for path in (_HERE / "scenes").glob("*.yaml")))


def channel_names() -> tuple[str, ...]:
    """Names of all channels that ship, sorted."""
    return tuple(sorted(path.stem for path in (_HERE / "channels").glob("*.yaml")))


def load_scene(name: str) -> Scene:
    """The library's scene of that name; ValueError names the nearest and all valid ones."""
    if name not in scene_names():
        meant, valid = did_you_mean(name, scene_names()), ", ".join(scene_names())
        raise ValueError(f"scene {name!r} is not in the library; {meant}valid: {valid}")
    return Scene.model_validate(yaml.safe_load((_HERE / "scenes" / f"{name}.yaml").read_text("utf-8")))


def load_channel(name: str) -> Channel:
    """The channel of that name; ValueError names the nearest and all valid ones."""
    if name not in channel_names():
        meant, valid = did_you_mean(name, channel_names()), ", ".join(channel_names())
        raise ValueError(f"channel {name!r} does not ship with productshot; {meant}valid: {valid}")
    return Channel.model_validate(yaml.safe_load((_HERE / "channels" / f"{name}.yaml").read_text("utf-8")))
