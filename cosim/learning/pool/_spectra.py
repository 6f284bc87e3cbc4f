"""How many directions the inputs of each layer really have: the spectra of their covariances."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosim.learning.pool._frozen import FrozenModel
from cosim.learning.pool._routing import watched
from cosim.learning.pool._scoring import _CPU_TOKENS, _batches
from cosim.learning.tasks.base import Example

# Tokens that are looked at. Their inputs to all layers are held at once, 4 bytes for each number:
# about 2 GB of a model of 1.5B parameters.
_MOST_TOKENS = 1024


def input_spectra_of(model: FrozenModel, examples: Sequence[Example]) -> list[NDArray[np.float64]]:
    """Return the eigenvalues of every layer's input covariance, descending, [at most d_in] each.

    The inputs are those of the tokens of what is asked, without adapters: each example's prompt
    once, no padding. Of more than 1,024 tokens that many are looked at, evenly spread over prompts
    short and long; with more inputs than tokens the smallest eigenvalues are missing.
    """
    batches, _ = _batches(model, model.objective.lesson(examples), _CPU_TOKENS)
    total = sum(int(is_prompt.sum()) for _, is_prompt in batches)
    looked = np.arange(min(total, _MOST_TOKENS)) * total // min(total, _MOST_TOKENS)
    seen: list[list[Tensor]] = [[] for _ in model.linears]
    first = 0
    with torch.no_grad():
        for inputs, is_prompt in batches:
            last = first + int(is_prompt.sum())
            here = torch.from_numpy(looked[(looked >= first) & (looked < last)] - first)

            def look(site: int, x: Tensor, chosen: Tensor = is_prompt, at: Tensor = here) -> None:
                seen[site].append(x[chosen][at.to(x.device)].float().cpu())

            with watched(model.linears, look):
                model.objective.read(inputs)
            first = last
    return [_spectrum(torch.cat(parts).double().numpy()) for parts in seen]


def _spectrum(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the eigenvalues of the covariance of inputs [n, d_in], the min(n, d_in) largest."""
    centred = inputs - inputs.mean(axis=0)
    small = centred.T @ centred if len(centred) > centred.shape[1] else centred @ centred.T
    values: NDArray[np.float64] = np.linalg.eigvalsh(small / len(centred))[::-1]
    return values
