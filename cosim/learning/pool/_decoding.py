"""Writing greedily, many texts at once: each token is read once, and texts that ended make room.

Prompts are padded on the left. Keys and values of what was read are kept, so that a step reads one
token of each text.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

# A text is looked at for stops after so many tokens more: what it writes beyond them is cut off.
_LOOK = 8
# Texts that ended are taken out when a quarter has, since that copies all that is kept.
_FULL = 0.75
# So many kept tokens take at most the memory of one token in a forward and backward: that one
# leaves at least 16 vectors in each block, a kept one two.
_KEPT = 8

_NEEDED = {"past_key_values", "position_ids", "attention_mask", "logits_to_keep"}


def decodes(network: nn.Module) -> bool:
    """Return whether a model can be run step by step by `decode`."""
    return set(inspect.signature(network.forward).parameters) >= _NEEDED


def parts(lengths: Sequence[int], room: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Return which texts are written together: those of like prompts.

    Args:
        lengths: tokens of each prompt.
        room: most tokens that are written after each.
        max_tokens: most tokens, padding counted, in one forward.
    """
    found: list[list[int]] = []
    widest = 0
    for number in sorted(range(len(lengths)), key=lambda i: (lengths[i], room[i], i)):
        size = len(found[-1]) + 1 if found else 1
        widest = max(widest, room[number])
        read, kept = size * lengths[number], size * (lengths[number] + widest)
        if not found or read > max_tokens or kept > _KEPT * max_tokens:
            found.append([])
            widest = room[number]
        found[-1].append(number)
    return found


def cut(text: str, stops: Sequence[str]) -> str:
    """Return the text up to the first of the stops."""
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def is_settled(text: str, stops: Sequence[str]) -> bool:
    """Return whether the text is cut, and at the same place whatever is written after it."""
    end = len(cut(text, stops))
    # A stop that is not there in full yet may have begun before the first that is.
    return end < len(text) and end + max(map(len, stops)) <= len(text)


def decode(
    network: Any,
    prompts: Sequence[Sequence[int]],
    room: Sequence[int],
    has_ended: Callable[[int, list[int]], bool],
    pad_id: int,
    end_id: int | None,
) -> list[list[int]]:
    """Return what a model writes after each prompt, likeliest token by likeliest token.

    Args:
        network: a causal language model that `decodes`.
        prompts: token ids, at least one each.
        room: most tokens that are written after each, at least one.
        has_ended: whether a text, by its number, needs no more tokens than these.
        pad_id: what is read where there is nothing.
        end_id: the token that ends a text, which is not returned; None if there is none.
    """
    device = network.device
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(p)) + list(p) for p in prompts], device=device)
    starts = torch.tensor([longest - len(p) for p in prompts], device=device)
    attention = (torch.arange(longest, device=device) >= starts[:, None]).long()
    positions = (attention.cumsum(1) - 1).clamp_(min=0)
    cache = DynamicCache(config=network.config)
    written: list[list[int]] = [[] for _ in prompts]
    there, done = list(range(len(prompts))), set[int]()
    while True:
        tokens: Tensor = (
            network(
                input_ids=ids,
                attention_mask=attention,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            .logits[:, -1]
            .argmax(1)
        )
        for number, token in zip(there, tokens.tolist(), strict=True):
            if number in done:
                continue
            text = written[number]
            if token != end_id:
                text.append(token)
            looked = len(text) % _LOOK == 0 and has_ended(number, text)
            if token == end_id or len(text) == room[number] or looked:
                done.add(number)
        left = [row for row, number in enumerate(there) if number not in done]
        if not left:
            return written
        if len(left) <= _FULL * len(there):
            chosen = torch.tensor(left, device=device)
            cache.batch_select_indices(chosen)
            tokens, attention, positions = tokens[chosen], attention[chosen], positions[chosen]
            there = [there[row] for row in left]
        ids = tokens[:, None]
        attention = torch.cat([attention, torch.ones_like(ids)], dim=1)
        positions = positions[:, -1:] + 1
