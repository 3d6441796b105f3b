"""The cells of notebook 01, run twice in a row: see `twice`."""

from tests.notebooks.twice import EachCellTwice


class TestCellsTwice(EachCellTwice):
    number = "01"
