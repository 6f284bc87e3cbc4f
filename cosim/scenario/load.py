"""A scenario file becomes a validated scenario, or all of its mistakes at once.

file -> what it extends -> overrides -> the tree's types -> what only the whole can tell
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from cosim.plugin import search_in
from cosim.scenario import checks
from cosim.scenario.document import Document, parse
from cosim.scenario.errors import Problem, ScenarioError
from cosim.scenario.files import read
from cosim.scenario.messages import mark_of, translate
from cosim.scenario.overrides import Overrides, apply, read_overrides
from cosim.scenario.place import Place
from cosim.scenario.tree import Scenario, Sweep
from cosim.wording import dotted


@dataclass(frozen=True)
class Loaded:
    """A scenario and what it was read from.

    Attributes:
        scenario: every value, validated.
        files: the file that was asked for and those that it extends, in that order; none for a
            text.
        overrides: what was laid over the files, as `key=value`.
        sweep: what the file sweeps; not in the scenario, which is of one run.
    """

    scenario: Scenario
    files: tuple[Path, ...] = ()
    overrides: tuple[str, ...] = ()
    sweep: Sweep | None = None


def load(path: str | Path, overrides: Overrides = ()) -> Loaded:
    """Read a scenario file.

    Args:
        path: a YAML file. Paths in messages are as they are given here. What `extends:` names is
            relative to the file; what `data_root:` names is relative to the current directory,
            and where it is left out, data are looked up in the file's folder.
        overrides: texts `key.sub=value` with the value in YAML, or a mapping of such keys to
            values (`{"learning.local.steps": 5}`).

    Raises:
        ScenarioError: the file or the overrides have mistakes; it holds all of them.
    """
    path = Path(path)
    document, files = read(path)
    return _finish(document, overrides, files, path.parent)


def loads(text: str, overrides: Overrides = (), source: str = "<text>") -> Loaded:
    """Read a scenario from a text, which messages call `source`; it cannot extend files."""
    return _finish(parse(text, source), overrides, (), Path())


def _finish(
    document: Document, overrides: Overrides, files: Sequence[Path], folder: Path
) -> Loaded:
    read_in, problems = read_overrides(overrides)
    broken = bool(document.problems) and not document.data
    if broken:  # nothing could be read, so nothing more can be said
        raise ScenarioError((*document.problems, *problems))
    named = [each for each in read_in if each.path[0] == "plugins"]
    plugins = allowed_plugins(apply(document, named, Scenario, ()), folder)
    document = apply(document, read_in, Scenario, plugins)
    scenario, found = validate(document, plugins, folder)
    problems = [*document.problems, *problems, *found]
    if scenario is None or problems:
        raise ScenarioError(problems)
    texts = tuple(each.mark.source.removeprefix("override ") for each in read_in)
    one_run = scenario.model_copy(update={"sweep": None})
    return Loaded(one_run, tuple(files), texts, scenario.sweep)


def validate(
    document: Document, plugins: tuple[str, ...], folder: Path
) -> tuple[Scenario | None, list[Problem]]:
    """Return the scenario that a document says, if its types are right, and what is wrong with it.

    Args:
        document: overrides and all.
        plugins: modules that it allows.
        folder: where data are looked up if it does not say.
    """
    try:
        data = {"data_root": str(folder)} | dict(document.data)
        scenario = Scenario.model_validate(data, context={"plugins": plugins})
    except ValidationError as error:
        return None, translate(error, document, Place(document.data, Scenario, plugins))
    problems = []
    for path, message in checks.contradictions(scenario):
        written = checks.as_written(path, document.data)
        problems.append(Problem(mark_of(document, written), dotted(written), message))
    return scenario, problems


def allowed_plugins(document: Document, folder: Path) -> tuple[str, ...]:
    """Return the modules that a scenario allows, and let them be found in its folder.

    What is no list of names is told when the scenario is validated.
    """
    given = document.data.get("plugins", ())
    plugins = tuple(each for each in given if isinstance(each, str)) if type(given) is tuple else ()
    if plugins:
        search_in(folder)
    return plugins
