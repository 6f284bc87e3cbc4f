"""How well a causal LM answers a task: as it is, and after one device's LoRA fine-tuning.

The training loop is stock PEFT, independent of the pool: what is measured here is the model.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from cosim.learning.tasks.base import Example, Task
from cosim.rng import Draws

_SEED = 1
_RANK = 8
_BATCH = 8
_LEARNING_RATE = 2e-3
_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def _load(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _answer_logits(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]
) -> Tensor:
    """Return the logits of the token after each prompt, [example, vocabulary]."""
    prompts = [example.prompt for example in examples]
    batch = tokenizer(prompts, padding=True, padding_side="right", return_tensors="pt")
    last = batch["attention_mask"].sum(1) - 1
    logits: Tensor = model(**batch).logits[torch.arange(len(examples)), last]
    return logits


def _token(tokenizer: PreTrainedTokenizerBase, answer: str) -> int:
    """Return the one token of an answer."""
    (token,) = tokenizer(answer)["input_ids"]
    return int(token)


def _accuracy(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]
) -> float:
    """Return the share of examples whose answer is the likeliest of its choices."""
    with torch.no_grad():
        logits = _answer_logits(model.train(False), tokenizer, examples)
    right = 0
    for example, row in zip(examples, logits, strict=True):
        of_choices = [row[_token(tokenizer, choice)].item() for choice in example.choices]
        right += example.choices[of_choices.index(max(of_choices))] == example.answer
    return right / len(examples)


def base_accuracy(folder: Path, task: Task) -> float:
    """Return the test accuracy of the model in `folder` as it is."""
    model, tokenizer = _load(folder)
    return _accuracy(model, tokenizer, task.examples("test", Path()))


def lora_accuracy(folder: Path, task: Task, steps: int = 300) -> float:
    """Return the test accuracy of the model in `folder` after one device's LoRA fine-tuning.

    Rank 8, alpha/r = 2, all seven projections, A ~ N(0, 1/d), AdamW at 2e-3, batch 8, loss on the
    answer alone.
    """
    base, tokenizer = _load(folder)
    config = LoraConfig(r=_RANK, lora_alpha=2 * _RANK, target_modules=list(_PROJECTIONS))
    model: torch.nn.Module = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(_SEED)
    for name, parameter in model.named_parameters():
        if "lora_A" in name:  # not from PyTorch's global generator: the same in every process
            std = parameter.shape[1] ** -0.5
            torch.nn.init.normal_(parameter, std=std, generator=generator)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=_LEARNING_RATE, weight_decay=0.0)
    examples = task.examples("train", Path())
    order = Draws(_SEED).generator("check").permutation(len(examples))
    model.train()
    for step in range(steps):
        places = [order[(step * _BATCH + row) % len(order)] for row in range(_BATCH)]
        batch = [examples[place] for place in places]
        answers = torch.tensor([_token(tokenizer, example.answer) for example in batch])
        logits = _answer_logits(model, tokenizer, batch)
        loss = torch.nn.functional.cross_entropy(logits, answers)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return _accuracy(model, tokenizer, task.examples("test", Path()))
