"""How fast adapters are judged, against stock PEFT one by one and the bare model's limit.

    python tests/benchmarks/bench_evaluation.py [--minilm DIR] [--data-root DIR] [CASE ...]

CASE is how the name of a case begins; all are measured without. MiniLM is measured where its folder
is given and the data are there.

The limit is one forward of the bare model, without output head, for each adapter over every row
that the plain way reads (each prompt with each choice of several tokens, each text of an encoder),
sorted by length, in batches of the size that is best here. What is shared beyond that (a prompt by
its choices, the layers below the first adapted one by all adapters) can pass it. For written
answers the limit is the library's own `generate` of all questions at once, adapter by adapter.

Each line: seconds of `evaluate`, of the limit and of the sequential pool (timed on a part of the
jobs), and the ratios. The first two are timed in turn and the medians taken. With one thread it is
the processor's time, so that others on the machine disturb less.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from cosim.learning.adapter import Adapter, Layout
from cosim.learning.model_pool import EvaluationJob
from cosim.learning.models.base import ModelSource
from cosim.learning.models.causal_lm import CausalLm
from cosim.learning.models.encoder import Encoder
from cosim.learning.pool._frozen_pool import FrozenModelPool
from cosim.learning.pool.sequential import Sequential
from cosim.learning.pool.stacked import Stacked
from cosim.learning.tasks.base import Example, Generation, Judge
from cosim.learning.tasks.text_classification import TextClassification
from cosim.plugin import find, kinds

RANK, TURNS = 8, 3
BATCHES = (512, 1024, 2048, 4096)  # tokens, tried for the limit
TEXT_TASKS = ("sst2", "trec", "subj", "mpqa", "cr", "ag_news")
WORDS = tuple(f"w{i}" for i in range(500))
# Words of the prompt, choices, words of a choice; two tokens are read of a choice of three.
SHAPES = {
    "boolq": ((70, 130), 2, (1, 1)),
    "piqa": ((8, 20), 2, (12, 30)),
    "hellaswag": ((30, 60), 4, (15, 35)),
    "social_i_qa": ((20, 40), 3, (2, 6)),
}


@dataclass(frozen=True)
class Case:
    """A model with what it is judged by; `sequential` is how many jobs PEFT is timed on."""

    name: str
    source: ModelSource
    jobs: Sequence[tuple[int, tuple[Example, ...]]]  # the adapter's number, the examples
    sequential: int = 1


@dataclass(frozen=True)
class Never(Judge):
    """Accepts nothing."""

    def accepts(self, text: str) -> bool:
        """Return False."""
        return False


def every(adapters: int, tasks: Sequence[tuple[Example, ...]]) -> list[Any]:
    """Return every adapter with every task."""
    return [(adapter, examples) for adapter in range(adapters) for examples in tasks]


def generated(count: int) -> list[tuple[Example, ...]]:
    """Return the first examples of the generated tasks, one tuple for each task."""
    tasks = [find("task", kind)() for kind in kinds("task") if hasattr(find("task", kind), "item")]
    return [tuple(task.examples("test", Path())[:count]) for task in tasks]


def shaped(shape: str, count: int) -> tuple[Example, ...]:
    """Return examples of random words, of the lengths of a data set."""
    rng = np.random.default_rng(sorted(SHAPES).index(shape))
    prompt, choices, answer = SHAPES[shape]

    def text(lengths: tuple[int, int]) -> str:
        return " ".join(rng.choice(WORDS, int(rng.integers(*lengths, endpoint=True))).tolist())

    found = []
    for _ in range(count):
        options = tuple(f" {text(answer)}" for _ in range(choices))
        found.append(Example(text(prompt), options[0], options))
    return tuple(found)


def questions(count: int) -> tuple[Example, ...]:
    """Return questions that are answered with 32 tokens, at most."""
    asked = shaped("social_i_qa", count)
    return tuple(Generation(each.prompt, " w1 w2", (), Never(), 32) for each in asked)


def save_qwen2(folder: Path) -> str:
    """Save a random Qwen2 of hidden size 256 with 6 layers and one token a word."""
    vocabulary = {word: i for i, word in enumerate(("<pad>", "<eos>", "<unk>", *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", pad_token="<pad>", eos_token="<eos>"
    ).save_pretrained(folder)
    config = Qwen2Config(
        vocab_size=len(vocabulary),
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.05,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Qwen2ForCausalLM(config).save_pretrained(folder)
    return f"path:{folder}"


def cases(folder: Path, minilm: Path | None, data_root: Path) -> list[Case]:
    """Return what is measured; MiniLM only where its files and the data are."""
    tiny = CausalLm(source="builtin:tiny")
    qwen2 = CausalLm(source=save_qwen2(folder))
    tasks = generated(50)
    found = [
        Case("tiny: 8 adapters, 8 tasks x 50", tiny, every(8, tasks)),
        Case(
            "tiny: 64 adapters, 8 examples each",
            tiny,
            [(i, tasks[i % len(tasks)][:8]) for i in range(64)],
            8,
        ),
        *(
            Case(f"hidden 256: 4 adapters, {shape} x 50", qwen2, every(4, [shaped(shape, 50)]))
            for shape in SHAPES
        ),
        Case(
            "hidden 256, last 2 blocks: 4 adapters, social_i_qa x 50",
            qwen2.model_copy(update={"blocks": (4, 5)}),
            every(4, [shaped("social_i_qa", 50)]),
        ),
        Case("tiny: 8 adapters write to 16", tiny, every(8, [questions(16)])),
        Case("hidden 256: 4 adapters write to 32", qwen2, every(4, [questions(32)])),
    ]
    if minilm is None or not (data_root / "text").is_dir():
        print("MiniLM left out: its folder is not given, or there are no data; see --help")
        return found
    texts = [
        TextClassification(path=f"text/{name}", skip_empty=True).examples("test", data_root)
        for name in TEXT_TASKS
    ]
    encoder = Encoder(source=f"path:{minilm}")
    some = [tuple(each[:100]) for each in texts]
    return [*found, Case("MiniLM: 6 adapters, 6 tasks x 100", encoder, every(6, some))]


def adapter(pool: FrozenModelPool, seed: int) -> Adapter:
    """Return a random adapter."""
    layout = Layout(pool.sites, RANK, pool.head)
    vector = np.random.default_rng(seed).normal(0, 0.02, layout.size).astype(np.float32)
    return Adapter(layout, vector, 2.0)


def rows_of(pool: FrozenModelPool, examples: Sequence[Example]) -> list[list[int]]:
    """Return the token ids of what the plain way reads of some examples."""
    objective: Any = pool._model.objective
    if hasattr(objective, "_reader"):
        return [row.text.ids.tolist() for row in objective.sheet(examples).rows]
    rows = []
    for example in examples:
        texts = objective.tokens.choices(example)
        long = [text.ids[:-1].tolist() for text in texts if len(text.ids) > text.start + 1]
        rows.extend(long or [texts[0].ids[: texts[0].start].tolist()])
    return rows


def batches(rows: Sequence[list[int]], max_tokens: int) -> list[dict[str, torch.Tensor]]:
    """Return rows of like length as the bare model's arguments."""
    found: list[list[list[int]]] = [[]]
    for row in sorted(rows, key=len):
        if found[-1] and (len(found[-1]) + 1) * len(row) > max_tokens:
            found.append([])
        found[-1].append(row)
    return [
        {
            "input_ids": torch.tensor([row + [0] * (len(part[-1]) - len(row)) for row in part]),
            "attention_mask": torch.tensor(
                [[1] * len(row) + [0] * (len(part[-1]) - len(row)) for row in part]
            ),
        }
        for part in found
    ]


def bare(pool: FrozenModelPool, case: Case) -> list[Callable[[], None]]:
    """Return ways to run the bare model over all rows of all adapters, by size of a batch."""
    network: Any = pool._model.network
    by_adapter: dict[int, list[Example]] = {}
    for number, examples in case.jobs:
        by_adapter.setdefault(number, []).extend(examples)
    of_adapter = {number: rows_of(pool, es) for number, es in by_adapter.items()}
    alike = len({len(rows) for rows in of_adapter.values()}) == 1 and len(by_adapter) < 16
    causal = isinstance(case.source, CausalLm)
    # Few rows of each adapter fill batches together.
    every_row = [row for rows in of_adapter.values() for row in rows]
    sets = list(of_adapter.values()) if alike else [every_row]

    def way(max_tokens: int) -> Callable[[], None]:
        prepared = [inputs for rows in sets for inputs in batches(rows, max_tokens)]
        for inputs in prepared:
            if causal or inputs["attention_mask"].all():
                del inputs["attention_mask"]
        options = {"use_cache": False} if causal else {}

        def run() -> None:
            with torch.no_grad():
                for inputs in prepared:
                    network.base_model(**inputs, **options)

        return run

    return [way(max_tokens) for max_tokens in BATCHES]


def generating(pool: FrozenModelPool, case: Case) -> list[Callable[[], None]]:
    """Return the way of the library's own decoding of all questions, adapter by adapter."""
    objective: Any = pool._model.objective

    def run() -> None:
        with torch.no_grad():
            for _, examples in case.jobs:
                prompts = objective.tokens.prompts(examples, 0)
                longest = max(map(len, prompts))
                ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
                objective._network.generate(
                    input_ids=ids,
                    attention_mask=(ids != 0).long(),
                    max_new_tokens=32,
                    do_sample=False,
                    pad_token_id=0,
                )

    return [run]


def seconds(call: Callable[[], object]) -> float:
    """Return the time of a call."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    call()
    return clock() - start


def measure(case: Case, threads: int) -> None:
    """Print one line."""
    pool = Stacked(threads=threads).open(case.source)
    slow = Sequential(threads=threads).open(case.source)
    assert isinstance(pool, FrozenModelPool)
    torch.set_num_threads(threads)
    adapters = {number: adapter(pool, number) for number, _ in case.jobs}
    jobs = [EvaluationJob(adapters[number], examples) for number, examples in case.jobs]
    written = isinstance(jobs[0].examples[0], Generation)
    ways = generating(pool, case) if written else bare(pool, case)
    pool.evaluate(jobs)  # tokenises
    best = min(ways, key=seconds)
    limits, found = [], []
    for _ in range(TURNS):
        limits.append(seconds(best))
        found.append(seconds(lambda: pool.evaluate(jobs)))
    part = [replace(job, examples=job.examples[:25]) for job in jobs[: case.sequential]]
    share = sum(len(job.examples) for job in jobs) / sum(len(job.examples) for job in part)
    sequential = seconds(lambda: slow.evaluate(part)) * share
    took, limit = statistics.median(found), statistics.median(limits)
    print(
        f"{case.name:58} {took:7.3f} s  limit {limit:7.3f} s ({limit / took:5.2f})"
        f"  sequential {sequential:7.2f} s ({sequential / took:5.1f} x)",
        flush=True,
    )


def main() -> None:
    """Measure all cases, or those whose names begin with one of some words."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case", nargs="*")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--data-root", type=Path, default=Path("../shared/data"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(Path(folder), given.minilm, given.data_root):
            if not given.case or case.name.startswith(tuple(given.case)):
                measure(case, given.threads)


if __name__ == "__main__":
    main()
