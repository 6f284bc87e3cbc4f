"""What makes a run the run that it is: equal identity, equal numbers.

The hash in the name of a run's folder is of the resolved scenario, of what stands in the files that
it names and of its plug-ins' source, as far as `cosim.on_disk` finds them, and of cosim's own. So a
run that is there is the one that would come out, and a sweep runs again what was run with another
trace, other data or other code. Not in it: the machine, the versions of other packages (the
manifest says them), and what is fetched from the hub by name.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

from cosim.on_disk import digest, named, sources_of
from cosim.scenario.dump import dump
from cosim.scenario.tree import Scenario
from cosim.version import VERSION

_HASH_CHARS = 8

# Of the package, what decides the numbers of a resolved scenario, and what tables hold.
_DECIDING = (
    *("boundary.py", "collision.py", "rng.py", "units.py", "results/tables.py"),
    *("scenario/local.py", "scenario/tree.py", "learning", "planning", "radio", "sim", "world"),
)


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return cosim's version with a short digest of the source that decides numbers."""
    package = Path(__file__).parents[1]
    source = digest(package / part for part in _DECIDING)
    return f"{VERSION}+{source.hex()[:_HASH_CHARS]}"


def content_hash(scenario: Scenario) -> str:
    """Return a short hash of what decides a run's numbers, but its seed."""
    # The seed has its own part of the folder's name; figures are drawn from the tables; and where
    # the data lie is no part of an experiment.
    content = scenario.model_copy(update={"seed": 0, "plots": (), "data_root": "."})
    files = [*named(scenario, Path(scenario.data_root))]
    files += [file for each in scenario.plugins for file in sources_of(each)]
    whole = hashlib.sha256(f"cosim {code_version()}\n{dump(content)}".encode())
    whole.update(digest(files))
    return whole.hexdigest()[:_HASH_CHARS]


def folder_name(scenario: Scenario, content: str = "") -> str:
    """Return the name of a scenario's run folder, with its `content_hash`, if that is known."""
    return f"{scenario.name}-{content or content_hash(scenario)}-s{scenario.seed}"
