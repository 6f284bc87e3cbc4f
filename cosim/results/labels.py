"""What tells experiments apart, in few words: only the keys that differ, a kind by its name.

    method=lora, bandwidth=10 MHz
    method=lori, density=0.2, bandwidth=10 MHz

Where names differ, a name is told, and beside it what tells experiments of this name apart. Where
kinds differ, a key of theirs is told only if experiments of the same kind differ in it. Of a list
with more items of one kind than others have, their number is told.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cosim.plugin import plain
from cosim.results.numbers import scaled
from cosim.scenario.tree import Scenario
from cosim.units import dimension_of, yaml_key

# None of these is what an experiment varies.
_ASIDE = ("name", "seed", "plots", "data_root", "sweep")

Path = tuple[str, ...]
Leaves = dict[Path, Any]


def labels(
    scenarios: Sequence[Scenario], untold: Collection[Path] = (), marks: Sequence[str] = ()
) -> list[str]:
    """Return a label for each of some experiments, all different.

    Experiments that differ in nothing that a label tells, such as those of two versions, have
    marks.

    Args:
        scenarios: one of each experiment.
        untold: keys, as `leaves` has them, that a label leaves out.
        marks: of the experiments, all different; without any, numbers from 1.
    """
    names = [scenario.name for scenario in scenarios]
    told = [""] * len(names)
    for name in dict.fromkeys(names):
        places = [place for place, each in enumerate(names) if each == name]
        texts = _labels_of_one_name([_told_leaves(scenarios[place]) for place in places], untold)
        for place, text in zip(places, texts, strict=True):
            named = [name] if len(set(names)) > 1 or not text else []
            told[place] = ", ".join([*named, *([text] if text else [])])
    return _marked(told, marks)


def _labels_of_one_name(trees: Sequence[Leaves], untold: Collection[Path]) -> list[str]:
    varied = [key for key in varied_keys(trees) if key not in untold]
    short = _short_names([*varied, *(key[:-2] for key in varied if _is_item(key))])
    told = []
    for tree in trees:
        keys = [key for key in varied if key in tree and _tells(key, tree, trees, varied)]
        words: dict[str, None] = {}  # in order, each once
        for key in keys:
            if _is_item(key) and tree.get(_item_before(key)) == tree[key] and _differ(key, trees):
                words[f"{short[key[:-2]]}={_num_items(key, tree)} items"] = None
            else:
                words[f"{short[key]}={show(key[-1], tree[key])}"] = None
        told.append(", ".join(words))
    return told


def _is_item(key: Path) -> bool:
    """Return whether a key is the kind of an item of a list."""
    return len(key) > 1 and key[-1] == "kind" and key[-2].isdecimal()


def _num_items(key: Path, tree: Leaves) -> int:
    """Return how many items the list has of which a key is the kind of one."""
    return sum(_is_item(each) and each[:-2] == key[:-2] for each in tree)


def _differ(key: Path, trees: Sequence[Leaves]) -> bool:
    """Return whether the list has not as many items everywhere."""
    return len({_num_items(key, tree) for tree in trees}) > 1


def _item_before(key: Path) -> Path:
    return (*key[:-2], str(int(key[-2]) - 1), key[-1])


def leaves(scenario: Scenario) -> Leaves:
    """Return every value of a scenario by the path of its field, a kind's name under `kind`."""
    return _leaves(plain(scenario))


def _told_leaves(scenario: Scenario) -> Leaves:
    """Return `leaves` without a rank in whose place the controller chooses one."""
    tree = leaves(scenario)
    if scenario.control.chooses_rank:
        tree.pop(("learning", "method", "rank"), None)
    return tree


def varied_keys(trees: Sequence[Leaves]) -> list[Path]:
    """Return the keys in which experiments differ, in the order of the tree."""
    return [key for key in _keys(trees) if _varies(key, trees)]


def _tells(key: Path, tree: Leaves, trees: Sequence[Leaves], varied: Sequence[Path]) -> bool:
    """Return whether a key differs among those that have the same kinds above it."""
    kinds = [each for each in varied if each[-1] == "kind" and key[: len(each) - 1] == each[:-1]]
    same = [other for other in trees if all(other.get(k) == tree.get(k) for k in kinds if k != key)]
    return _varies(key, same)


def _varies(key: Path, trees: Sequence[Leaves]) -> bool:
    return len({repr(tree.get(key)) for tree in trees}) > 1


def _keys(trees: Sequence[Leaves]) -> list[Path]:
    keys = dict.fromkeys(key for tree in trees for key in tree)
    return [key for key in keys if key[0] not in _ASIDE]


def _leaves(tree: Any, path: Path = ()) -> Leaves:
    if isinstance(tree, Mapping):
        items = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list | tuple) and any(isinstance(item, Mapping) for item in tree):
        items = [(str(index), value) for index, value in enumerate(tree)]
    else:
        return {path: tree}
    return {key: leaf for name, item in items for key, leaf in _leaves(item, (*path, name)).items()}


def _short_names(keys: Sequence[Path]) -> dict[Path, str]:
    """Return for each key the fewest of its last parts that no other key ends with."""
    parts = {key: [yaml_key(part) for part in key if part != "kind"] for key in keys}
    endings = Counter(
        tuple(each[-count:]) for each in parts.values() for count in range(1, len(each) + 1)
    )
    short = {}
    for key, each in parts.items():
        counts = range(1, len(each) + 1)
        telling = (k for k in counts if endings[tuple(each[-k:])] == 1 and not each[-k].isdecimal())
        short[key] = ".".join(each[-next(telling, len(each)) :])
    return short


def show(name: str, value: Any) -> str:
    """Return a resolved value as a person would write it: `10 MHz`, `[1, 3] m/s`."""
    dimension = dimension_of(name)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        is_range = len(value) == 2 and dimension is not None
        ends = tuple(dict.fromkeys(value)) if is_range else value  # a range of one value
        inside = ", ".join(show("", item) for item in ends)
        text = inside if len(ends) == 1 else f"[{inside}]"
        return f"{text} {dimension.unit}" if dimension is not None else text
    if not isinstance(value, float):
        return str(value)
    if dimension is None:
        return f"{value:.12g}"
    exact = float(f"{value:.3g}") == value and "dB" not in dimension.unit
    return f"{scaled(value) if exact else f'{value:.12g} '}{dimension.unit}"


def _marked(told: Sequence[str], marks: Sequence[str]) -> list[str]:
    """Return the labels, those that come twice with their marks."""
    count, seen = Counter(told), Counter[str]()
    marked = []
    for place, text in enumerate(told):
        seen[text] += 1
        mark = marks[place] if marks else seen[text]
        marked.append(f"{text} ({mark})" if count[text] > 1 else text)
    return marked
