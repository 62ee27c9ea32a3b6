"""Long answers, sent a slice at a time: between two slices the event loop serves all others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

SLICE_BYTES = 128 * 1024


class SlicedAnswer(StreamingResponse):
    """Sends pieces, whatever their lengths, as slices.

    Args:
        pieces: text or bytes.
        headers, media_type: of the answer.
    """

    def __init__(
        self,
        pieces: AsyncIterator[str] | AsyncIterator[bytes],
        status_code: int = 200,
        headers: dict[str, str] | None = None,
        media_type: str = "application/json",
    ) -> None:
        super().__init__(_slices(pieces), status_code, headers, media_type)


async def whole(content: bytes) -> AsyncIterator[bytes]:
    """Yield one piece."""
    yield content


async def _slices(pieces: AsyncIterator[str] | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        content = piece.encode() if isinstance(piece, str) else piece
        for start in range(0, len(content), SLICE_BYTES):
            yield content[start : start + SLICE_BYTES]
            await asyncio.sleep(0)
