"""A randomly initialised tiny Qwen2 with a word tokenizer, and jobs for the pools."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from cosim.learning.adapter import Adapter, Layout
from cosim.learning.model_pool import Optimisation, TrainingJob
from cosim.learning.models.base import BaseModel, ModelSource
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.penalties import Penalty
from cosim.learning.tasks.base import Example

WORDS = [f"w{i}" for i in range(40)]


def save_model(folder: Path, *, pad: bool = True, eos: bool = True, hidden: int = 32) -> Path:
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": "<unk>"}
    special |= {"pad_token": "<pad>"} if pad else {}
    special |= {"eos_token": "<eos>"} if eos else {}
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.15,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


class Loaded(ModelSource):
    """A model source for a folder, loaded anew for every pool."""

    folder: str

    def load(self) -> BaseModel:
        return CausalLm(source=f"path:{self.folder}").load()


def example(rng: np.random.Generator, prompt: int, answer: int = 1, choices: int = 3) -> Example:
    def text(length: int) -> str:
        return " ".join(rng.choice(WORDS, length).tolist())

    options = tuple(f" {text(answer)}" for _ in range(choices))
    return Example(text(prompt), options[int(rng.integers(choices))], options)


@dataclass(frozen=True)
class Pull(Penalty):
    """A toy: the product of the sizes of both factors, by a weight."""

    weight: float

    def of_site(self, a, b, scale):
        return self.weight * scale * a.square().sum((1, 2)) * b.square().sum((1, 2))


def adapter(sites, rank: int, seed: int, scale: float = 2.0) -> Adapter:
    rng = np.random.default_rng(seed)
    layout = Layout(sites, rank)
    vector = rng.normal(0, 0.1, layout.size).astype(np.float32)
    return Adapter(layout, vector, scale)


def job(
    sites,
    device: int,
    *,
    rank: int = 4,
    steps: int = 3,
    rows: int = 4,
    prompt: tuple[int, int] = (4, 9),
    answer: tuple[int, int] = (1, 1),
    density: float = 1.0,
    train_a: bool = True,
    optimizer: str = "adamw",
    lr: float = 2e-3,
    weight_decay: float = 0.0,
    clip: float | None = None,
    penalty: Penalty | None = None,
) -> TrainingJob:
    rng = np.random.default_rng(1000 + device)
    start = adapter(sites, rank, device, scale=1.0 + 0.5 * (device % 3))
    trainable = rng.random(start.layout.size) < density
    if not train_a:
        trainable[: start.layout.size_a] = False
    batches = tuple(
        tuple(
            example(
                rng,
                int(rng.integers(*prompt, endpoint=True)),
                int(rng.integers(*answer, endpoint=True)),
            )
            for _ in range(rows)
        )
        for _ in range(steps)
    )
    setting = Optimisation(optimizer, lr, weight_decay, clip)
    return TrainingJob(device, 0, start, trainable, batches, setting, penalty)
