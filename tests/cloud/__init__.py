"""A cloud on loopback: Cloud Storage and BigQuery, for tests and for people.

```text
client ──► faults (public port) ──► bucket     JSON and XML API over a folder
client ──► faults (public port) ──► warehouse  bqemulator, mended, which reads gs:// from the same folder
```

Start it with `python -m cloud --root DIR` (see `__main__`). Nothing here is ever needed at run time of Gatefold itself.

- `store`     objects as files, with generations and checksums beside them
- `bucket`    the storage server: `json_api`, `uploads` and `xml_api` speak the wire, `wire` holds what they share
- `warehouse` starts bqemulator and mends what departs from BigQuery: `tables`, `jobs`, `loading`, `schemas`,
  `partitions`, `cost`, `rows`, `texts`
- `faults`    a reverse proxy that logs every request and can break exactly one
- `contract`  holds a logged request against Google's discovery documents
"""
