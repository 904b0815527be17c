"""The one table from errors to HTTP: RFC 9457 problem documents with a stable code.

Servers call :func:`problem_of`; clients call :func:`error_of`, so that an error crosses the wire
and comes out as the same class. A code, once released, keeps its meaning.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from swarm import errors

CONTENT_TYPE = "application/problem+json"


class Row(NamedTuple):
    """How one class of error looks over HTTP."""

    status: int
    code: str
    title: str


TABLE: dict[type[errors.SwarmError], Row] = {
    errors.MalformedRequest: Row(400, "malformed_request", "The request is malformed"),
    errors.ConfigurationError: Row(500, "configuration_error", "The service is misconfigured"),
    errors.BencodeError: Row(400, "not_canonical_bencode", "The body is not canonical bencode"),
    errors.MetainfoError: Row(422, "metainfo_refused", "The torrent is not acceptable"),
    errors.DestinationOutsideRoots: Row(
        403, "destination_outside_roots", "The destination is not below a configured root"
    ),
    errors.DestinationExists: Row(409, "destination_exists", "The destination exists"),
    errors.DestinationBusy: Row(409, "destination_busy", "The destination is in use"),
    errors.DestinationRefused: Row(400, "destination_refused", "The destination is refused"),
    errors.BadInput: Row(400, "bad_input", "The request can't be served as it is"),
    errors.Unauthenticated: Row(401, "unauthenticated", "Who asks is not known"),
    errors.Forbidden: Row(403, "forbidden", "That is not allowed"),
    errors.ImageUnknown: Row(404, "image_unknown", "There is no such image"),
    errors.NodeUnknown: Row(404, "node_unknown", "There is no such node"),
    errors.TransferUnknown: Row(404, "transfer_unknown", "There is no such transfer"),
    errors.NotFound: Row(404, "not_found", "There is no such thing"),
    errors.ImageCorrupt: Row(422, "image_corrupt", "The image does not match Glance's hash"),
    errors.ImageUnsafe: Row(422, "image_unsafe", "The image failed inspection"),
    errors.ImageFailed: Row(422, "image_failed", "The image could not be converted"),
    errors.ImageRefused: Row(422, "image_refused", "The image is refused"),
    errors.TorrentConflict: Row(409, "torrent_conflict", "Another torrent is published"),
    errors.IllegalTransition: Row(409, "illegal_transition", "The state does not allow that"),
    errors.Conflict: Row(409, "conflict", "The request contradicts the present state"),
    errors.ImageNotReady: Row(503, "image_not_ready", "The image is being converted"),
    errors.NoSeeder: Row(503, "no_seeder", "No seeder is connected"),
    errors.QueueFull: Row(503, "queue_full", "The queue is full"),
    errors.TrackerUnreachable: Row(502, "tracker_unreachable", "The tracker does not answer"),
    errors.AgentUnreachable: Row(502, "agent_unreachable", "The peer agent does not answer"),
    errors.SeederUnreachable: Row(502, "seeder_unreachable", "The seeder does not answer"),
    errors.SourceUnreachable: Row(502, "source_unreachable", "The image source does not answer"),
    errors.Unavailable: Row(503, "unavailable", "Not possible now"),
    errors.NoSpace: Row(507, "no_space", "There is not enough space"),
    errors.StorageFailed: Row(500, "storage_failed", "The file system failed"),
    errors.RoleFailed: Row(500, "role_failed", "A role ended"),
    errors.SwarmError: Row(500, "internal_error", "The service failed"),
}

#: What aiohttp refuses before a handler of ours sees it.
FOREIGN: dict[int, Row] = {
    row.status: row
    for row in (
        Row(400, "bad_request", "The request is not HTTP as we speak it"),
        Row(404, "not_found", "There is no such thing"),
        Row(405, "method_not_allowed", "The path has no such method"),
        Row(408, "request_timeout", "The request came too slowly"),
        Row(413, "request_entity_too_large", "The body is larger than it may be"),
        Row(417, "expectation_failed", "The service does not do what is expected"),
        Row(426, "upgrade_required", "The path speaks another protocol"),
    )
}

_CLASS_OF_CODE = {row.code: cls for cls, row in TABLE.items()}


def row_of(error: errors.SwarmError) -> Row:
    """Return the row of the nearest class in ``error``'s ancestry that has one."""
    for cls in type(error).__mro__:
        if cls in TABLE:
            return TABLE[cls]
    raise AssertionError("SwarmError itself has a row")


def codes_by_status() -> dict[int, dict[str, str]]:
    """Return the codes of each status, with their titles: what a caller may be answered."""
    found: dict[int, dict[str, str]] = {}
    for row in (*TABLE.values(), *FOREIGN.values()):
        found.setdefault(row.status, {})[row.code] = row.title
    return found


def problem_of(error: errors.SwarmError) -> dict[str, Any]:
    """Return the problem document (RFC 9457) of ``error``; its data become extension members."""
    row = row_of(error)
    return {
        **error.data,
        "type": f"urn:glance-swarm:problem:{row.code}",
        "title": row.title,
        "status": row.status,
        "code": row.code,
        "detail": error.detail,
        "remedy": error.remedy,
    }


def foreign_problem(status: int, detail: str) -> dict[str, Any]:
    """Return the problem document of a refusal that is aiohttp's."""
    row = FOREIGN.get(status, Row(status, "bad_request", "The request is refused"))
    return {
        "type": f"urn:glance-swarm:problem:{row.code}",
        "title": row.title,
        "status": status,
        "code": row.code,
        "detail": detail,
        "remedy": errors.BadInput.remedy,
    }


def error_of(status: int, document: object) -> errors.SwarmError:
    """Return the error that a server meant by ``document``.

    What is not one of our problem documents becomes a plain :class:`~swarm.errors.SwarmError`
    (or :class:`~swarm.errors.Unavailable` for a 5xx status).
    """
    members = document if isinstance(document, dict) else {}
    cls = _CLASS_OF_CODE.get(str(members.get("code")))
    if cls is None:
        fallback = errors.Unavailable if status >= 500 else errors.SwarmError  # noqa: PLR2004
        return fallback(f"the server answered {status}: {members.get('detail', document)!s:.300}")
    known = {"type", "title", "status", "code", "detail", "remedy"}
    data = {
        key: value
        for key, value in members.items()
        if key not in known and isinstance(value, str | int)
    }
    return cls(str(members.get("detail", "")), **data)
