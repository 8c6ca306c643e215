"""The adapters room: pictures of one SKU to trained weights that know this very product.

    sets.py     what is learned from, and the square samples made of it (no torch)
    base.py     the frozen base model, opened once
    text.py     prompts to text embeddings, with a learned token
    pictures.py what the base model draws
    prior.py    class images for prior preservation
    losses.py   the mathematics
    batches.py  what a training step sees of a product
    lora.py     the low-rank weights of several products, as render/lora.py's layers wear them
    fleet.py    several products in one pass
    proof.py    whether an adapter knows its product
    checkpoints.py  a product's training as bytes, to go on from
    train.py    the queue: sets in, adapters out
    files.py    adapters as safetensors bytes, and back

The names below load torch on first use only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from productshot.adapters.sets import TrainingPicture, TrainingSet

if TYPE_CHECKING:
    from productshot.adapters.base import TrainingBase, open_training_base
    from productshot.adapters.files import TrainedAdapter, about, join, split
    from productshot.adapters.prior import make_class_images
    from productshot.adapters.train import train_adapters

__all__ = [
    "TrainedAdapter",
    "TrainingBase",
    "TrainingPicture",
    "TrainingSet",
    "about",
    "join",
    "make_class_images",
    "open_training_base",
    "split",
    "train_adapters",
]

_ROOM_OF = {
    "TrainingBase": "base",
    "open_training_base": "base",
    "TrainedAdapter": "files",
    "about": "files",
    "join": "files",
    "split": "files",
    "make_class_images": "prior",
    "train_adapters": "train",
}


def __getattr__(name: str) -> Any:
    """A public name whose module loads torch (PEP 562)."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
