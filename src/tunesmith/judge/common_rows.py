"""The rows that two models both answered: a paired test means nothing on any others."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tunesmith.core.prediction import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonRows:
    """Two lists with equal id, text, pair and gold row by row, and what was left out of either side."""

    first: list[Prediction]
    second: list[Prediction]
    first_rows: int
    """All rows of the first model"""
    second_rows: int
    other_text: int
    """Rows with an id that both know and another text or pair"""
    other_gold: int
    """Rows with id, text and pair that both know and another gold answer"""

    @property
    def all_of_both(self) -> bool:
        """Whether nothing was left out."""
        return len(self.first) == self.first_rows == self.second_rows

    def left_out(self) -> str:
        """Why rows were left out, in words."""
        reasons = [
            f"{count:,} with the same id have another {what}"
            for count, what in ((self.other_text, "text"), (self.other_gold, "gold answer"))
            if count
        ]
        unknown = self.first_rows - len(self.first) - self.other_text - self.other_gold
        return "; ".join(
            [*reasons, *([f"{unknown:,} of the first have an id that the second lacks"] if unknown else [])]
        )


def common_rows(first: Iterable[Prediction], second: Iterable[Prediction]) -> CommonRows:
    """Pair the rows of two models, in the order of the first, whatever the order of the second."""
    waiting: dict[str, list[Prediction]] = {}
    second_rows = 0
    for row in second:
        second_rows += 1
        waiting.setdefault(row.id, []).append(row)
    ours: list[Prediction] = []
    theirs: list[Prediction] = []
    left: Counter[str] = Counter()
    first_rows = 0
    for row in first:
        first_rows += 1
        rivals = waiting.get(row.id, [])
        same_text = [rival for rival in rivals if (rival.text, rival.pair) == (row.text, row.pair)]
        same = next((rival for rival in same_text if rival.gold == row.gold), None)
        if same is None:
            left["gold" if same_text else "text" if rivals else "unknown"] += 1
            continue
        rivals.remove(same)
        ours.append(row)
        theirs.append(same)
    return CommonRows(
        first=ours,
        second=theirs,
        first_rows=first_rows,
        second_rows=second_rows,
        other_text=left["text"],
        other_gold=left["gold"],
    )
