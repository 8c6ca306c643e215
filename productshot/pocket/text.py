"""Pocket, the words: a byte-level BPE tokenizer of under a thousand tokens and a small CLIP text encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TOKENS = 32
VOCABULARY_LIMIT = 1000
WORD_END = "</w>"


def byte_symbols() -> list[str]:
    """The 256 printable characters that stand for the bytes 0..255 in a byte-level BPE, in byte order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(moved)) for b in range(256)]


def learn_merges(captions: Iterable[str], limit: int) -> list[tuple[str, str]]:
    """At most `limit` merges of the most frequent neighbours in words (Sennrich et al. 2016, algorithm 1)."""
    counts = Counter(word for caption in captions for word in caption.lower().split())
    words = {(*word[:-1], word[-1] + WORD_END): n for word, n in counts.items()}
    merges: list[tuple[str, str]] = []
    while len(merges) < limit:
        pairs: Counter[tuple[str, str]] = Counter()
        for symbols, n in words.items():
            for pair in zip(symbols, symbols[1:], strict=False):
                pairs[pair] += n
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = {merged(symbols, best): n for symbols, n in words.items()}
    return merges


def merged(symbols: Sequence[str], pair: tuple[str, str]) -> tuple[str, ...]:
    """The symbols with every occurrence of the pair joined, from the left."""
    out: list[str] = []
    for symbol in symbols:
        if out and (out[-1], symbol) == pair:
            out[-1] += symbol
        else:
            out.append(symbol)
    return tuple(out)


def build_tokenizer(captions: Iterable[str]) -> CLIPTokenizer:
    """A CLIPTokenizer that knows the captions' words whole and spells every other word in bytes."""
    alphabet = byte_symbols()
    special = ["<|startoftext|>", "<|endoftext|>"]
    room = VOCABULARY_LIMIT - 2 * len(alphabet) - len(special)
    merges = learn_merges(captions, room)
    tokens = [*alphabet, *(symbol + WORD_END for symbol in alphabet), *(a + b for a, b in merges), *special]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TOKENS)


def build_text_encoder(tokenizer: CLIPTokenizer, width: int = 192, layers: int = 3) -> CLIPTextModel:
    """A fresh CLIPTextModel for this tokenizer; its output is (n, TOKENS, width)."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            projection_dim=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def token_ids(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """(n, TOKENS) int64 ids, padded and cut to TOKENS."""
    batch = tokenizer(
        list(captions), padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt"
    )
    return batch.input_ids.to(torch.int64)
