"""Holds a request against Google's own discovery documents: an emulator forgives a misspelt field, the service does not.

`Contract().complaints(entry)` takes an entry of the log of `faults`. Checked are method and path, the query parameters with their
types, and the body: every field must be known and of the right type. 64-bit numbers may be strings or numbers, as in JSON of the real API.
Values are held against a list where the document has one, as an `enum` or as a bulleted list in its description.
Requests of the XML API have no such document and pass unseen.

`python -m cloud.contract` reads a log (the JSON of `GET /__requests`), prints each complaint once, and fails when there is one.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_DOCUMENTS = {"bigquery": "bigquery.v2.json", "storage": "storage.v1.json"}
# What Google's own clients send without a document; the service is known to take it.
_UNDOCUMENTED = {("bigquery.jobs.get", "projection")}
_INT64 = re.compile(r"-?\d+")
# "The following values are supported: * WRITE_TRUNCATE: ... * WRITE_APPEND: ..."
_BULLET = re.compile(r"\* `?'?([A-Z][A-Z0-9_]+)")


@dataclass(frozen=True)
class _Method:
    id: str
    http_method: str
    path: re.Pattern[str]
    parameters: dict[str, Any]
    request: str | None
    upload: bool


class Contract:
    def complaints(self, entry: dict[str, Any]) -> list[str]:
        """What the service would not understand of a logged request; nothing, when all is well."""
        service, path, query = entry["service"], entry["path"], entry["query"]
        if service == "storage" and not re.match(r"/+(upload/|download/|resumable/upload/)?storage/v1/", path):
            return []
        document, methods = _read(service)
        found = [method for method in methods if method.http_method == entry["method"] and method.path.fullmatch(path)]
        if "upload_id" in query:
            # The session of a resumable upload takes chunks of bytes; it was described by the request that began it.
            return [] if entry["method"] in ("PUT", "POST", "DELETE") else [f"{entry['method']} on an upload session"]
        if not found:
            return [f"no method is {entry['method']} {path}"]
        complaints = [self._against(document, method, entry) for method in found]
        # Two methods may share a path, as the metadata and the upload of `jobs.insert`.
        return min(complaints, key=len)

    def _against(self, document: dict[str, Any], method: _Method, entry: dict[str, Any]) -> list[str]:
        complaints = _query(document["parameters"] | method.parameters, entry["query"], method)
        body = entry["body"]
        if body is not None and not method.request:
            complaints.append(f"{method.id} takes no body")
        elif body is not None and entry["query"].get("uploadType") != ["media"]:
            complaints += _value(document["schemas"], {"$ref": method.request}, body, method.request or "")
        return [f"{method.id}: {complaint}" for complaint in complaints]


@cache
def _read(service: str) -> tuple[dict[str, Any], list[_Method]]:
    import googleapiclient

    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    document = json.loads((folder / _DOCUMENTS[service]).read_text())
    return document, list(_methods(document, document))


def _methods(document: dict[str, Any], node: dict[str, Any]) -> Any:
    for resource in node.get("resources", {}).values():
        yield from _methods(document, resource)
    for method in node.get("methods", {}).values():
        base = "/" + document["servicePath"]
        downloads = "(?:/download)?" if method.get("supportsMediaDownload") else ""
        yield _method(method, downloads + _pattern(base + method["path"], method), upload=False)
        for protocol in method.get("mediaUpload", {}).get("protocols", {}).values():
            yield _method(method, _pattern(protocol["path"], method), upload=True)


def _method(method: dict[str, Any], pattern: str, *, upload: bool) -> _Method:
    request = method.get("request", {}).get("$ref")
    return _Method(method["id"], method["httpMethod"], re.compile(pattern), method.get("parameters", {}), request, upload)


def _pattern(template: str, method: dict[str, Any]) -> str:
    pieces = re.split(r"\{\+?([^}]+)\}", template)
    for index in range(1, len(pieces), 2):
        parameter = method["parameters"][pieces[index]]
        pieces[index] = parameter.get("pattern", "[^/]+").strip("^$")
    return "".join(piece if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))


def _query(known: dict[str, Any], query: dict[str, list[str]], method: _Method) -> list[str]:
    complaints = []
    for name, values in query.items():
        if (method.id, name) in _UNDOCUMENTED:
            continue
        parameter = known.get(name)
        if not parameter or parameter.get("location") != "query":
            complaints.append(f"unknown query parameter {name}")
            continue
        if len(values) > 1 and not parameter.get("repeated"):
            complaints.append(f"query parameter {name} is given {len(values)} times")
        complaints += [f"query parameter {name} cannot be '{value}'" for value in values if not _is_text_of(parameter, value)]
    for name, parameter in known.items():
        # The name of an object may also stand in the metadata.
        if parameter.get("required") and parameter.get("location") == "query" and name not in query:
            complaints.append(f"query parameter {name} is missing")
    if method.upload and query.get("uploadType", [""])[0] not in ("media", "multipart", "resumable"):
        complaints.append("an upload says its uploadType: media, multipart or resumable")
    return complaints


def _is_text_of(parameter: dict[str, Any], value: str) -> bool:
    if parameter.get("enum"):
        return value in parameter["enum"]
    if parameter["type"] == "boolean":
        # Google's Python client writes them as Python does.
        return value in ("true", "false", "True", "False")
    if parameter["type"] == "integer" or parameter.get("format") in ("int64", "uint64"):
        return bool(_INT64.fullmatch(value))
    return True


def _value(schemas: dict[str, Any], schema: dict[str, Any], value: Any, path: str) -> list[str]:
    if "$ref" in schema:
        schema = {**schemas[schema["$ref"]], "description": schema.get("description", "")}
    # A null takes a field away in a patch, and is nothing elsewhere.
    if value is None or schema.get("type") == "any":
        return []
    match schema.get("type"):
        case "object":
            return _fields(schemas, schema, value, path)
        case "array":
            if not isinstance(value, list):
                return [f"{path} is a list, not {value!r}"]
            items = {"description": schema.get("description", ""), **schema["items"]}
            return [each for index, item in enumerate(value) for each in _value(schemas, items, item, f"{path}[{index}]")]
    return [] if _is_scalar(schema, value) else [f"{path} is {_told(schema)}, not {value!r}"]


def _fields(schemas: dict[str, Any], schema: dict[str, Any], value: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path} is an object, not {value!r}"]
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    complaints = []
    for name, inner in value.items():
        if name in known:
            complaints += _value(schemas, known[name], inner, f"{path}.{name}")
        elif others:
            complaints += _value(schemas, others, inner, f"{path}.{name}")
        else:
            complaints.append(f"unknown field {path}.{name}")
    return complaints


def _is_scalar(schema: dict[str, Any], value: Any) -> bool:
    kind, form = schema.get("type"), schema.get("format", "")
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind == "integer" or form in ("int64", "uint64"):
        return isinstance(value, int) or (isinstance(value, str) and bool(_INT64.fullmatch(value)))
    if kind == "number":
        return isinstance(value, int | float)
    if kind == "string":
        allowed = _listed(schema)
        return isinstance(value, str) and (not allowed or value in allowed)
    return True


def _listed(schema: dict[str, Any]) -> list[str]:
    description = schema.get("description", "")
    return schema.get("enum") or (_BULLET.findall(description) if "ollowing values are" in description else [])


def _told(schema: dict[str, Any]) -> str:
    if listed := _listed(schema) if schema.get("type") == "string" else []:
        return "one of " + ", ".join(listed)
    return " ".join(filter(None, [schema.get("type"), schema.get("format")]))


def main() -> int:
    contract = Contract()
    told = {
        f"{entry['service']} {entry['method']} {entry['path']}: {complaint}"
        for entry in json.load(sys.stdin)
        for complaint in contract.complaints(entry)
    }
    for complaint in sorted(told):
        print(complaint)
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
