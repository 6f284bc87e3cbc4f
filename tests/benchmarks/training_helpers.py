"""A randomly initialised Qwen2 with a word tokenizer, and trainings on random words of it."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from cosim.learning.adapter import Adapter, Layout
from cosim.learning.model_pool import ModelPool, Optimisation, TrainingJob
from cosim.learning.tasks.base import Example

_SPECIAL = ("<pad>", "<unk>")


def config(vocabulary: int, hidden: int, layers: int, **others: int) -> Qwen2Config:
    """Return a Qwen2 of this size; by default 4 heads, 2 of keys, and 4 times as wide inside."""
    sizes = {
        "intermediate_size": 4 * hidden,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
    }
    return Qwen2Config(
        vocab_size=vocabulary, hidden_size=hidden, num_hidden_layers=layers, **sizes | others
    )


def save_tokenizer(folder: Path, vocabulary: int) -> None:
    """Words w0, w1, ... of one token each, and two special tokens: `vocabulary` in all."""
    ids = {f"w{i}": i for i in range(vocabulary - len(_SPECIAL))}
    ids |= {mark: len(ids) + i for i, mark in enumerate(_SPECIAL)}
    words = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", pad_token="<pad>", eos_token="<pad>"
    ).save_pretrained(folder)


def save_model(folder: Path, shape: Qwen2Config) -> Path:
    """Write a model with random weights, and its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(folder, shape.vocab_size)
    torch.manual_seed(0)
    Qwen2ForCausalLM(shape).save_pretrained(folder)
    return folder


def sentence(rng: np.random.Generator, words: int, vocabulary: int) -> str:
    """Return random words."""
    return " ".join(f"w{i}" for i in rng.integers(0, vocabulary - len(_SPECIAL), words))


def training_jobs(
    pool: ModelPool, devices: int, rows: int, length: int, steps: int, vocabulary: int
) -> list[TrainingJob]:
    """Return jobs whose rows are of `length` tokens that are read, and as many to be learned.

    Rank 8 on all layers, everything trainable, AdamW with 1e-3; B starts at zero.
    """
    layout = Layout(pool.sites, 8)
    setting = Optimisation("adamw", 1e-3, 0.01, None)
    jobs = []
    for device in range(devices):
        rng = np.random.default_rng(device)
        vector = np.zeros(layout.size, np.float32)
        vector[layout.part_a] = rng.normal(0, 0.05, layout.size_a)

        def row(rng: np.random.Generator = rng) -> Example:
            answer = " " + sentence(rng, length, vocabulary)
            return Example(sentence(rng, 1, vocabulary), answer, (answer,))

        batches = tuple(tuple(row() for _ in range(rows)) for _ in range(steps))
        trainable = np.ones(layout.size, np.bool_)
        adapter = Adapter(layout, vector, 2.0)
        jobs.append(TrainingJob(device, 0, adapter, trainable, batches, setting))
    return jobs
