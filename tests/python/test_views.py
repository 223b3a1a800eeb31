"""The views of sql/views: each is GoogleSQL, and gives the rows that its header promises.

They are parsed in BigQuery's dialect, rewritten for DuckDB, and run there over a few rows. The tables have the columns that
jobs/*.toml state, so a view that asks for a column that is gone fails here. `python test_views.py` runs them all.
"""

import datetime
import tomllib
import unittest
from decimal import Decimal
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp

PROJECT = Path(__file__).parents[2]
VIEWS = sorted((PROJECT / "sql/views").glob("*.sql"))
TODAY = datetime.datetime.now(datetime.timezone.utc).date()
YESTERDAY = TODAY - datetime.timedelta(days=1)
BEFORE = TODAY - datetime.timedelta(days=2)

# What a required column holds where a test says nothing of it.
NEUTRAL = {
    "STRING": "",
    "INT64": 0,
    "BOOL": False,
    "NUMERIC": Decimal(0),
    "DATE": datetime.date(1970, 1, 1),
    "TIMESTAMP": datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc),
    "ARRAY<STRING>": [],
}


def day(year: int, month: int, number: int) -> datetime.datetime:
    return datetime.datetime(year, month, number, tzinfo=datetime.timezone.utc)


def columns_of(table: str) -> dict[str, dict] | None:
    """The columns of `dataset.table` by name, from its job; `None` where the project has no such job."""
    dataset, name = table.split(".")
    file = PROJECT / f"jobs/{name}.toml"
    if not file.is_file():
        return None
    job = tomllib.loads(file.read_text("utf-8"))["table"]
    assert job["dataset"] == dataset, f"{table} is in the dataset {job['dataset']}"
    return {column["name"]: column for column in job["columns"]}


def parse(view: str) -> exp.Create:
    return sqlglot.parse_one((PROJECT / f"sql/views/{view}.sql").read_text("utf-8"), read="bigquery")


def tables_of(statement: exp.Create) -> set[str]:
    """`dataset.table` of every table that a view reads."""
    within = {cte.alias for cte in statement.find_all(exp.CTE)}
    read = (table for table in statement.expression.find_all(exp.Table) if table.name not in within or table.db)
    return {f"{table.db}.{table.name}" for table in read}


class ViewCase(unittest.TestCase):
    def rows(self, view: str, **given: list[dict]) -> list[dict]:
        """The rows of a view, in the order of their texts, over tables that hold what is given and nothing else."""
        statement = parse(view)
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        for table in sorted(tables_of(statement)):
            columns = columns_of(table)
            if columns is None:
                self.skipTest(f"{table} has no job in this project")
            self.fill(connection, table, columns, given.pop(table.split(".")[1], []))
        self.assertEqual(given, {}, f"{view} does not read these")
        target = statement.this
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {target.db}")
        connection.execute(statement.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE))
        result = connection.execute(f"SELECT * FROM {target.db}.{target.name}")
        names = [column[0] for column in result.description]
        return sorted((dict(zip(names, row)) for row in result.fetchall()), key=str)

    def fill(self, connection, table: str, columns: dict[str, dict], rows: list[dict]) -> None:
        # DuckDB's NUMERIC is narrower than BigQuery's unless told.
        kinds = {name: column["type"].replace("NUMERIC", "NUMERIC(38, 9)") for name, column in columns.items()}
        listed = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.split('.')[0]}")
        created = sqlglot.transpile(f"CREATE TABLE {table} ({listed})", read="bigquery", write="duckdb")
        connection.execute(created[0])
        for row in rows:
            unknown = row.keys() - columns.keys()
            self.assertEqual(unknown, set(), f"{table} has no such columns")
            values = [
                row.get(name, NEUTRAL[column["type"]] if column.get("required") else None)
                for name, column in columns.items()
            ]
            connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)

    def expect(self, rows: list[dict], expected: list[dict]) -> None:
        """The rows have these values; of columns that are not mentioned nothing is said."""
        mentioned = [{name: row[name] for name in want} for row, want in zip(rows, expected)]
        self.assertEqual(len(rows), len(expected), rows)
        self.assertEqual(mentioned, expected)


class EveryView(unittest.TestCase):
    def test_is_one_statement_that_makes_the_view_of_its_file(self):
        self.assertEqual(len(VIEWS), 5)
        for file in VIEWS:
            with self.subTest(file.name):
                statements = sqlglot.parse(file.read_text("utf-8"), read="bigquery")
                self.assertEqual(len(statements), 1)
                self.assertIsInstance(statements[0], exp.Create)
                self.assertEqual(statements[0].args["kind"], "VIEW")
                self.assertEqual(statements[0].this.name, file.stem)

    def test_names_every_table_by_its_dataset_and_none_with_backticks(self):
        for file in VIEWS:
            with self.subTest(file.name):
                self.assertNotIn("`", file.read_text("utf-8"))
                self.assertTrue(all(table.split(".")[0] for table in tables_of(parse(file.stem))))

    def test_says_what_a_row_is_and_answers_a_question(self):
        for file in VIEWS:
            with self.subTest(file.name):
                view = parse(file.stem).this
                header = file.read_text("utf-8").split("\n\n")[0]
                self.assertTrue(header.startswith(f"-- View {view.db}.{view.name}: one row per "), header)
                question, example = header.split("?\n", 1)
                self.assertTrue(question.splitlines()[-1].startswith("-- "))
                lines = [line.removeprefix("--") for line in example.splitlines()]
                asked = sqlglot.parse_one("\n".join(lines), read="bigquery")
                self.assertEqual(tables_of_query(asked), {f"{view.db}.{view.name}"})

    def test_filters_partitions_beforehand_where_a_table_demands_it(self):
        for file in VIEWS:
            for table in parse(file.stem).expression.find_all(exp.Table):
                job = PROJECT / f"jobs/{table.name}.toml"
                if not table.db or not job.is_file():
                    continue
                partition = tomllib.loads(job.read_text("utf-8"))["table"].get("partition", {})
                if partition.get("require_filter"):
                    with self.subTest(f"{file.name}: {table.db}.{table.name}"):
                        where = table.find_ancestor(exp.Select).args["where"].sql(dialect="bigquery")
                        self.assertIn(f"{partition['column']} >= DATE_SUB(CURRENT_DATE('UTC')", where)


def tables_of_query(query: exp.Expression) -> set[str]:
    return {f"{table.db}.{table.name}" for table in query.find_all(exp.Table)}


class UserCurrent(ViewCase):
    def test_has_the_users_of_the_latest_day(self):
        rows = self.rows(
            "user_current",
            user_daily=[
                {"snapshot_date": BEFORE, "user_pid": "gone", "tier": "mid"},
                {"snapshot_date": BEFORE, "user_pid": "stays", "tier": "free"},
                {"snapshot_date": YESTERDAY, "user_pid": "new", "tier": "free", "quality_flags": ["unknown_country"]},
                {"snapshot_date": YESTERDAY, "user_pid": "stays", "tier": "premium"},
            ],
        )
        self.assertEqual(list(rows[0]), list(columns_of("users.user_daily")), "every column, in the table's order")
        self.expect(
            rows,
            [
                {"snapshot_date": YESTERDAY, "user_pid": "new", "tier": "free", "quality_flags": ["unknown_country"]},
                {"snapshot_date": YESTERDAY, "user_pid": "stays", "tier": "premium", "quality_flags": []},
            ],
        )

    def test_is_empty_after_a_week_without_a_day(self):
        old = TODAY - datetime.timedelta(days=8)
        self.expect(self.rows("user_current", user_daily=[{"snapshot_date": old, "user_pid": "u"}]), [])


class EntitlementCurrent(ViewCase):
    def test_says_every_kind_of_value_in_words(self):
        kinds = {
            "a": {"value_type": "bool", "v_bool": True},
            "b": {"value_type": "bool", "v_bool": False},
            "c": {"value_type": "enum", "v_enum": "lossless"},
            "d": {"value_type": "int", "v_int": 3},
            "e": {"value_type": "metered", "v_int": 0, "unit": "hours"},
            "f": {"value_type": "metered", "unit": "hours"},
            "g": {"value_type": "metered", "v_int": 15, "unlimited": True},
            "h": {"value_type": "bool"},
        }
        begun = {"is_current": True, "valid_from": day(2026, 3, 1), "source": "product"}
        given = [{"user_pid": "u", "feature_id": feature, **begun, **kind} for feature, kind in kinds.items()]
        rows = self.rows("entitlement_current", user_entitlement_history=given)
        words = {row["feature_id"]: row["value"] for row in rows}
        expected = ["yes", "no", "lossless", "3", "0 hours", "no cap", "unlimited", "yes"]
        self.assertEqual(words, dict(zip(kinds, expected)))
        self.assertEqual({row["since"] for row in rows}, {datetime.date(2026, 3, 1)})

    def test_leaves_out_what_is_over(self):
        rows = self.rows(
            "entitlement_current",
            user_entitlement_history=[
                {"user_pid": "u", "feature_id": "f", "v_int": 10, "source": "product", "valid_from": day(2026, 1, 1), "valid_to": day(2026, 2, 1)},
                {"user_pid": "u", "feature_id": "f", "v_int": 99, "source": "override", "valid_from": day(2026, 2, 1), "is_current": True},
            ],
        )  # fmt: skip
        self.expect(rows, [{"user_pid": "u", "feature_id": "f", "source": "override", "v_int": 99, "value": "99"}])


class ProductFeatureMatrix(ViewCase):
    def test_has_a_row_a_feature_and_a_column_a_tier(self):
        hours = {"feature_id": "audiobook_hours", "value_type": "metered", "unit": "hours"}
        now = {"market": "*", "role": "*", "is_current": True}
        rows = self.rows(
            "product_feature_matrix",
            tier_metrics_daily=[
                {"snapshot_date": BEFORE, "market": "NO", "tier": "premium", "product_id": "retired", "accounts": 5},
                {"snapshot_date": YESTERDAY, "market": "NO", "tier": "free", "product_id": "free", "accounts": 9},
                {"snapshot_date": YESTERDAY, "market": "NO", "tier": "mid", "product_id": "mid", "accounts": 3},
                {"snapshot_date": YESTERDAY, "market": "SE", "tier": "mid", "product_id": "mid", "accounts": 1},
                {"snapshot_date": YESTERDAY, "market": "NO", "tier": "premium", "product_id": "premium", "accounts": 2},
                {"snapshot_date": YESTERDAY, "market": "NO", "tier": "premium", "product_id": "family", "accounts": 2},
                {"snapshot_date": YESTERDAY, "market": "NO", "tier": "premium", "product_id": "emptied", "churned": 1},
            ],
            product_feature_history=[
                {"product_id": "free", "feature_id": "offline", "value_type": "bool", "v_bool": False, **now},
                {"product_id": "mid", "feature_id": "offline", "value_type": "bool", "v_bool": True, **now},
                {"product_id": "premium", **hours, "unlimited": True, **now},
                {"product_id": "family", **hours, "v_int": 1, **now},
                {"product_id": "family", **hours, "v_int": 15, **now, "role": "manager"},
                {"product_id": "family", **hours, "v_int": 0, **now, "role": "member"},
                {"product_id": "family", **hours, "v_int": 20, **now, "market": "NO"},
                {"product_id": "mid", **hours, "v_int": 5, **now, "is_current": False},
                {"product_id": "retired", **hours, "v_int": 7, **now},
                {"product_id": "emptied", **hours, "v_int": 8, **now},
            ],
        )
        self.assertEqual(
            rows,
            [
                {"feature_id": "audiobook_hours", "free": None, "mid": None, "premium": "15 hours or unlimited"},
                {"feature_id": "offline", "free": "no", "mid": "yes", "premium": None},
            ],
        )


class PriceChanges(ViewCase):
    KEY = {"plan_id": "premium", "plan_version": 1, "phase_seq": 1, "market": "NO", "cohort": "standard"}

    def test_has_every_price_that_became_another(self):
        rows = self.rows(
            "price_changes",
            plan_price_history=[
                {**self.KEY, "currency": "NOK", "amount": Decimal(100), "valid_from": day(2025, 1, 1)},
                {**self.KEY, "currency": "NOK", "amount": Decimal("112.5"), "valid_from": day(2025, 6, 1), "existing_from": day(2025, 7, 1)},
                {**self.KEY, "currency": "EUR", "amount": Decimal(10), "valid_from": day(2026, 1, 1)},
                {**self.KEY, "market": "SE", "currency": "SEK", "amount": Decimal(99), "valid_from": day(2025, 6, 1)},
                {**self.KEY, "plan_version": 2, "currency": "EUR", "amount": Decimal(12), "valid_from": day(2026, 2, 1)},
            ],
        )  # fmt: skip
        self.expect(
            rows,
            [
                {
                    **self.KEY,
                    "changed_on": datetime.date(2025, 6, 1),
                    "currency_before": "NOK",
                    "amount_before": 100,
                    "currency": "NOK",
                    "amount": Decimal("112.5"),
                    "change": Decimal("12.5"),
                    "change_percent": 12.5,
                    "existing_from": day(2025, 7, 1),
                },
                {
                    "changed_on": datetime.date(2026, 1, 1),
                    "currency_before": "NOK",
                    "currency": "EUR",
                    "change": None,
                    "change_percent": None,
                    "existing_from": None,
                },
            ],
        )

    def test_does_not_tell_of_rows_that_keep_their_price(self):
        rows = self.rows(
            "price_changes",
            plan_price_history=[
                {**self.KEY, "currency": "NOK", "amount": Decimal(100), "valid_from": day(2025, 1, 1)},
                {**self.KEY, "currency": "NOK", "amount": Decimal(100), "tax_inclusive": True, "valid_from": day(2025, 6, 1)},
            ],
        )  # fmt: skip
        self.expect(rows, [])

    def test_a_price_after_nothing_has_no_percentage(self):
        rows = self.rows(
            "price_changes",
            plan_price_history=[
                {**self.KEY, "currency": "NOK", "amount": Decimal(0), "valid_from": day(2025, 1, 1)},
                {**self.KEY, "currency": "NOK", "amount": Decimal(9), "valid_from": day(2025, 6, 1)},
            ],
        )
        self.expect(rows, [{"change": 9, "change_percent": None}])


class PlanComparison(ViewCase):
    NOW = {"plan_id": "premium", "plan_version": 2, "cohort": "standard", "is_current": True}

    def test_compares_list_price_offer_and_what_is_paid(self):
        rows = self.rows(
            "plan_comparison",
            plan_price_history=[
                {**self.NOW, "phase_seq": 1, "market": "*", "currency": "EUR", "amount": Decimal(5)},
                {**self.NOW, "phase_seq": 2, "market": "*", "currency": "EUR", "amount": Decimal(10)},
                {**self.NOW, "phase_seq": 1, "market": "NO", "currency": "NOK", "amount": Decimal(59)},
                {**self.NOW, "phase_seq": 2, "market": "NO", "currency": "NOK", "amount": Decimal(109)},
                {**self.NOW, "phase_seq": 2, "market": "NO", "cohort": "student", "currency": "NOK", "amount": Decimal(1)},
                {**self.NOW, "phase_seq": 2, "market": "*", "plan_version": 1, "currency": "EUR", "amount": Decimal(2)},
                {**self.NOW, "phase_seq": 2, "market": "SE", "is_current": False, "currency": "SEK", "amount": Decimal(3)},
            ],
            offer_availability_daily=[
                {"snapshot_date": YESTERDAY, "offer_id": "b", "plan_id": "premium", "market": "NO", "available": True, "net_price": Decimal(50)},
                {"snapshot_date": YESTERDAY, "offer_id": "a", "plan_id": "premium", "market": "NO", "available": True, "net_price": Decimal(50)},
                {"snapshot_date": YESTERDAY, "offer_id": "c", "plan_id": "premium", "market": "NO", "net_price": Decimal(1)},
                {"snapshot_date": BEFORE, "offer_id": "d", "plan_id": "premium", "market": "NO", "available": True, "net_price": Decimal(2)},
            ],
            user_price_daily=[
                {"snapshot_date": YESTERDAY, "subscription_id": "1", "market": "NO", "plan_id": "premium", "currency": "NOK", "net_price": Decimal(109)},
                {"snapshot_date": YESTERDAY, "subscription_id": "2", "market": "NO", "plan_id": "premium", "currency": "NOK", "net_price": Decimal(91)},
                {"snapshot_date": YESTERDAY, "subscription_id": "3", "market": "NO", "plan_id": "premium", "currency": "EUR", "net_price": Decimal(1)},
                {"snapshot_date": YESTERDAY, "subscription_id": "4", "market": "DE", "plan_id": "premium", "currency": "EUR", "net_price": Decimal(10)},
                {"snapshot_date": BEFORE, "subscription_id": "5", "market": "NO", "plan_id": "premium", "currency": "NOK", "net_price": Decimal(1)},
            ],
        )  # fmt: skip
        self.assertEqual(
            rows,
            [
                {
                    "market": "DE", "plan_id": "premium", "plan_version": 2, "currency": "EUR", "first_price": 5, "regular_price": 10,
                    "own_price": False, "best_offer_id": None, "best_offer_price": None, "subscriptions": 1, "average_net_price": 10,
                },
                {
                    "market": "NO", "plan_id": "premium", "plan_version": 2, "currency": "NOK", "first_price": 59, "regular_price": 109,
                    "own_price": True, "best_offer_id": "a", "best_offer_price": 50, "subscriptions": 2, "average_net_price": 100,
                },
            ],
        )  # fmt: skip

    def test_a_plan_that_nobody_has(self):
        price = {**self.NOW, "phase_seq": 1, "market": "NO", "currency": "NOK", "amount": Decimal(109)}
        rows = self.rows("plan_comparison", plan_price_history=[price])
        self.expect(rows, [{"market": "NO", "own_price": True, "subscriptions": 0, "average_net_price": None, "best_offer_id": None}])


if __name__ == "__main__":
    unittest.main()
