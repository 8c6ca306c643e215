"""Every error productshot raises, named for what a person does next.

ProductshotError                     item, value, limit, remedy; one readable line
├── InputRefused                     give another picture, name or number
│   ├── GateRefused                  the picture was made, but a gate or a channel rule refuses it
│   └── InputTooSlow                 it took too long; tomorrow's night tries again, nothing is marked
├── ConfigInvalid                    mend the catalog, the recipe or the command line
├── StorageMissing                   make the bucket, or look for the object elsewhere
├── StorageRefused                   get the permission, or use a server that can do it
├── StorageUnavailable   retryable   run it again: the store did not answer, or is full
├── ModelMissing                     bring the model to this machine
├── ModelDamaged                     restore the weight file
├── DependencyMissing                install what is named
└── OutOfMemory                      a smaller batch or a larger machine

A refusal of one item never stops its neighbours; a storage, model or configuration error always stops the night.
"""

from __future__ import annotations


class ProductshotError(Exception):
    """What is wrong with which item; `retryable` says whether the same call can succeed later."""

    retryable = False

    def __init__(self, item: str, value: str, limit: str = "", remedy: str = "") -> None:
        self.item, self.value, self.limit, self.remedy = item, value, limit, remedy
        super().__init__(str(self))

    def __reduce__(self) -> tuple[type[ProductshotError], tuple[str, str, str, str]]:
        return type(self), (self.item, self.value, self.limit, self.remedy)

    def __str__(self) -> str:
        """One line: "photo a.jpg is 180x240 px; at least 512 px are needed; ask for a larger original"."""
        told = f"{self.item} {self.value}".strip()
        line = "; ".join(part for part in (told, self.limit, self.remedy) if part)
        return " ".join(line.split())


class InputRefused(ProductshotError):
    """One item cannot be used as it is."""


class GateRefused(InputRefused):
    """One picture was made and measured, and a gate or a channel rule refuses it."""


class InputTooSlow(InputRefused):
    """One item took longer than it may, which can be the machine's fault: refused now, asked again next time."""


class ConfigInvalid(ProductshotError):
    """Something that a person wrote is wrong."""


class StorageMissing(ProductshotError):
    """The bucket or the object is not there."""


class StorageRefused(ProductshotError):
    """The store answers, but forbids or does not support what is needed."""


class StorageUnavailable(ProductshotError):
    """The store does not answer, or has no room."""

    retryable = True


class ModelMissing(ProductshotError):
    """A model is not on this machine."""


class ModelDamaged(ProductshotError):
    """A weight file is not the one that was released."""


class DependencyMissing(ProductshotError):
    """A library or program that this command needs is not installed."""


class OutOfMemory(ProductshotError):
    """The device has not enough memory for this batch."""
