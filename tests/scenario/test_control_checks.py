"""What goes with a controller, and what does not: one message each, at the key to change."""

import pytest

from cosim.scenario.errors import ScenarioError
from cosim.scenario.load import loads

CELL = """\
devices:
  - {group: mast, role: base_station, count: 1, mobility: {kind: static, position: [0 m, 0 m]}}
  - {group: phones, count: 3}
"""
FEDERATED = CELL + "protocol: federated\n"
WEIGHTED = "spectrum: {domain: per_cell, rule: weighted}\n"
SOFT = "learning: {method: soft}\n"

WRONG = {
    "no weights": (
        FEDERATED + SOFT + "control: osfa\nspectrum: {domain: per_cell}\n",
        "spectrum.rule: expected weighted, by which links have the shares that control 'osfa' "
        "gives them (or delay_equalising, which finds them by itself), got 'equal'",
    ),
    "weights that nobody reads": (
        "control: {kind: fixed, weights: [1, 2]}\n",
        "spectrum.rule: expected weighted, by which links have the shares that control 'fixed' "
        "gives them, got 'equal'",
    ),
    "a method without densities": (
        FEDERATED + WEIGHTED + "control: osfa\nlearning: {method: lora}\n",
        "control: with 'osfa', which sets densities: expected a method that takes a density",
    ),
    "one rank for all, and no densities": (
        FEDERATED + WEIGHTED + "control: tsfa\nlearning: {method: flexlora}\n",
        "control: with 'tsfa', which sets densities: expected a method that takes a density (soft, "
        "flasc, rlora; fedlodrop, hetlora with sense: p3; lori and sparse_orthogonal one for good, "
        "as control deadline sets it), got flexlora",
    ),
    "masks that stay": (
        WEIGHTED + "control: osfa\n",
        "control: expected deadline or fixed with method 'sparse_orthogonal', whose masks are as "
        "dense for good as they are after the first training, got 'osfa'",
    ),
    "no rounds that wait": (
        SOFT + WEIGHTED + "protocol: gossip\ncontrol: osfa\n",
        "control: expected fixed with protocol 'gossip', whose rounds do not wait for updates "
        "(those of federated, dfl and clustered_dfl do), got 'osfa'",
    ),
    "no server to choose a rank for": (
        SOFT + WEIGHTED + "control: tsfa\n",
        "control: expected a protocol with a server, federated, with 'tsfa', which chooses the "
        "rank by clients' links to it, got protocol 'clustered_dfl'; use osfa",
    ),
    "ranks of its own": (
        FEDERATED + WEIGHTED + "control: tsfa\nlearning: {method: hetlora}\n",
        "learning.method: expected one rank for all devices, which control 'tsfa' chooses, got "
        "'hetlora' with ranks [",
    ),
    "adapters that have a rank": (
        FEDERATED + WEIGHTED + "control: tsfa\nlearning: {method: soft, start: a}\n",
        "learning.start: expected none with control 'tsfa', which chooses the rank",
    ),
    "a payload of no density": (
        FEDERATED + WEIGHTED + "control: osfa\nlearning: {pool: {kind: none, density: 0}}\n",
        "learning.pool.density: expected a density above 0, with which the payload grows under "
        "control 'osfa', got 0",
    ),
    "a density of nothing": (
        "control: {kind: fixed, densities: [0]}\n",
        "control.densities.0: expected more than 0.0, got 0",
    ),
    "a deadline without one": (
        "control: deadline\n",
        "control: expected max_delay or max_compute, without which every device sends all that it "
        "has, got neither; give one, or a max_density below 1",
    ),
    "bounds the wrong way": (
        FEDERATED + WEIGHTED + SOFT + "control: {kind: osfa, min_density: 0.5, max_density: 0.1}\n",
        "control: expected min_density of at most max_density, 0.1, got 0.5",
    ),
}

GOOD = {
    "osfa by weights": FEDERATED + WEIGHTED + SOFT + "control: osfa\n",
    "osfa, and a rule that finds the shares": (
        FEDERATED + SOFT + "control: osfa\nspectrum: {domain: per_cell, rule: delay_equalising}\n"
    ),
    "tsfa": FEDERATED + WEIGHTED + SOFT + "control: tsfa\n",
    "tsfa of the network alone": FEDERATED + WEIGHTED + "learning: {pool: none}\ncontrol: tsfa\n",
    "a deadline in clusters": "control: {kind: deadline, max_delay: 2 s}\n",
    "densities without rounds": "protocol: gossip\ncontrol: {kind: fixed, densities: [0.1]}\n",
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_go_together_is_told(case):
    text, message = WRONG[case]
    with pytest.raises(ScenarioError) as caught:
        loads(text)
    (line,) = str(caught.value).splitlines()
    assert message in line


@pytest.mark.parametrize("case", GOOD)
def test_what_goes_together_is_good(case):
    assert loads(GOOD[case]).scenario.control.acts
