"""Settings of the service; every limit and default is written here and nowhere else."""

from pathlib import Path

from pydantic import Field

from serenade.core.settings import Settings

__all__ = ["LOOPBACK", "ServiceSettings"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names of this machine; nobody else can reach what listens there."""


class ServiceSettings(Settings):
    """How the service listens, whom it lets in, and how much it takes."""

    host: str = Field("127.0.0.1", description="address to listen on; the default lets in this machine alone")
    port: int = Field(8765, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    models: tuple[str, ...] = Field(("glam-emodb",), min_length=1, description="shipped names and model folders")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    keys: Path | None = Field(
        None, description="file of API keys, one `name sha256` a line; unset: no key is asked for"
    )
    metrics_key: bool = Field(False, description="whether /metrics asks for a key as well")
    allowed_origins: tuple[str, ...] = Field((), description="web pages of other origins that may call (CORS)")
    allowed_hosts: tuple[str, ...] = Field((), description="further names this service is reached by (Host header)")
    explanations: bool = Field(True, description="answer /v1/explain, which costs more than recognition")

    max_upload_mb: float = Field(100, gt=0, description="size of an upload, in millions of bytes")
    max_duration_s: float = Field(4 * 3600, gt=0, description="length of a recording or stream, in seconds")
    max_message_kb: int = Field(1024, ge=1, description="size of one message of a stream, in KiB")
    requests_per_minute: int = Field(600, ge=0, description="of one client; 0: any number")
    concurrent_requests: int = Field(4, ge=1, description="recordings decoded and scored at the same time")
    waiting_requests: int = Field(60, ge=0, description="uploads that wait for their turn; more are refused")
    concurrent_streams: int = Field(8, ge=0, description="open live streams")
    upload_s: float = Field(120, gt=0, description="time an upload may take to arrive")
    request_s: float = Field(1800, gt=0, description="time an answer may take")
    idle_s: float = Field(30, gt=0, description="time a stream may be silent on the line")
    drain_s: float = Field(30, ge=0, description="time that work under way is given when the service is stopped")

    batch: int = Field(4, ge=1, le=64, description="segments of all requests that go through the network together")
    batch_wait_ms: float = Field(2, ge=0, le=1000, description="time a segment waits for others")
    threads: int = Field(1, ge=1, description="batches that are scored at the same time")

    decode_memory_mb: int = Field(256, ge=8, description="memory a decoder may take, in MiB")
    decode_cpu_s: int = Field(120, ge=1, description="processor time a decoder may take")
    decode_stall_s: float = Field(20, gt=0, description="time a decoder may be silent")

    @property
    def max_upload_bytes(self) -> int:
        """The largest upload."""
        return round(self.max_upload_mb * 1e6)

    @property
    def hosts(self) -> frozenset[str]:
        """Every name it answers to."""
        return frozenset((*LOOPBACK, self.host, *self.allowed_hosts))
