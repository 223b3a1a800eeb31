"""Errors in the form that Google's services give them, as JSON and as XML."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

# status -> (reason of the JSON API, code of the XML API)
_NAMES = {
    304: ("notModified", "NotModified"),
    400: ("invalid", "InvalidArgument"),
    401: ("authError", "AuthenticationRequired"),
    403: ("forbidden", "AccessDenied"),
    404: ("notFound", "NoSuchKey"),
    405: ("methodNotAllowed", "MethodNotAllowed"),
    409: ("conflict", "BucketNotEmpty"),
    410: ("gone", "NoSuchUpload"),
    412: ("conditionNotMet", "PreconditionFailed"),
    416: ("requestedRangeNotSatisfiable", "InvalidRange"),
    429: ("rateLimitExceeded", "SlowDown"),
    500: ("backendError", "InternalError"),
    501: ("notImplemented", "NotImplemented"),
    503: ("backendError", "ServiceUnavailable"),
}


class ApiError(Exception):
    """A refusal: what is wrong, and the names that both APIs have for it."""

    def __init__(self, status: int, message: str, reason: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        names = _NAMES.get(status, ("backendError", "InternalError"))
        self.status = status
        self.message = message
        self.reason = reason or names[0]
        self.code = code or names[1]

    def as_json(self) -> dict[str, Any]:
        detail = {"message": self.message, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.status, "message": self.message, "errors": [detail]}}

    def as_xml(self) -> str:
        return (
            "<?xml version='1.0' encoding='UTF-8'?>"
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message></Error>"
        )


def no_bucket(name: str) -> ApiError:
    return ApiError(404, f"The specified bucket does not exist: {name}", code="NoSuchBucket")


def no_object(bucket: str, name: str) -> ApiError:
    return ApiError(404, f"No such object: {bucket}/{name}")


def precondition_failed() -> ApiError:
    return ApiError(412, "At least one of the pre-conditions you specified did not hold.")
