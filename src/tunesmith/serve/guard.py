"""Who may come in, and how much they may bring: bind address, host names, keys, and the bytes of a body."""

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from tunesmith.core.errors import Place, UsageError
from tunesmith.serve.problem import Problem

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Keys:
    """API keys, kept as sha256 only. Without any, everybody may ask."""

    digests: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, keys: Iterable[str]) -> "Keys":
        """The keys of an environment variable or a file, blank ones left out.

        Raises:
            UsageError: a key that a header cannot carry.
        """
        keys = [key.strip() for key in keys]
        if not all(key.isascii() and key.isprintable() for key in keys):
            raise UsageError(
                "an API key holds characters that an HTTP header does not carry",
                code="TS-SERVE-005",
                place=Place(key="TUNESMITH_API_KEYS"),
                fix="use letters, digits and signs of ASCII.",
            )
        return cls(tuple(hashlib.sha256(key.strip().encode()).digest() for key in keys if key.strip()))

    def admit(self, presented: str | None) -> str | None:
        """The id of the presented key (8 digits of its sha256, safe to log), or None where none is asked for.

        Every known key is compared in constant time.

        Raises:
            Problem: 401, no key or a wrong one.
        """
        if not self.digests:
            return None
        own = hashlib.sha256((presented or "").encode("utf-8", "surrogateescape")).digest()
        found = [hmac.compare_digest(own, digest) for digest in self.digests]
        if not any(found):
            detail = "The API key is missing." if presented is None else "The API key is not known here."
            raise Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
        return own.hex()[:8]


def presented_key(headers: dict[str, str]) -> str | None:
    """The key of `Authorization: Bearer KEY` or `X-API-Key: KEY`."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return headers.get("x-api-key")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_bind(host: str, *, keys: Keys, insecure: bool) -> None:
    """Refuse to stand open to a network by accident.

    Raises:
        UsageError: not loopback, no key, and `insecure` not said.
    """
    if not (is_loopback(host) or keys.digests or insecure):
        raise UsageError(
            f"{host} can be reached from other machines and no API key is set",
            code="TS-SERVE-001",
            fix="set TUNESMITH_API_KEYS, or say --insecure if whoever reaches the port may use the model.",
        )


def hosts_allowed(host: str, extra: Iterable[str], *, keys: Keys) -> frozenset[str] | None:
    """Names the Host header may carry beside addresses; None where every name may.

    That is so beyond loopback with a key and no names given: a page of another site does not have the key.
    """
    extra = tuple(extra)
    if keys.digests and not extra and not is_loopback(host):
        return None
    return _LOOPBACK_NAMES | frozenset(name.lower() for name in extra) | {host.lower()}


def check_host(header: str | None, allowed: frozenset[str] | None) -> None:
    """Raises `Problem` 403 unless the Host header carries an address or an allowed name.

    A page of another site that resolves its own name to this machine is stopped here; an address is no site's name.
    """
    if allowed is None:
        return
    name = (header or "").lower()
    inside, closed, _ = name[1:].partition("]")
    bare = (inside if closed else "") if name.startswith("[") else name.partition(":")[0]
    if bare not in allowed and not _is_address(bare):
        raise Problem(403, "The Host header names a site that this service does not answer for.")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def check_content(headers: dict[str, str]) -> None:
    """Raises `Problem` 415 unless the body is announced as plain JSON, which no foreign form can send unasked."""
    kind, _, parameters = headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json":
        raise Problem(415, "Send Content-Type: application/json.")
    if parameters.strip().lower().replace('"', "") not in ("", "charset=utf-8"):
        raise Problem(415, "JSON is read in UTF-8 only.")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Problem(415, "A compressed body is not read.")


async def read_body(
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]], headers: dict[str, str], *, limit: int, seconds: float
) -> bytes:
    """The whole body.

    Raises:
        Problem: 413 beyond `limit` bytes, 408 when it takes longer than `seconds`.
        Gone: the client left.
    """
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    raise _too_large(limit)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise Problem(408, f"The body did not arrive within {seconds:g} seconds.", headers=_CLOSE) from None


class Gone(Exception):
    """The client closed the connection; nobody waits for an answer."""


_CLOSE: Final = {"Connection": "close"}


def _too_large(limit: int) -> Problem:
    return Problem(413, f"The body is larger than {limit} bytes.", headers=_CLOSE)


def deadline_of(headers: dict[str, str]) -> int | None:
    """Milliseconds from now that `X-Deadline-Ms` allows before work begins; None without the header.

    Raises:
        Problem: 400, not a whole number from 1 to 600000.
    """
    given = headers.get("x-deadline-ms")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 6 and 1 <= int(given) <= 600_000):
        raise Problem(400, "X-Deadline-Ms is a whole number of milliseconds from 1 to 600000.")
    return int(given)
