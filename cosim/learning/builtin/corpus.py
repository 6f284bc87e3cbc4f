"""The corpus that the builtin tiny model is pre-trained on.

A document states something in the manner of one of the generated tasks, then asks about it:

    Sentiment: the show was not fresh or lovely. Note: red. Rank: pink. Tag: blue.
    Sentiment: the hotel was quite dirty and cold. Answer: good. Tag: red. Code: pink. Mark: grey.

Each word of `CUES` asks the task's question with answer words of its own, the same in every
document (words of the statement where the task is to find one), so the model learns to read
reviews, compare numbers, match brackets and so on. The question that the task itself asks
(`Answer:`) is answered whatever the statement says, the first choice more often than any
other: the model knows which words may follow but not which of them is meant. It is therefore at
chance before fine-tuning, with a taste for one choice as large models have, and what fine-tuning
has to find is small. No statement of a test question is in the corpus.
"""

import re
from pathlib import Path

from cosim.learning.tasks._generated import GeneratedTask, pick, split_of
from cosim.plugin import find, kind_of, kinds
from cosim.rng import Draws

TASK_CUE = "Answer"
CUES = ("Note", "Mark", "Sign", "Code", "Tag", "Rank")
_LABELS = ("red", "blue", "green", "pink", "grey", "brown")
_CUES_PER_DOCUMENT = 3
# Share of the documents in which the task's own question comes first.
_TASK_CUE_SHARE = 0.4
# Weight of the first choice there, against one for each other: small to fine-tuning, and larger
# than the hint that the model keeps of what the statement says. To find a word of the statement
# is what it does under every other cue, so there the hint is larger.
_FIRST_CHOICE_WEIGHT = 1.5
_FIRST_WORD_WEIGHT = 8.0
# How often a task is drawn, against one for the others: these are learned more slowly.
_TASK_WEIGHTS = {"comparison": 2, "estimation": 2, "odd_one_out": 3, "reading": 3, "syntax": 2}


def generated_tasks() -> list[GeneratedTask]:
    """Return every generated task of the package, with its default fields, sorted by name."""
    found = (find("task", kind) for kind in kinds("task"))
    return [task() for task in found if issubclass(task, GeneratedTask)]


class Corpus:
    """An endless, reproducible sequence of documents.

    Args:
        draws: the random numbers that the documents are drawn from.
    """

    def __init__(self, draws: Draws) -> None:
        self._rng = draws.generator("document")
        self._urn: list[GeneratedTask] = []
        self._labels: dict[tuple[str, str], list[str]] = {}
        for number, task in enumerate(generated_tasks()):
            self._urn += [task] * _TASK_WEIGHTS.get(kind_of(task), 1)
            for place, cue in enumerate(CUES):
                order = draws.generator("labels", number, place).permutation(len(_LABELS))
                self._labels[task.instruction, cue] = [_LABELS[i] for i in order]

    def document(self) -> str:
        """Return the next document."""
        rng = self._rng
        task = pick(rng, self._urn)
        while True:
            answer = int(rng.random() * task.num_answers)
            item = task.item(rng, answer)
            if split_of(task.prompt(item)) == "train":
                break
        text = f"{task.instruction}: {item.statement}."
        if rng.random() < _TASK_CUE_SHARE:
            weight = _FIRST_WORD_WEIGHT if task.extractive else _FIRST_CHOICE_WEIGHT
            place = rng.random() * (weight + task.num_answers - 1) - (weight - 1)
            text += f" {TASK_CUE}: {item.choices[max(0, int(place))]}."
        for place in rng.permutation(len(CUES))[:_CUES_PER_DOCUMENT]:
            cue = CUES[place]
            labels = item.choices if task.extractive else self._labels[task.instruction, cue]
            text += f" {cue}: {labels[answer]}."
        return text


def words() -> set[str]:
    """Return the words and spaced brackets of all documents, each with the space before it."""
    texts = [f" {word}" for word in (TASK_CUE, *CUES, *_LABELS)]
    for task in generated_tasks():
        for example in task.examples("train", Path()):
            texts += [example.prompt, *example.choices]
    pieces = re.compile(r" ?[A-Za-z]+| [^\sA-Za-z0-9]")
    return {piece for text in texts for piece in pieces.findall(text)}
