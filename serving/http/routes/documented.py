"""Shared by the routes: how they answer, and how OpenAPI shows an answer by example."""

from typing import Any

import orjson
from fastapi import Response, Security
from fastapi.security import HTTPBearer

Responses = dict[int | str, dict[str, Any]]

# For OpenAPI alone, so that its readers can be told a secret: others check it.
ADMIN_TOKEN = Security(HTTPBearer(scheme_name="admin token", auto_error=False))
API_KEY = Security(HTTPBearer(scheme_name="API key", auto_error=False))

_WHY = {
    400: ("The request is at fault", "inputs[0].shape: got [1, 63], expected [-1, 64], -1 standing for any"),
    401: ("The token or key is missing or wrong; see WWW-Authenticate",
          "API key: missing, expected Authorization: Bearer KEY"),
    403: ("Administration is off, or not here, or not for this page", "administration is off: no admin token is set"),
    404: ("No such model or version", "Request for unknown model: 'x' is not found"),
    409: ("The version on disk is refused, and the model answers as before",
          "model 'x' answers as before, since what is on disk is refused: version 2: …"),
    413: ("The body is over its limit", "body: got 80000000 bytes, expected at most 67108864 bytes"),
    415: ("The model takes no such body", "body: got text/csv, expected one of image/png, image/jpeg"),
    429: ("The queue is full; see Retry-After", "model 'x' is overloaded: its queue holds 64 rows, which is its limit"),
    501: ("Understood, and not offered", "shared memory is not offered"),
    503: ("Not ready", "model 'x' is not ready: it is loading"),
    504: ("The deadline passed", "model 'x': the deadline of 50 ms passed before the answer"),
}  # fmt: skip


class Json(Response):
    """A JSON answer, encoded by orjson; keeps the order of keys."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body."""
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def shows(
    example: Any, *errors: int, media_type: str = "application/json", description: str = "Success"
) -> Responses:
    """The `responses` of a route: its answer by example, and each error that it may give."""
    shown: Responses = {200: {"description": description, "content": {media_type: {"example": example}}}}
    for status in errors:
        why, message = _WHY[status]
        shown[status] = {
            "description": why,
            "content": {"application/json": {"example": {"error": message}}},
        }
    return shown


def takes(**examples: Any) -> dict[str, Any]:
    """`openapi_extra` with a body by media type: JSON where the name is `json`, else given as is."""
    content = {_MEDIA[name]: {"example": example} for name, example in examples.items()}
    return {"requestBody": {"required": True, "content": content}}


_MEDIA = {
    "json": "application/json",
    "octets": "application/octet-stream",
    "png": "image/png",
    "text": "text/plain",
    "form": "multipart/form-data",
}
