"""Makes the builtin tiny model: a Qwen2 causal LM of 1.1 M parameters, in minutes on one core.

    python -m cosim.learning.builtin.make_tiny            # writes cosim/learning/builtin/tiny
    python -m cosim.learning.builtin.make_tiny --check    # and fine-tunes it on every task

The corpus, the initial weights and the order of documents follow from one seed; the same version
of PyTorch on the same processor and number of threads gives the same weights. They are stored as
float16 and are meant to be loaded and trained as float32, which the configuration says.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from cosim.learning.builtin.check import base_accuracy, lora_accuracy
from cosim.learning.builtin.corpus import TASK_CUE, Corpus, generated_tasks, words
from cosim.learning.builtin.tokenizer import build_tokenizer
from cosim.plugin import kind_of
from cosim.rng import Draws

_SEED = 1
_STEPS = 3000
_BATCH = 64
_PEAK_LEARNING_RATE = 4e-3
_WARMUP_STEPS = 100
_WEIGHT_DECAY = 0.05
_INITIAL_STD = 0.05
# Weight of the statements' own words beside the answers, which are what has to be learned.
_STATEMENT_WEIGHT = 0.1
_REPORT_EVERY = 100


def _config(tokenizer: Qwen2Tokenizer) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=_INITIAL_STD,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )


def _initialise(model: Qwen2ForCausalLM) -> None:
    """Draw the weights from the seed: matrices normal, biases zero, norms one."""
    generator = torch.Generator().manual_seed(_SEED)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=_INITIAL_STD, generator=generator)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.zeros_(parameter)


def _batches(tokenizer: Qwen2Tokenizer, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield token numbers and which of them are answers, both [batch, length]."""
    corpus = Corpus(Draws(_SEED))
    colon = tokenizer.convert_tokens_to_ids(":")
    for _ in range(steps):
        documents = [corpus.document() for _ in range(_BATCH)]
        tokens = tokenizer(documents, padding=True, return_tensors="pt")["input_ids"]
        colons = tokens == colon
        asked = colons & (colons.cumsum(1) > 1)  # the first colon follows the instruction
        yield tokens, asked.roll(1, dims=1)


def _learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to a twentieth of the peak."""
    warmup = min(1.0, (step + 1) / _WARMUP_STEPS)
    return _PEAK_LEARNING_RATE * warmup * (0.525 + 0.475 * math.cos(math.pi * step / steps))


def train(tokenizer: Qwen2Tokenizer, steps: int) -> Qwen2ForCausalLM:
    """Pre-train a model on `steps` batches of the corpus, with a line of progress now and then."""
    model = Qwen2ForCausalLM(_config(tokenizer))
    _initialise(model)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=_WEIGHT_DECAY)
    pad = tokenizer.pad_token_id
    task_cue = tokenizer.convert_tokens_to_ids(f"Ġ{TASK_CUE}")
    tasks = {tokenizer(task.instruction)["input_ids"][0]: task for task in generated_tasks()}
    right, asked = dict.fromkeys(tasks, 0), dict.fromkeys(tasks, 0)
    start_s = time.perf_counter()
    for step, (tokens, answers) in enumerate(_batches(tokenizer, steps)):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(step, steps)
        logits = model(input_ids=tokens[:, :-1]).logits
        target, is_answer = tokens[:, 1:], answers[:, 1:]
        losses = cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        losses = losses.view_as(target)
        statement = losses[(target != pad) & ~is_answer].mean()
        loss = losses[is_answer].mean() + _STATEMENT_WEIGHT * statement
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

        # The answers to the task's own question are drawn: only the others can be known.
        # Of those, the second and third follow from the first.
        known = is_answer & (tokens[:, :-1].roll(1, dims=1) != task_cue)
        known &= known.cumsum(1) == 1
        hits = ((logits.argmax(-1) == target) & known).sum(1)
        for first, hit in zip(tokens[:, 0].tolist(), hits.tolist(), strict=True):
            right[first] += hit
            asked[first] += 1
        if (step + 1) % _REPORT_EVERY == 0:
            shares = (f"{kind_of(tasks[t])} {right[t] / max(asked[t], 1):.2f}" for t in tasks)
            elapsed_s = time.perf_counter() - start_s
            print(f"step {step + 1} of {steps}, {elapsed_s:.0f} s: {', '.join(shares)}", flush=True)
            right, asked = dict.fromkeys(tasks, 0), dict.fromkeys(tasks, 0)
    return model


def save(model: Qwen2ForCausalLM, tokenizer: Qwen2Tokenizer, folder: Path) -> None:
    """Write the model in Hugging Face format: float16 weights that load as float32."""
    model.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    config_file = folder / "config.json"
    config: dict[str, Any] = json.loads(config_file.read_text())
    config["dtype"] = "float32"
    config_file.write_text(json.dumps(config, indent=2) + "\n")


def _print_table(folder: Path, fine_tune: bool) -> None:
    """Print how far from chance the model is on every task, and after 300 steps of LoRA."""
    lora = "  LoRA@300" if fine_tune else ""
    print(f"{'task':14} {'group':14} chance   base{lora}")
    for task in generated_tasks():
        row = f"{kind_of(task):14} {task.group:14} {1 / task.num_answers:6.3f} "
        row += f"{base_accuracy(folder, task):6.3f}"
        if fine_tune:
            row += f"  {lora_accuracy(folder, task, steps=300):8.3f}"
        print(row, flush=True)


def main() -> None:
    """Make the model, write it, and print how far from chance it is on every task."""
    parser = argparse.ArgumentParser(description="Make the builtin tiny model.")
    shipped = Path(__file__).parent / "tiny"
    parser.add_argument("--out", type=Path, default=shipped, help="folder to write")
    parser.add_argument("--steps", type=int, default=_STEPS, help="batches of pre-training")
    parser.add_argument("--threads", type=int, default=1, help="CPU cores to use")
    parser.add_argument("--check", action="store_true", help="fine-tune it on every task, too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    tokenizer = build_tokenizer(words())
    save(train(tokenizer, options.steps), tokenizer, options.out)
    _print_table(options.out, options.check)


if __name__ == "__main__":
    main()
