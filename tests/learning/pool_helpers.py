"""Randomly initialised tiny models with a word tokenizer, and jobs for the pools."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from cosim.learning.adapter import Adapter, Layout, Site
from cosim.learning.model_pool import Optimisation, TrainingJob
from cosim.learning.models.base import BaseModel, ModelSource
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.penalties import Penalty
from cosim.learning.tasks.base import Example, ImageExample

WORDS = [f"w{i}" for i in range(40)]


def save_tokenizer(folder: Path, *, pad: bool = True, eos: bool = True, marks: bool = False) -> int:
    """Words by number; with `marks` every text stands between a first and a last token."""
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if marks:
        ends = [("w0", vocabulary["w0"]), ("<eos>", vocabulary["<eos>"])]
        words.post_processor = processors.TemplateProcessing(
            single="w0 $A <eos>", special_tokens=ends
        )
    special = {"unk_token": "<unk>"}
    special |= {"pad_token": "<pad>"} if pad else {}
    special |= {"eos_token": "<eos>"} if eos else {}
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    return len(vocabulary)


def save_model(folder: Path, *, pad: bool = True, eos: bool = True, hidden: int = 32) -> Path:
    config = Qwen2Config(
        vocab_size=save_tokenizer(folder, pad=pad, eos=eos),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.15,
    )
    return save_made(Qwen2ForCausalLM, config, folder)


def save_made(architecture, config, folder: Path) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        architecture(config).save_pretrained(folder)
    return folder


def save_encoder(
    folder: Path, family: str = "bert", *, pad: bool = True, eos: bool = True, layers: int = 2
) -> Path:
    size = save_tokenizer(folder, pad=pad, eos=eos, marks=eos)
    if family == "distilbert":
        config = DistilBertConfig(
            vocab_size=size,
            dim=32,
            hidden_dim=48,
            n_layers=layers,
            n_heads=4,
            max_position_embeddings=64,
            initializer_range=0.15,
        )
        return save_made(DistilBertModel, config, folder)
    config = BertConfig(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.15,
    )
    return save_made(BertForMaskedLM if family == "bert_lm" else BertModel, config, folder)


def save_vit(
    folder: Path, *, size: int = 8, channels: int = 3, layers: int = 2, classifier: bool = False
) -> Path:
    config = ViTConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        image_size=size,
        patch_size=4,
        num_channels=channels,
        initializer_range=0.15,
    )
    return save_made(ViTForImageClassification if classifier else ViTModel, config, folder)


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


LABELS = (" w1 w2", " w3", " w4 w5 w6 w7", " w8 w9")


def labelled(rng: np.random.Generator, words: int, labels=LABELS) -> Example:
    """A text with one of a few labels of several lengths."""
    text = " ".join(rng.choice(WORDS, words).tolist())
    return Example(text, labels[int(rng.integers(len(labels)))], labels)


def picture(rng: np.random.Generator, words: int, shape=(3, 8, 8), labels=LABELS) -> ImageExample:
    """Noise with one of a few labels."""
    pixels = rng.integers(0, 256, shape, dtype=np.uint8).tobytes()
    answer = labels[int(rng.integers(len(labels)))]
    return ImageExample("", answer, labels, pixels=pixels, shape=shape)


@dataclass(frozen=True)
class Pull(Penalty):
    """A toy: the product of the sizes of both factors, by a weight."""

    weight: float

    def of_site(self, a, b, scale):
        return self.weight * scale * a.square().sum((1, 2)) * b.square().sum((1, 2))


def adapter(sites, rank: int, seed: int, scale: float = 2.0, head=None) -> Adapter:
    rng = np.random.default_rng(seed)
    layout = Layout(sites, rank, head)
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
    head: Site | None = None,
    shown=None,
) -> TrainingJob:
    """One job; `shown` makes an example of a generator and the words of its prompt."""
    rng = np.random.default_rng(1000 + device)
    start = adapter(sites, rank, device, scale=1.0 + 0.5 * (device % 3), head=head)
    trainable = rng.random(start.layout.size) < density
    if not train_a:
        trainable[: start.layout.size_a] = False

    def one():
        words = int(rng.integers(*prompt, endpoint=True))
        if shown is not None:
            return shown(rng, words)
        return example(rng, words, int(rng.integers(*answer, endpoint=True)))

    batches = tuple(tuple(one() for _ in range(rows)) for _ in range(steps))
    setting = Optimisation(optimizer, lr, weight_decay, clip)
    return TrainingJob(device, 0, start, trainable, batches, setting, penalty)
