import numpy as np

from cosim.planning.neighbours import Rows


def test_each_row_has_its_partners_and_their_values():
    rows = Rows(4, np.array([0, 2]), np.array([2, 3]), np.array([0.5, 0.25]))
    expected = [{2: 0.5}, {}, {0: 0.5, 3: 0.25}, {2: 0.25}]
    assert rows.all() == expected
    assert [rows.row(number) for number in range(4)] == expected


def test_no_pairs_are_empty_rows():
    nobody = np.zeros(0, dtype=np.int64)
    assert Rows(2, nobody, nobody, np.zeros(0)).all() == [{}, {}]
