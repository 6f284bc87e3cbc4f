"""From scores to weights, and from tokens to sequences; on PyTorch tensors, without loading it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def softmax_top(scores: "Tensor", temperature: float, top_k: int | None) -> "Tensor":
    """Return the softmax of scores / temperature over the last dimension, of the top k alone.

    Args:
        scores: [..., J].
        temperature: above 0.
        top_k: how many weights are above 0: exactly so many, also of equal scores; None for all.
    """
    scaled = scores / temperature
    if top_k is not None and top_k < scores.shape[-1]:
        values, places = scaled.topk(top_k, dim=-1)
        scaled = scaled.new_full(scaled.shape, float("-inf")).scatter(-1, places, values)
    return scaled.softmax(dim=-1)


def one_hot_top(scores: "Tensor") -> "Tensor":
    """Return 1 at the largest score of the last dimension (of equals, the first), else 0."""
    top = scores.argmax(dim=-1, keepdim=True)
    return scores.new_zeros(scores.shape).scatter(-1, top, 1.0)


def pooled(values: "Tensor", is_prompt: "Tensor") -> "Tensor":
    """Return the mean of values [rows, T, n] over each row's prompt tokens, [rows, 1, n]."""
    mask = is_prompt.unsqueeze(-1)
    total = values.float().masked_fill(~mask, 0.0).sum(dim=1, keepdim=True)
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)
