//! `user_pid(account_id)`: the pseudonym of an account, rule R13.

use std::sync::Arc;

use arrow::array::StringBuilder;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::{Arguments, any_nullable, expect_count, returns, text};
use crate::error::Error;
use crate::pseudonym::{HEX_DIGITS, KEY_VARIABLE, PseudonymKey, hex_text};

const USAGE: &str = "user_pid(account_id)";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct UserPid {
    signature: Signature,
    key: Option<Arc<PseudonymKey>>,
}

impl UserPid {
    pub fn new(key: Option<Arc<PseudonymKey>>) -> Self {
        UserPid { signature: Signature::user_defined(Volatility::Immutable), key }
    }

    fn key(&self) -> Result<&PseudonymKey> {
        self.key.as_deref().ok_or_else(|| {
            let error = Error::project("user_pid needs the pseudonym key, and there is none")
                .with("variable", KEY_VARIABLE)
                .hint(format!("set {KEY_VARIABLE}, or name the key's file in the environment of gatefold.toml"));
            DataFusionError::External(Box::new(error))
        })
    }
}

impl ScalarUDFImpl for UserPid {
    fn name(&self) -> &str {
        "user_pid"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        expect_count::<1>(USAGE, given)?;
        Ok(vec![text(USAGE, "account_id", &given[0])?])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        returns(self.name(), DataType::Utf8, any_nullable(&args))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let key = self.key()?;
        let args = Arguments::new(&args)?;
        let mut pids = StringBuilder::with_capacity(args.rows, args.rows * HEX_DIGITS);
        for account_id in args.only_text()? {
            match account_id {
                Some(account_id) => pids.append_value(hex_text(&key.user_pid(account_id))),
                None => pids.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(pids.finish())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::register;
    use super::super::testing::{context, in_every_layout, plan_error, values};
    use super::*;
    use crate::error::ErrorKind;
    use datafusion::prelude::SessionContext;

    const KNOWN: &str = "9fc803773667e69d554afa96635885fd";

    #[tokio::test]
    async fn the_known_answer_in_every_layout() {
        let account_ids = [Some("acct-000001"), None, Some(""), Some("Zoë \"x\"\n")];
        for ctx in in_every_layout("account", "account_id", &account_ids) {
            let pids = values(&ctx, "SELECT user_pid(account_id) FROM account").await;
            assert_eq!(pids[..2], [KNOWN, "NULL"]);
            assert!(pids[2..].iter().all(|pid| pid.len() == 32), "{pids:?}");
        }
    }

    #[tokio::test]
    async fn constants_and_nulls() {
        let ctx = context();
        assert_eq!(values(&ctx, "SELECT user_pid('acct-000001')").await, [KNOWN]);
        assert_eq!(values(&ctx, "SELECT user_pid(NULL)").await, ["NULL"]);
        assert_eq!(values(&ctx, "SELECT user_pid('acct-000001') FROM range(0, 3)").await, [KNOWN; 3]);
    }

    #[tokio::test]
    async fn nullable_as_its_argument_is() {
        let frame = context().sql("SELECT user_pid('a') AS a, user_pid(NULL) AS b").await.unwrap();
        assert!(!frame.schema().field(0).is_nullable());
        assert!(frame.schema().field(1).is_nullable());
    }

    #[tokio::test]
    async fn with_no_key_it_plans_and_does_not_run() {
        let ctx = SessionContext::new();
        register(&ctx, None);
        for sql in ["SELECT user_pid('acct-000001')", "SELECT user_pid(CAST(value AS STRING)) FROM range(0, 3)"] {
            let frame = ctx.sql(sql).await.unwrap();
            ctx.state().create_physical_plan(frame.logical_plan()).await.unwrap();
            let error = frame.collect().await.unwrap_err();
            let DataFusionError::External(source) = error.find_root() else { panic!("{error}") };
            let error = source.downcast_ref::<Error>().unwrap();
            assert_eq!(error.kind(), ErrorKind::Project);
            assert!(error.to_string().contains(KEY_VARIABLE), "{error}");
        }
    }

    #[tokio::test]
    async fn no_plan_shows_the_key() {
        let frame = context().sql("EXPLAIN VERBOSE SELECT user_pid(CAST(value AS STRING)) FROM range(0, 3)").await;
        let shown = format!("{:?}", frame.unwrap().collect().await.unwrap());
        assert!(shown.contains("user_pid") && !shown.contains("gatefold-test-key"));
    }

    #[tokio::test]
    async fn wrong_calls_are_plan_errors() {
        assert!(plan_error("SELECT user_pid()").await.contains("user_pid(account_id) takes 1 argument, not 0"));
        assert!(plan_error("SELECT user_pid(1)").await.contains("account_id must be a STRING, not Int64"));
    }
}
