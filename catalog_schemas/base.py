"""What every written model shares: frozen, and an unknown key is refused with the nearest valid one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
"""Names of scenes, channels and slots: lower-case letters, digits, dashes; they become parts of keys."""


NEAR = 0.5
"""From this share of common letters on (difflib's ratio) a valid word may be what was meant."""


def did_you_mean(word: str, valid: Sequence[str]) -> str:
    """The question "did you mean 'nearest'? ", a space behind it; empty where no valid word is near."""
    near = get_close_matches(word, valid, n=1, cutoff=NEAR)
    return f"did you mean {near[0]!r}? " if near else ""


class Written(BaseModel):
    """Base of all models that a person writes."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        """Raise ValueError naming each unknown key and the valid key nearest to it."""
        if not isinstance(data, dict):
            return data
        valid = list(cls.model_fields)
        for key in data:
            if key not in cls.model_fields:
                raise ValueError(
                    f"unknown key {str(key)!r}; {did_you_mean(str(key), valid)}valid: {', '.join(valid)}"
                )
        return data

    def set_fields(self, later: Iterable[str], without: Iterable[str] = ()) -> dict[str, Any]:
        """The fields that make an output; one that came after the first outputs and is at its default redoes none."""
        usual = {name for name in later if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump(mode="json", exclude={*without, *usual})
