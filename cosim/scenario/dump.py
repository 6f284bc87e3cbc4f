"""A validated scenario as text: every key with its value, in SI units, the unit in the key.

The text is a scenario file again: `load` reads it back to an equal scenario. It is what a run
folder keeps.
"""

import re
from io import StringIO

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from cosim.plugin import plain
from cosim.scenario.tree import Scenario

# Texts that are the same in any style of YAML; all others are quoted.
_SIMPLE = re.compile(r"[A-Za-z0-9_./-]([A-Za-z0-9_./:+ -]*[A-Za-z0-9_./+-])?")


class _Representer(SafeRepresenter):
    """Quotes what is not plainly plain, and writes no aliases."""

    def represent_text(self, text: str) -> ScalarNode:
        style = None if _SIMPLE.fullmatch(text) else '"'
        node: ScalarNode = self.represent_scalar("tag:yaml.org,2002:str", text, style=style)
        return node

    def ignore_aliases(self, data: object) -> bool:
        return True


_Representer.add_representer(str, _Representer.represent_text)


def dump(scenario: Scenario) -> str:
    """Return the resolved scenario as YAML, in the order of the tree; flat parts on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = None  # lists and mappings of plain values go on one line
    yaml.allow_unicode = False  # the writer loses some of Unicode's line breaks
    yaml.representer.sort_base_mapping_type_on_output = False
    yaml.width = 1_000_000  # a broken line ends in a blank
    stream = StringIO()
    yaml.dump(plain(scenario), stream)
    return stream.getvalue()
