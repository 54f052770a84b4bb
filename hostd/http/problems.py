"""Errors as RFC 9457 problem documents, whoever raised them."""

from aiohttp import web
from aiohttp.typedefs import Handler


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer aiohttp's own errors (no such page, wrong method) as problem documents too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004 - a redirection is no problem
            raise
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return problem(error.status, error.reason, f"{request.method} {request.path}", headers=allowed)


def problem(status: int, title: str, detail: str, *, headers: dict[str, str] | None = None) -> web.Response:
    """A problem document: `title` is the same for all its kind, `detail` says what is wrong here."""
    document = {"type": "about:blank", "status": status, "title": title, "detail": detail}
    return web.json_response(document, status=status, headers=headers, content_type="application/problem+json")
