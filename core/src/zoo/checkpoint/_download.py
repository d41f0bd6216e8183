"""Fetch one published file over https, checked against its published hash."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from zoo.errors import WeightsError
from zoo.runs import WrittenFile, check_free_space, format_bytes, storage_errors, write_new_file

MAX_BYTES = 8 << 30
"""No published weights of an image model come near it."""
TIMEOUT_S = 30.0
"""Without a byte from the server."""
_CHUNK_BYTES = 1 << 20
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class UnreachableError(WeightsError):
    """The server cannot be reached or does not have the file."""


def download(url: str, target: Path, *, message: Callable[[str], None]) -> WrittenFile:
    """Write the file at ``url`` to ``target``, which does not exist yet.

    Where it raises, ``target`` may hold a part of the file; the caller deletes it.

    Args:
        url: https; plain http only on this machine itself.
        target: in a folder that exists.
        message: told what is fetched and how large it is.

    Returns:
        Size and full SHA-256 of what was written; the caller compares.

    Raises:
        UnreachableError: no network, no such host or file.
        WeightsError: not https, a redirect away from https, a body too short or too large.
        StorageError: the disk is full or failing.
    """
    check_url(url)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SafeRedirects(),
    ):
        opener.add_handler(handler)
    try:
        with opener.open(url, timeout=TIMEOUT_S) as response:
            expected = _announced_bytes(url, response)
            size = f" ({format_bytes(expected)})" if expected else ""
            message(f"downloading {url}{size}")
            with storage_errors(target, needed_bytes=expected or 0):
                check_free_space(target.parent, expected or 0)
                written = write_new_file(target, _chunks(url, response))
    except urllib.error.HTTPError as error:
        if 300 <= error.code < 400:
            raise WeightsError(f"{url}: {error.reason}") from error
        raise UnreachableError(f"{url}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        raise UnreachableError(f"{url} cannot be fetched: {reason}") from error
    if expected is not None and written.size_bytes != expected:
        raise WeightsError(
            f"{url}: {written.size_bytes:,} bytes came of {expected:,}",
            "The connection broke; run the command again.",
        )
    return written


def check_url(url: str) -> None:
    """Refuse a URL that anybody on the way could answer.

    Raises:
        WeightsError: it is not https (nor http on this machine itself).
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return
    raise WeightsError(f"{url} is not an https address, so it is not fetched")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only where the first address could have led."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        check_url(newurl)
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise WeightsError(f"{req.full_url} redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _announced_bytes(url: str, response: http.client.HTTPResponse) -> int | None:
    announced = response.headers.get("Content-Length", "")
    if not re.fullmatch(r"\d{1,18}", announced):
        return None
    _check_size(url, int(announced))
    return int(announced)


def _chunks(url: str, response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body, as the network gives it; its faults are not the disk's."""
    received = 0
    while True:
        try:
            chunk = response.read(_CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"{url}: the connection broke: {error}") from error
        if not chunk:
            return
        received += len(chunk)
        _check_size(url, received)
        yield chunk


def _check_size(url: str, size_bytes: int) -> None:
    if size_bytes > MAX_BYTES:
        raise WeightsError(
            f"{url} is larger than {format_bytes(MAX_BYTES)}, so it is not fetched",
            "Fetch it by hand and give its path with --weights FILE.",
        )
