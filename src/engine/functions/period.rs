//! Texts that name a length of time, as rows state them.

use datafusion::common::{DataFusionError, Result};

use crate::calendar::LengthUnit;
use crate::error::{Error, ErrorKind};

/// The period that a row names: null and `none` are no period.
pub(super) fn period_of(function: &str, name: Option<&str>) -> Result<Option<LengthUnit>> {
    match name {
        None | Some("none") => Ok(None),
        Some(name) => match LengthUnit::from_name(name) {
            Some(unit) => Ok(Some(unit)),
            None => Err(unknown_period(function, name)),
        },
    }
}

fn unknown_period(function: &str, name: &str) -> DataFusionError {
    let error = Error::new(ErrorKind::InputBroken, format!("'{name}' is not a period"))
        .hint(format!("{function} takes none, day, week, month and year"));
    DataFusionError::External(Box::new(error))
}
