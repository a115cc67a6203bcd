"""Every refusal as one shape, `application/problem+json` (RFC 9457): never a value that was sent, never an internal."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

MEDIA_TYPE: Final = "application/problem+json"


class Problem(Exception):
    """An answer that is not 200. `errors` name the places in the body, as paths such as `items.3.text`."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.reason = reason

    def body(self, request_id: str) -> bytes:
        """The JSON object, in ASCII so that no byte of it can be refused on the way."""
        record: dict[str, Any] = {
            "type": f"urn:tunesmith:problem:{self.status}",
            "title": title_of(self.status),
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors:
            record["errors"] = [dict(error) for error in self.errors]
        return json.dumps(record, allow_nan=False).encode("ascii")


def title_of(status: int) -> str:
    """The phrase of a status code."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
