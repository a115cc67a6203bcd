"""Many predictions in a notebook cell: a list that draws itself. A single `Prediction` draws itself already."""

from typing import Final

from tunesmith.core.markup import framed
from tunesmith.core.prediction import Prediction

MOST: Final = 20
"""How many answers a cell shows before it says how many more there are."""


class Predictions(list[Prediction]):
    """A plain list of predictions, equal to any list of the same ones, with a rich display in notebooks."""

    def _repr_html_(self) -> str:
        """The first answers, one under the other."""
        shown = "".join(f'<div style="padding:4px 0">{item._repr_html_()}</div>' for item in self[:MOST])
        rest = len(self) - MOST
        return shown + (framed(f"<i>and {rest} more</i>") if rest > 0 else "")
