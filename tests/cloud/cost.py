"""How many bytes a query reads, and whether it says which partitions.

BigQuery counts the logical bytes of the columns that a query names, in the partitions that its filters leave. The same is computed
here from the data: views are put in their place, filters pushed down to the tables, and a filter counts when it names the
partitioning column and otherwise only constants. What cannot be analysed is counted whole and not refused.
Clustering is not counted, and the minimum of 10 MB that is billed for each table is left out, so that small tests can tell tables apart.
"""

from __future__ import annotations

from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.pushdown_predicates import pushdown_predicates
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from .errors import ApiError
from .partitions import TableRef
from .tables import Tables, bytes_of, engine_name, fields_of

_VIEW_DEPTH_MAX = 16


class Costs:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def estimate(self, project: str, query: str, default_dataset: dict[str, Any] | None = None) -> int:
        """The bytes that a SELECT reads; 0 for statements of other kinds. Refuses one that lacks a required partition filter."""
        try:
            tree = sqlglot.parse_one(query, read="bigquery")
        except sqlglot.errors.SqlglotError:
            return 0
        if not isinstance(tree, exp.Query):
            return 0
        default = (default_dataset or {}).get("datasetId", "")
        tree = self._without_views(tree, project, default)
        bases = self._bases(tree, project, default)
        try:
            schema = _nested({table.sql("bigquery"): resource for table, _, resource in bases})
            tree = pushdown_predicates(qualify(tree, dialect="bigquery", schema=schema, validate_qualify_columns=False))
        except Exception:
            # The optimiser knows less SQL than the engine; such a query is counted by its names alone.
            return sum(self._bytes(ref, fields_of(resource), "TRUE") for _, ref, resource in bases)
        return sum(self._scan(tree, project, default))

    def datasets(self, project: str, query: str, default_dataset: dict[str, Any] | None = None) -> list[tuple[str, str]]:
        try:
            tree = sqlglot.parse_one(query, read="bigquery")
        except sqlglot.errors.SqlglotError:
            tree = None
        named = [(table.catalog or project, table.db) for table in (tree.find_all(exp.Table) if tree else []) if table.db]
        if default_dataset and default_dataset.get("datasetId"):
            named.append((default_dataset.get("projectId", project), default_dataset["datasetId"]))
        return named

    def _find(self, table: exp.Table, project: str, default: str) -> tuple[TableRef, dict[str, Any]] | None:
        dataset = table.db or default
        if not dataset or not table.name or dataset.upper().startswith("INFORMATION_SCHEMA"):
            return None
        ref = TableRef(table.catalog or project, dataset, table.name)
        found = self._tables.find(ref)
        return (ref, found) if found else None

    def _without_views(self, tree: exp.Expression, project: str, default: str) -> exp.Expression:
        for _ in range(_VIEW_DEPTH_MAX):
            replaced = False
            for table in list(tree.find_all(exp.Table)):
                found = self._find(table, project, default)
                if not found or found[1]["type"] != "VIEW" or "view" not in found[1]:
                    continue
                inner = sqlglot.parse_one(found[1]["view"]["query"], read="bigquery")
                table.replace(exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(table.alias_or_name))))
                replaced = True
            if not replaced:
                break
        return tree

    def _bases(self, tree: exp.Expression, project: str, default: str) -> list[tuple[exp.Table, TableRef, dict[str, Any]]]:
        found = ((table, self._find(table, project, default)) for table in tree.find_all(exp.Table))
        return [(table, *each) for table, each in found if each]

    def _scan(self, tree: exp.Expression, project: str, default: str) -> list[int]:
        """The bytes of each reading of each table."""
        sizes = []
        for scope in traverse_scope(tree):
            for alias, source in scope.sources.items():
                found = self._find(source, project, default) if isinstance(source, exp.Table) else None
                if not found:
                    continue
                ref, resource = found
                where = self._partitions(scope.expression, alias, ref, resource)
                named = {column.name for column in scope.columns if column.table == alias}
                fields = [field for field in fields_of(resource) if field["name"] in named]
                sizes.append(self._bytes(ref, fields, where))
        return sizes

    def _partitions(self, select: exp.Expression, alias: str, ref: TableRef, resource: dict[str, Any]) -> str:
        """The filter on partitions, in the engine's SQL; refuses a query that needs one and has none."""
        layout = resource.get("timePartitioning") or resource.get("rangePartitioning") or {}
        column = layout.get("field")
        if not column:
            return "TRUE"
        conditions: list[exp.Expression] = []
        clauses = [select.args.get("where"), *(join.args.get("on") for join in select.args.get("joins") or [])]
        for clause in clauses:
            condition = clause.this if isinstance(clause, exp.Where) else clause
            if condition is not None:
                parts = list(condition.flatten()) if isinstance(condition, exp.And) else [condition]
                conditions += [part for part in parts if _only(part, alias, column)]
        if not conditions and resource.get("requirePartitionFilter"):
            raise ApiError(400, f"Cannot query over table '{ref.project}.{ref.dataset}.{ref.table}' without a filter over column(s) "
                                f"'{column}' that can be used for partition elimination", reason="invalidQuery")  # fmt: skip
        return " AND ".join(f"({_plain(condition).sql('duckdb')})" for condition in conditions) or "TRUE"

    def _bytes(self, ref: TableRef, fields: list[dict[str, Any]], where: str) -> int:
        sql = f"SELECT coalesce(sum({bytes_of(fields)}), 0) FROM {engine_name(ref)}"
        try:
            return int(self._tables.execute(f"{sql} WHERE {where}")[0][0])
        except Exception:
            # A filter that the engine cannot compute alone (a parameter, a function of the emulator) prunes nothing here.
            return int(self._tables.execute(sql)[0][0])


def _only(condition: exp.Expression, alias: str, column: str) -> bool:
    columns = list(condition.find_all(exp.Column))
    constant = not condition.find(exp.Subquery, exp.Select)
    return bool(columns) and constant and all(found.table == alias and found.name == column for found in columns)


def _plain(condition: exp.Expression) -> exp.Expression:
    """The condition with the column by its bare name, to stand in a query of our own."""
    return condition.transform(
        lambda node: exp.column(exp.to_identifier(node.name, quoted=True)) if isinstance(node, exp.Column) else node)  # fmt: skip


def _nested(tables: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The schema as sqlglot wants it: by project, dataset and table, as far as the query names them."""
    result: dict[str, Any] = {}
    for name, resource in tables.items():
        parts = exp.to_table(name, dialect="bigquery").parts
        level = result
        for part in parts[:-1]:
            level = level.setdefault(part.name, {})
        level[parts[-1].name] = {field["name"]: "STRUCT" if field["type"] == "RECORD" else field["type"] for field in fields_of(resource)}
    return result
