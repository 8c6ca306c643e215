"""The adapters room, its words: prompts to text embeddings, with a learned token where one is given.

The learned token is one row laid below the encoder's own embedding table for the length of a call. So neither
tokenizer nor encoder is ever changed, and a render may use the same function with the row of any adapter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer


@dataclass(frozen=True)
class Reader:
    """A text encoder with its tokenizer. SD 1 and 2 have one, SDXL has two, the second with a projection."""

    tokenizer: CLIPTokenizer
    encoder: CLIPTextModel | CLIPTextModelWithProjection

    @property
    def table(self) -> Tensor:
        """(vocabulary, width) embeddings of its tokens."""
        weight: Tensor = self.encoder.get_input_embeddings().weight
        return weight


@dataclass(frozen=True)
class Words:
    """What a UNet is told of a batch: (B, n, d) embeddings and, with SDXL, (B, p) pooled ones."""

    tokens: Tensor
    pooled: Tensor | None

    @classmethod
    def merged(cls, words: Sequence[Words], merge: Callable[[list[Tensor]], Tensor]) -> Words:
        """One of several, its parts merged each by the same function."""
        pooled = [each.pooled for each in words if each.pooled is not None]
        return cls(merge([each.tokens for each in words]), merge(pooled) if pooled else None)

    def __getitem__(self, rows: Any) -> Words:
        """Some of the batch, as a tensor is indexed."""
        return Words.merged([self], lambda parts: parts[0][rows])


def encode_prompts(
    readers: Sequence[Reader], prompts: Sequence[str], token: str | None = None, rows: Sequence[Tensor] = ()
) -> Words:
    """What the prompts say, one after the other.

    With `rows`, (1, width) for each reader, the word `token` stands for them in every prompt; gradients flow into
    the rows. Without them the prompts are read as the tokenizers read them.
    """
    learned = token if rows else None
    ids = [
        torch.tensor([prompt_ids(reader.tokenizer, prompt, learned, len(reader.table)) for prompt in prompts])
        for reader in readers
    ]
    return embed(readers, ids, rows)


def embed(readers: Sequence[Reader], ids: Sequence[Tensor], rows: Sequence[Tensor]) -> Words:
    """What token ids say, (B, n) for each reader; ids beyond a reader's table mean its rows (R, width).

    One reader is read at its last layer, two (SDXL, Podell et al. 2023, section 2.1) at their last but one, side by
    side, with the second's projection of the first end token as the pooled part.
    """
    given = rows or [None] * len(readers)
    outputs = [_read(*each) for each in zip(readers, ids, given, strict=True)]
    if len(readers) == 1:
        return Words(outputs[0].last_hidden_state, None)
    last, end = outputs[-1].last_hidden_state, readers[-1].tokenizer.eos_token_id
    ends = (ids[-1].to(last.device) == end).int().argmax(1)
    pooled = readers[-1].encoder.text_projection(last[torch.arange(len(last)), ends])
    return Words(torch.cat([output.hidden_states[-2] for output in outputs], dim=-1), pooled)


def _read(reader: Reader, ids: Tensor, rows: Tensor | None) -> Any:
    """The encoder's output, with the rows below its table."""
    table, encoder = reader.table, reader.encoder
    inputs = {"input_ids": ids.to(table.device), "output_hidden_states": True}
    if rows is None:
        return encoder(**inputs)
    name = next(name for name, parameter in encoder.named_parameters() if parameter is table)
    longer = torch.cat([table, rows.to(table)])
    return functional_call(encoder, {name: longer}, args=(), kwargs=inputs)


def prompt_ids(tokenizer: CLIPTokenizer, prompt: str, learned: str | None, learned_id: int) -> list[int]:
    """Token ids of a prompt, model_max_length long; each word `learned` becomes `learned_id`.

    The same ids as those of a tokenizer to which the word was added as a token of its own. A prompt that is
    too long loses its end, as everywhere in CLIP.
    """
    parts = [prompt] if learned is None else re.split(rf"\b{re.escape(learned)}\b", prompt)
    ids: list[int] = []
    for index, part in enumerate(parts):
        ids += [learned_id] if index else []
        ids += tokenizer(part.strip(), add_special_tokens=False).input_ids
    length = tokenizer.model_max_length
    ids = [tokenizer.bos_token_id, *ids[: length - 2], tokenizer.eos_token_id]
    return ids + [tokenizer.pad_token_id] * (length - len(ids))


def fits(tokenizer: CLIPTokenizer, prompt: str) -> bool:
    """Whether the encoder reads the prompt to its end, between its start and end tokens."""
    pieces = tokenizer(prompt, add_special_tokens=False).input_ids
    return len(pieces) <= int(tokenizer.model_max_length) - 2


def first_row(reader: Reader, token: str, noun: str) -> Tensor:
    """The (1, width) row a token starts from: its own if it is a single token, else the mean of the noun's."""
    own = reader.tokenizer(token, add_special_tokens=False).input_ids
    ids = own if len(own) == 1 else reader.tokenizer(noun, add_special_tokens=False).input_ids
    return reader.table[ids].detach().float().mean(0, keepdim=True)
