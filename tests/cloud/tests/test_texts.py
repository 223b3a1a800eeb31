"""Text and exact numbers, against what BigQuery's reference documents."""

from __future__ import annotations

import pytest

from .conftest import Cloud


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # The three examples of the reference of FARM_FINGERPRINT.
        ("FARM_FINGERPRINT(CONCAT(CAST(1 AS STRING), 'foo', CAST(TRUE AS STRING)))", -1541654101129638711),
        ("FARM_FINGERPRINT(CONCAT(CAST(2 AS STRING), 'apple', CAST(FALSE AS STRING)))", 2794438866806483259),
        ("FARM_FINGERPRINT(CONCAT(CAST(3 AS STRING), '', CAST(TRUE AS STRING)))", -4880158226897771312),
        ("(SELECT CAST(SUM(CAST(FARM_FINGERPRINT(x) AS NUMERIC)) AS STRING) FROM UNNEST(['a', 'b', 'c', 'dd', 'eee']) x)",
         "-28199878045495245434"),
        ("CAST(NUMERIC '1.50' AS STRING)", "1.5"),
        ("CAST(CAST('100' AS NUMERIC) AS STRING)", "100"),
        ("CAST(CAST('-0.000000001' AS NUMERIC) AS STRING)", "-0.000000001"),
        ("CAST(CAST(1 AS FLOAT64) AS STRING)", "1"),
        ("CAST(0.1 + 0.2 AS STRING)", "0.30000000000000004"),
        ("CAST(1e15 AS STRING)", "1e+15"),
        ("CAST(-0.0 AS STRING)", "0"),
        ("CAST(TRUE AS STRING)", "true"),
        ("CAST(DATE '2026-01-02' AS STRING)", "2026-01-02"),
        ("CAST(TIMESTAMP '2026-11-20 01:02:03+00' AS STRING)", "2026-11-20 01:02:03+00"),
        ("CAST(TIMESTAMP '2026-11-20 01:02:03.1+00' AS STRING)", "2026-11-20 01:02:03.100+00"),
        ("CAST(TIMESTAMP '2026-11-20 01:02:03.456789+00' AS STRING)", "2026-11-20 01:02:03.456789+00"),
        (r"CAST(b'\xc3\xa9' AS STRING)", "é"),
        (r"SAFE_CAST(b'\xff' AS STRING)", None),
        (r"TO_HEX(b'\x00\xffA')", "00ff41"),
        ("TO_HEX(CAST('é' AS BYTES))", "c3a9"),
        ("UNIX_MICROS(TIMESTAMP '1969-12-31 23:59:59.999999+00')", -1),
        ("ARRAY(SELECT CONCAT(CAST(o AS STRING), x) FROM UNNEST(['p', 'q']) x WITH OFFSET o ORDER BY o)", ["0p", "1q"]),
        ("STRUCT(1 AS a, STRUCT('x' AS c) AS b).b.c", "x"),
        ("FORMAT('%.17g', 0.1)", "0.10000000000000001"),
    ],
)  # fmt: skip
def test_values(cloud: Cloud, expression: str, expected: object) -> None:
    assert [found[0] for found in cloud.bigquery().query_and_wait(f"SELECT {expression}")] == [expected]
