"""The adapters room, its words: prompts to text embeddings, with a learned token where one is given.

The learned token is one row laid below the encoder's own embedding table for the length of a call. So neither
tokenizer nor encoder is ever changed, and a render may use the same function with the row of any adapter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call
from transformers import CLIPTextModel, CLIPTokenizer


def encode_prompts(
    tokenizer: CLIPTokenizer,
    encoder: CLIPTextModel,
    prompts: Sequence[str],
    token: str | None = None,
    row: Tensor | None = None,
) -> Tensor:
    """Text embeddings (B, tokens, width) of the prompts.

    With a `row` (1, width) the word `token` stands for it in every prompt; gradients flow into the row.
    Without one the prompts are read as the tokenizer reads them.
    """
    table = encoder.get_input_embeddings().weight
    learned = None if row is None else token
    ids = [prompt_ids(tokenizer, prompt, learned, len(table)) for prompt in prompts]
    return embed(encoder, torch.tensor(ids, device=table.device), row)


def embed(encoder: CLIPTextModel, ids: Tensor, rows: Tensor | None) -> Tensor:
    """Text embeddings (B, tokens, width) of ids (B, tokens); ids beyond the encoder's table mean rows (R, width)."""
    if rows is None:
        return encoder(input_ids=ids)[0]
    table = encoder.get_input_embeddings().weight
    name = next(name for name, parameter in encoder.named_parameters() if parameter is table)
    longer = torch.cat([table, rows.to(table)])
    return functional_call(encoder, {name: longer}, args=(), kwargs={"input_ids": ids})[0]


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


def first_row(tokenizer: CLIPTokenizer, encoder: CLIPTextModel, token: str, noun: str) -> Tensor:
    """The (1, width) row a token starts from: its own if it is a single token, else the mean of the noun's."""
    own = tokenizer(token, add_special_tokens=False).input_ids
    ids = own if len(own) == 1 else tokenizer(noun, add_special_tokens=False).input_ids
    table = encoder.get_input_embeddings().weight
    return table[ids].detach().float().mean(0, keepdim=True)
