"""What stands in a label field to the label it means."""

import difflib
import re
from collections.abc import Mapping

from tunesmith.prepare.formats._faults import SKIP, RowFault, check_characters
from tunesmith.prepare.formats._options import Labelling

_WHOLE = re.compile(r"-?\d+(\.0+)?")


class LabelReader:
    """Labels of one file. Equal labels are one object, so that a million rows hold each label once."""

    def __init__(self, rules: Labelling, *, several: bool) -> None:
        self._rules = rules
        self._several = several
        self._known: dict[str, str] = {}
        self._allowed = frozenset(rules.labels)

    def read(self, value: object, key: str) -> str | tuple[str, ...]:
        """One label, or several where the file gives lists or a separator is set.

        Raises:
            RowFault: no label, one that is not allowed, or a number without a name.
        """
        if isinstance(value, list | tuple):
            return tuple(dict.fromkeys(self.one(item, key) for item in value))
        if self._rules.separator and isinstance(value, str):
            parts = [part.strip() for part in value.split(self._rules.separator)]
            return tuple(dict.fromkeys(self.one(part, key) for part in parts if part or len(parts) == 1))
        label = self.one(value, key)
        return (label,) if self._several else label

    def only(self, value: object, key: str) -> str:
        """The label of a row that takes exactly one, bare or as a list of one.

        Raises:
            RowFault: none or several labels, or what `one` refuses.
        """
        if isinstance(value, list | tuple) and len(value) != 1:
            raise RowFault(
                f"the row has {len(value)} labels where exactly one is needed",
                code="TS-DATA-021",
                fix=f"give it one label, {SKIP}.",
                key=key,
            )
        return self.one(value[0] if isinstance(value, list | tuple) else value, key)

    def one(self, value: object, key: str) -> str:
        """A single label, known and allowed."""
        if isinstance(value, str) and (found := self._known.get(value)) is not None:
            return found
        label = self.named(value, key)
        self.allowed(label, key)
        if isinstance(value, str):
            self._known[value] = label
        return label

    def named(self, value: object, key: str) -> str:
        """The label or tag that a value means, whether it is allowed or not."""
        if isinstance(value, Mapping | list):
            raise RowFault(
                f"the label is {'an object' if isinstance(value, Mapping) else 'a list'} inside a list",
                code="TS-DATA-021",
                fix=f"write a label as text or number, several as a flat list, {SKIP}.",
                key=key,
            )
        label = plain(value)
        if not label:
            raise RowFault(
                "the label is missing",
                code="TS-DATA-016",
                fix=f"fill it in, delete the row, {SKIP}.",
                key=key,
            )
        check_characters(label, key)
        return self._from_index(label, key) if self._rules.label_names else label

    def allowed(self, label: str, key: str) -> str:
        """The label itself, if it may occur."""
        if self._allowed and label not in self._allowed:
            near = difflib.get_close_matches(label, self._allowed, n=1)
            raise RowFault(
                f"the label {label[:60]!r} is not one of the {len(self._allowed)} that may occur",
                code="TS-DATA-017",
                fix=(f"did you mean {near[0]!r}? " if near else "") + f"Correct it, add it to `labels`, {SKIP}.",
                key=key,
            )
        return label

    def _from_index(self, label: str, key: str) -> str:
        names, first = self._rules.label_names, self._rules.first_label
        if label in names:
            return label
        index = int(float(label)) - first if _WHOLE.fullmatch(label) and len(label) < 16 else -1
        if not 0 <= index < len(names):
            raise RowFault(
                f"the label {label[:60]!r} has no name: {len(names)} names begin at {first}",
                code="TS-DATA-033",
                fix=f"complete `label_names`, set `first_label` to the number of the first name, {SKIP}.",
                key=key,
            )
        return names[index]


def plain(value: object) -> str:
    """A label as text: `true`, `3` (also for 3.0), or the text without blanks around it; "" for nothing."""
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
