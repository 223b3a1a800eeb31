//! `sql`: a query of the job's own whose rows must not exist.

use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};

use super::Subject;
use super::case::{Case, EXAMPLES, Mask, labelled};
use super::report::{Finding, rows};
use crate::error::Result;

pub(super) async fn judge(case: Case<'_>, sql: &str) -> Result<Finding> {
    let query = plan(case, sql).await?;
    let counted = query.clone().aggregate(vec![], vec![count(lit(1))]).map_err(|error| broken(case, error))?;
    let returned = super::case::first_row(counted).await.map_err(|error| broken(case, error))?;
    let returned = returned.first().map_or(Ok(0), super::case::count).map_err(|error| case.fault(error))?;
    let detail = match returned {
        0 => "the query returns no rows".to_owned(),
        _ => format!("the query returns {}, and there must be none", rows(returned)),
    };
    if returned == 0 {
        return Ok(Finding::rows(case.check, 0, detail, Vec::new()));
    }
    let examples = examples(case.subject, query, sql).await.map_err(|error| broken(case, error))?;
    Ok(Finding::rows(case.check, returned, detail, examples))
}

/// The query as a plan. The text may do nothing but select.
pub(super) async fn plan(case: Case<'_>, sql: &str) -> Result<DataFrame> {
    let frame = case.subject.frame(sql).await.map_err(|error| broken(case, error))?;
    match frame.logical_plan() {
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => {
            Err(case.wrong("the check is not a SELECT").hint("write one that returns the rows that must not exist"))
        }
        _ => Ok(frame),
    }
}

/// A query that does not plan or fails on the data is the project's fault, unless memory or the store gave out.
fn broken(case: Case<'_>, error: DataFusionError) -> crate::error::Error {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) | DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => {
            case.fault(error)
        }
        _ => case.wrong("the query of the check does not work").hint(case.subject.guarded.readable()).source(error),
    }
}

/// The first rows in the order of all their columns, so that they are the same every time.
async fn examples(subject: &Subject<'_>, query: DataFrame, sql: &str) -> DataFusionResult<Vec<String>> {
    let labels: Vec<String> = query.schema().fields().iter().map(|field| field.name().clone()).collect();
    let masks = masks(subject, sql, &labels)?;
    let in_order = query.schema().iter().map(|column| Expr::from(column).sort(true, false)).collect();
    let first = query.sort(in_order)?.limit(0, Some(EXAMPLES))?.collect().await?;
    labelled(&first, &labels, &masks)
}

/// How each value is shown: not as it is when it may name a person. A query may give anything any name, and the classes of
/// the inputs' columns are not known here: so a value is shown when its column has the name of one of the table's that is
/// not direct, or when the query reads nothing but the table and the table has no direct column.
fn masks<'a>(subject: &'a Subject<'_>, sql: &str, labels: &[String]) -> DataFusionResult<Vec<Mask<'a>>> {
    let guarded = subject.guarded;
    let harmless =
        reads_only_the_table(subject, sql)? && !guarded.columns().iter().any(|column| guarded.is_direct(&column.name));
    let mask = |label: &String| match harmless || guarded.is_known_harmless(label) {
        true => Mask::Plain,
        false if guarded.is_direct(label) => subject.mask(label),
        false => Mask::Withheld,
    };
    Ok(labels.iter().map(mask).collect())
}

fn reads_only_the_table(subject: &Subject<'_>, sql: &str) -> DataFusionResult<bool> {
    let state = subject.ctx.state();
    let statement = state.sql_to_statement(sql, &state.config().options().sql_parser.dialect)?;
    let table = TableReference::bare(subject.guarded.name());
    Ok(state.resolve_table_references(&statement)?.iter().all(|read| *read == table))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Row, Setting, check};
    use super::*;
    use crate::error::ErrorKind;
    use crate::job::CheckKind;

    fn sql(text: &str) -> CheckKind {
        CheckKind::Sql { name: "paid_is_not_free".to_owned(), sql: text.to_owned() }
    }

    fn rows() -> Vec<Row> {
        (0..12).map(|rank| Row { tier_rank: Some(rank), email: Some("a@b.c"), ..Row::default() }).collect()
    }

    async fn judged(text: &str) -> Finding {
        let setting = Setting::new(&rows());
        setting.sql("CREATE TABLE plans (name VARCHAR) AS VALUES ('free')").await;
        setting.judge(sql(text)).await
    }

    #[tokio::test]
    async fn no_rows_pass() {
        let finding = judged("SELECT * FROM user_daily WHERE tier_rank < 0").await;
        assert!(finding.passed);
        assert_eq!(finding.name, "sql(paid_is_not_free)");
        assert_eq!((finding.failing_rows, finding.detail.as_str()), (Some(0), "the query returns no rows"));
        assert!(Setting::new(&[]).judge(sql("SELECT user_pid FROM user_daily")).await.passed);
    }

    #[tokio::test]
    async fn rows_are_counted_and_ten_are_shown_in_order() {
        let finding = judged("SELECT tier_rank, tier FROM user_daily ORDER BY tier_rank DESC; -- all").await;
        assert!(!finding.passed);
        assert_eq!(finding.detail, "the query returns 12 rows, and there must be none");
        assert_eq!(finding.examples.len(), 10);
        assert_eq!(finding.examples[0], "tier_rank=0, tier=free");
        assert_eq!(finding.examples[9], "tier_rank=9, tier=free");
    }

    #[tokio::test]
    async fn parameters_and_inputs_can_be_named() {
        let text = "SELECT user_daily.tier FROM user_daily JOIN plans ON tier = name
                    WHERE snapshot_date = $snapshot_date AND seen_at <= $as_of AND tier_rank = 0";
        assert_eq!(judged(text).await.examples, ["tier=free"]);
    }

    #[tokio::test]
    async fn a_value_that_may_name_a_person_is_withheld() {
        let one = |columns: &str, from: &str| format!("SELECT {columns} FROM {from} WHERE tier_rank = 0");
        let direct = judged(&one("email, email AS who, tier", "user_daily")).await;
        assert_eq!(direct.examples, ["email=<withheld>, who=<withheld>, tier=free"]);
        let from_an_input = judged(&one("name, tier", "user_daily CROSS JOIN plans")).await;
        assert_eq!(from_an_input.examples, ["name=<withheld>, tier=free"]);
        let without_direct = Setting::new(&rows()).without_column("email");
        let counted = without_direct.judge(sql("SELECT count(*) AS n FROM user_daily")).await;
        assert_eq!(counted.examples, ["n=12"]);
    }

    #[tokio::test]
    async fn a_check_does_not_change_what_it_looks_at() {
        let changes = [
            "DROP TABLE user_daily",
            "CREATE TABLE other AS SELECT * FROM user_daily",
            "INSERT INTO user_daily SELECT * FROM user_daily",
            "SET datafusion.execution.batch_size = 1",
        ];
        for text in changes {
            let setting = Setting::new(&rows()).with_checks([check(sql(text))]);
            assert_eq!(setting.run().await.unwrap_err().kind(), ErrorKind::Project, "{text}");
            let left = setting.ctx.table("user_daily").await.unwrap().count().await.unwrap();
            assert_eq!((left, setting.ctx.table_exist("other").unwrap()), (12, false), "{text}");
            assert_ne!(setting.ctx.state().config().batch_size(), 1, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_not_a_query_over_the_tables_is_the_projects_fault() {
        for text in [
            "SELECT teir FROM user_daily",
            "SELECT * FROM elsewhere",
            "SELEC",
            "SELECT 1; SELECT 2",
            "EXPLAIN SELECT * FROM user_daily",
            "SELECT * FROM user_daily WHERE tier = $other",
        ] {
            let error = Setting::new(&rows()).fault(sql(text)).await;
            assert_eq!(error.kind(), ErrorKind::Project, "{text}");
            assert!(error.context().contains(&("file", "jobs/user_daily.toml:12:3".to_owned())), "{error}");
        }
        let error = Setting::new(&rows()).fault(sql("SELECT 1 / tier_rank FROM user_daily")).await;
        assert_eq!(error.kind(), ErrorKind::Project);
    }
}
