"""Values as text, and exact numbers, as GoogleSQL defines them where the emulator's translation to DuckDB departs.

- `CAST(x AS NUMERIC)` became DuckDB's `DECIMAL`, which is `DECIMAL(18, 3)`; NUMERIC has 38 digits, 9 of them after the point.
- `CAST(x AS STRING)` of a NUMERIC has no trailing zeros (`1.5`, not `1.500000000`); of a FLOAT64 it is the shorter of 15 and 17
  digits that reads back as the same number (`1`, not `1.0`), and zero has no sign; of BYTES it is their UTF-8; the fraction
  of a TIMESTAMP, DATETIME or TIME has 0, 3 or 6 digits.
- `CAST(x AS BYTES)` is the UTF-8 of any text, and byte literals may hold escapes.

- `FARM_FINGERPRINT` of more than 64 bytes was another number; it is the original's, FarmHash `Fingerprint64`.

Left as they are: `TO_JSON_STRING` (numbers and timestamps have DuckDB's text there) and `FORMAT` with `%t` or `%T`.
"""

from __future__ import annotations

import ast
from typing import Any

import sqlglot
from sqlglot import exp

# A macro, because only DuckDB knows the type of an expression. Every branch must bind for every type, hence the ways round.
_MACRO = r"""
CREATE OR REPLACE MACRO cloud_text(x) AS CASE
    WHEN x IS NULL THEN NULL
    WHEN typeof(x) LIKE 'DECIMAL%' THEN
        CASE WHEN contains(x::VARCHAR, '.') THEN rtrim(rtrim(x::VARCHAR, '0'), '.') ELSE x::VARCHAR END
    WHEN typeof(x) IN ('DOUBLE', 'FLOAT') THEN
        CASE WHEN TRY_CAST(x::VARCHAR AS DOUBLE) = 0 THEN '0'
             WHEN isnan(TRY_CAST(x::VARCHAR AS DOUBLE)) THEN 'nan'
             WHEN TRY_CAST(format('{:.15g}', TRY_CAST(x::VARCHAR AS DOUBLE)) AS DOUBLE) = TRY_CAST(x::VARCHAR AS DOUBLE)
                 THEN format('{:.15g}', TRY_CAST(x::VARCHAR AS DOUBLE))
             ELSE format('{:.17g}', TRY_CAST(x::VARCHAR AS DOUBLE)) END
    WHEN typeof(x) = 'BLOB' THEN decode(TRY_CAST(x::VARCHAR AS BLOB))
    WHEN typeof(x) LIKE 'TIME%' THEN
        CASE length(regexp_extract(x::VARCHAR, '\.(\d+)', 1))
            WHEN 1 THEN regexp_replace(x::VARCHAR, '(\.\d+)', '\100')
            WHEN 2 THEN regexp_replace(x::VARCHAR, '(\.\d+)', '\10')
            WHEN 4 THEN regexp_replace(x::VARCHAR, '(\.\d+)', '\100')
            WHEN 5 THEN regexp_replace(x::VARCHAR, '(\.\d+)', '\10')
            ELSE x::VARCHAR END
    ELSE x::VARCHAR END
"""
_MACROS = (
    _MACRO,
    "CREATE OR REPLACE MACRO cloud_bignumeric(x) AS x::DECIMAL(38, 18)",
    "CREATE OR REPLACE MACRO cloud_bytes(x) AS "
    "CASE WHEN typeof(x) = 'BLOB' THEN TRY_CAST(x::VARCHAR AS BLOB) ELSE encode(x::VARCHAR) END",
)
_TYPE = exp.DataType.Type
# PARSE_NUMERIC is what the emulator makes a cast to the right DECIMAL of.
_CASTS = {_TYPE.TEXT: "cloud_text", _TYPE.BINARY: "cloud_bytes", _TYPE.DECIMAL: "PARSE_NUMERIC", _TYPE.BIGDECIMAL: "cloud_bignumeric"}


def install() -> None:
    """Before the emulator starts: puts our step before the first of its own, while the statement is as it was sent."""
    import farmhash
    from bqemulator.sql import builtin_udfs, translator

    builtin_udfs._farm_fingerprint64 = farmhash.fingerprint64
    first_step = translator.rewrite_session_user
    if getattr(first_step, "of_cloud", False):
        return

    def with_ours(sql: str, caller: Any) -> str:
        return first_step(rewrite(sql), caller)

    with_ours.of_cloud = True  # type: ignore[attr-defined]
    translator.rewrite_session_user = with_ours


def create_macros(engine: Any) -> None:
    for macro in _MACROS:
        engine.execute(macro)


def rewrite(sql: str) -> str:
    try:
        trees = sqlglot.parse(sql, read="bigquery")
    except sqlglot.errors.SqlglotError:
        # The emulator says what is wrong with it.
        return sql
    if len(trees) != 1 or trees[0] is None or isinstance(trees[0], exp.Command):
        return sql
    found = [node for node in trees[0].walk() if _is_ours(node)]
    if not found:
        return sql
    # From the leaves: a cast may stand in a cast.
    for node in reversed(found):
        node.replace(_replacement(node))
    return trees[0].sql("bigquery")


def _is_ours(node: exp.Expression) -> bool:
    if isinstance(node, exp.ByteString):
        return "\\" in node.this
    plain = isinstance(node, exp.Cast) and not node.args.get("format") and not node.to.expressions
    return plain and node.to.this in _CASTS


def _replacement(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.ByteString):
        value = ast.literal_eval(f'b"""{node.this}"""')
        return exp.Anonymous(this="FROM_HEX", expressions=[exp.Literal.string(value.hex())])
    assert isinstance(node, exp.Cast)
    made = exp.Anonymous(this=_CASTS[node.to.this], expressions=[node.this.copy()])
    return exp.Anonymous(this="TRY", expressions=[made]) if isinstance(node, exp.TryCast) else made
