"""Every limit of the service in one place, with what it protects. The ones that differ by use are flags of `serve`."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tunesmith.core.errors import Place, UsageError


class ServeSettings(BaseModel):
    """Limits of one service. Sizes in bytes or code points, times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    host: str = "127.0.0.1"
    """The address to listen on. Anything but loopback asks for an API key, or for `insecure`."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes a free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Names the Host header may carry beside addresses, loopback names and `host`.

    None given: every name, where the service is open beyond loopback and asks for a key."""
    insecure: bool = False
    """Listen beyond loopback without a key: whoever reaches the port may use the model."""
    examples: bool | None = None
    """Show up to six texts of the dev rows in the playground and `/v1/model`. Unset: unless `insecure`."""
    max_body_bytes: int = Field(default=1 << 20, ge=64)
    """A larger body is answered 413 before it is read to the end."""
    max_items: int = Field(default=64, ge=1)
    """Texts in one request."""
    max_characters: int = Field(default=10_000, ge=1)
    """Of one item, text and pair together: cut before tokenising would not bound the work, refusing does."""
    max_request_characters: int = Field(default=50_000, ge=1)
    """Of all items of a request; at least `max_characters`."""
    connections: int = Field(default=400, ge=1)
    """Connections at once. Beyond it: 503; beyond twice as many: closed unheard, so that file descriptors suffice."""
    head_seconds: float = Field(default=10.0, gt=0)
    """How long a connection may take to send the head of a request, else it is closed."""
    answer_seconds: float = Field(default=30.0, gt=0)
    """How long a client may take to read what it was answered, else its connection is closed."""
    body_seconds: float = Field(default=10.0, gt=0)
    """How long a body may take to arrive, else 408."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """What the model computes in: fp32 gives the numbers of the bundle's report, bf16 takes about half the time."""
    index: Literal["exact", "faiss"] = "exact"
    """How a search looks at its documents: at all of them, or with faiss at those near a question."""
    reranker: Path | None = None
    """The bundle of a pair model that orders anew what a search finds."""
    candidates: int = Field(default=50, ge=1)
    """Documents that the re-ranker reads with a question."""
    relevant: str | None = None
    """Its label that says that a document answers, where it is not plain."""
    batch_items: int = Field(default=16, ge=1)
    """Texts that go through the model together; with a re-ranker one, whose candidates fill a pass."""
    batch_characters: int = Field(default=16_384, ge=1)
    """Characters that go through the model together: one long text does not hold up thirty short ones."""
    batch_tokens: int = Field(default=4096, ge=1)
    """Tokens of one forward pass."""
    queue_items: int = Field(default=256, ge=1)
    """Texts that may wait. Beyond it: 503 with Retry-After."""
    queue_seconds: float = Field(default=0.5, gt=0)
    """Estimated wait beyond which a request is answered 503 at once instead of 200 too late."""
    drain_seconds: float = Field(default=1.0, ge=0)
    """After SIGTERM: answer on, with readiness 503 and `Connection: close`, so that nobody is cut off."""
    stop_seconds: float = Field(default=20.0, gt=0)
    """After draining: how long requests in flight may still take."""

    @model_validator(mode="after")
    def _limits_fit(self) -> Self:
        if self.max_request_characters < self.max_characters:
            raise UsageError(
                f"a request of {self.max_request_characters} characters cannot hold one text of {self.max_characters}",
                code="TS-SERVE-006",
                place=Place(key="max_request_characters"),
                fix="raise --max-request-characters or lower --max-characters.",
            )
        return self
