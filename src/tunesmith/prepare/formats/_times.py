"""Dates as people write them, to ISO 8601, so that rows can be put in order of time."""

import re
from datetime import UTC, datetime

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}:?\d{2}))?)?")
_CLOCK = r"(?:[ T,]+(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})\s*[年./-]\s*(\d{{1,2}})\s*[月./-]\s*(\d{{1,2}})\s*日?{_CLOCK}")
_DAY_FIRST = re.compile(rf"(\d{{1,2}})[./-](\d{{1,2}})[./-](\d{{4}}){_CLOCK}")
_EPOCH = re.compile(r"\d{9,10}(\.\d+)?|\d{13}")


def iso_time(value: object) -> str | None:
    """The time in ISO 8601, or None where it is none.

    Read are ISO dates, `2019年2月14日`, `2019/2/14`, day before month as in `24-02-2015 11.35` (`2/24/2015` where only
    that is possible), and seconds or milliseconds since 1970.
    """
    if isinstance(value, datetime):
        return value.isoformat()
    text = str(value).strip()
    if _ISO.fullmatch(text):
        return text if _is_real(text) else None
    if _EPOCH.fullmatch(text):
        number = float(text) / (1000 if len(text) == 13 else 1)
        return datetime.fromtimestamp(number, UTC).isoformat()
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day, *clock = found.groups()
    elif found := _DAY_FIRST.fullmatch(text):
        day, month, year, *clock = found.groups()
        if int(month) > 12:
            day, month = month, day
    else:
        return None
    hour, minute, second = (int(part or 0) for part in clock)
    try:
        moment = datetime(int(year), int(month), int(day), hour, minute, second)
    except ValueError:
        return None
    return moment.isoformat() if clock[0] else moment.date().isoformat()


def _is_real(text: str) -> bool:
    try:
        datetime.fromisoformat(text.replace(" Z", "Z"))
    except ValueError:
        return False
    return True
