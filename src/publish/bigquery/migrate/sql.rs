//! The GoogleSQL that a person runs to approve what is refused, and what a table is in its words.

use super::columns::same_name;
use super::{Difference, Effect, Remedy};
use crate::publish::bigquery::resource::{FieldSchema, Mode, TableResource};

/// The statements for all that is refused. A copy takes care of everything, so it stands alone.
pub(super) fn approval(wanted: &TableResource, live: &TableResource, differences: &[Difference]) -> String {
    let remedies = differences.iter().filter_map(|difference| match &difference.effect {
        Effect::Refused(remedy) => Some(remedy),
        Effect::Additive => None,
    });
    let mut statements: Vec<String> = Vec::new();
    for remedy in remedies {
        match remedy {
            Remedy::Copy => return copy(wanted, live),
            Remedy::Statement(statement) => statements.push(statement.clone()),
        }
    }
    statements.join("\n")
}

/// Writes the rows into a new table and lets it take the old one's place, which stays beside it. What is not a matter of
/// rows (descriptions, labels, keys) is added by the next run.
fn copy(wanted: &TableResource, live: &TableResource) -> String {
    let (name, old) = (&live.reference().table_id, live.quoted());
    let new = sibling(live, "new");
    let columns: Vec<String> = wanted.schema.fields.iter().map(definition).collect();
    let selected: Vec<String> = wanted.schema.fields.iter().map(|field| value(field, &live.schema.fields)).collect();
    let mut sql = String::new();
    if requires_filter(live) {
        sql += &format!("ALTER TABLE {old} SET OPTIONS (require_partition_filter = FALSE);\n");
    }
    sql += &format!("CREATE TABLE {new} (\n  {}\n)\n", columns.join(",\n  "));
    if let Some(partition) = partition_expression(wanted) {
        sql += &format!("PARTITION BY {partition}\n");
    }
    if !clustering(wanted).is_empty() {
        let columns: Vec<String> = clustering(wanted).iter().map(|name| ident(name)).collect();
        sql += &format!("CLUSTER BY {}\n", columns.join(", "));
    }
    if let Some(key) = kms_key(wanted).or_else(|| kms_key(live)) {
        sql += &format!("OPTIONS (kms_key_name = {})\n", text(key));
    }
    sql += &format!("AS SELECT\n  {}\nFROM {old};\n", selected.join(",\n  "));
    if live.table_constraints.as_ref().is_some_and(|keys| keys.primary_key.is_some()) {
        // BigQuery does not rename a table that has one.
        sql += &format!("ALTER TABLE {old} DROP PRIMARY KEY;\n");
    }
    sql + &format!(
        "ALTER TABLE {old} RENAME TO {};\nALTER TABLE {new} RENAME TO {};",
        ident(&format!("{name}_before")),
        ident(name)
    )
}

fn sibling(table: &TableResource, suffix: &str) -> String {
    let reference = table.reference();
    format!("`{}.{}.{}_{suffix}`", reference.project_id, reference.dataset_id, reference.table_id)
}

fn definition(field: &FieldSchema) -> String {
    let required = if field.mode == Mode::Required { " NOT NULL" } else { "" };
    format!("{} {}{required}", ident(&field.name), sql_type(field))
}

/// The value of a column of the new table in a row of the old one. Where only a person can say it, the statement fails
/// and tells so.
fn value(field: &FieldSchema, live: &[FieldSchema]) -> String {
    let (name, wanted) = (ident(&field.name), sql_type(field));
    let unsaid = || {
        let message = format!("write what {} is in the rows there are", field.name);
        format!("CAST(ERROR({}) AS {wanted}) AS {name}", text(&message))
    };
    match live.iter().find(|other| same_name(other, field)) {
        None if field.mode == Mode::Repeated => format!("CAST([] AS {wanted}) AS {name}"),
        None if field.mode == Mode::Required => unsaid(),
        None => format!("CAST(NULL AS {wanted}) AS {name}"),
        Some(other) if sql_type(other) == wanted => name,
        Some(other) if can_cast(other, field) => format!("CAST({name} AS {wanted}) AS {name}"),
        Some(_) => unsaid(),
    }
}

/// https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules
fn can_cast(from: &FieldSchema, to: &FieldSchema) -> bool {
    const NUMBERS: [&str; 4] = ["INT64", "NUMERIC", "BIGNUMERIC", "FLOAT64"];
    const TIMES: [&str; 3] = ["DATE", "DATETIME", "TIMESTAMP"];
    if from.mode == Mode::Repeated || to.mode == Mode::Repeated || !from.fields.is_empty() || !to.fields.is_empty() {
        return false;
    }
    let (from, to) = (base_type(&from.r#type), base_type(&to.r#type));
    let both = |group: &[&str]| group.contains(&from) && group.contains(&to);
    from == "STRING" || to == "STRING" || both(&NUMBERS) || both(&TIMES) || both(&["BOOL", "INT64"]) || from == to
}

/// `ALTER COLUMN` widens a number in place, where the column does not lay out the table.
pub(super) fn alter_type(
    live: &TableResource,
    wanted: &TableResource,
    from: &FieldSchema,
    to: &FieldSchema,
) -> Option<String> {
    let lays_out = clustering(live).iter().any(|name| name.eq_ignore_ascii_case(&from.name))
        || partition_expression(wanted).is_some_and(|partition| partition.contains(&ident(&from.name)));
    let widens = match (base_type(&from.r#type), base_type(&to.r#type)) {
        ("INT64", "NUMERIC" | "BIGNUMERIC") => to.precision.is_none(),
        ("INT64", "FLOAT64") | ("NUMERIC" | "BIGNUMERIC", "FLOAT64") => true,
        ("NUMERIC", "NUMERIC") | ("BIGNUMERIC", "BIGNUMERIC") | ("NUMERIC", "BIGNUMERIC") => {
            let ((from_whole, from_scale), (to_whole, to_scale)) = (digits(from), digits(to));
            from_whole <= to_whole && from_scale <= to_scale
        }
        _ => false,
    };
    let one_value = from.mode != Mode::Repeated && to.mode != Mode::Repeated;
    (widens && one_value && !lays_out).then(|| {
        format!("ALTER TABLE {} ALTER COLUMN {} SET DATA TYPE {};", live.quoted(), ident(&from.name), sql_type(to))
    })
}

/// Digits before and after the point.
fn digits(field: &FieldSchema) -> (u64, u64) {
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<u64>().ok());
    match (number(&field.precision), number(&field.scale).unwrap_or(0)) {
        (Some(precision), scale) => (precision.saturating_sub(scale), scale),
        (None, _) if base_type(&field.r#type) == "NUMERIC" => (29, 9),
        (None, _) => (38, 38),
    }
}

pub(super) fn drop_column(table: &TableResource, column: &str) -> String {
    format!("ALTER TABLE {} DROP COLUMN {};", table.quoted(), ident(column))
}

pub(super) fn set_kms_key(table: &TableResource, key: &str) -> String {
    format!("ALTER TABLE {} SET OPTIONS (kms_key_name = {});", table.quoted(), text(key))
}

/// What stands under a table's name and is none.
pub(super) fn drop_other(kind: &str, table: &TableResource) -> String {
    let what = match kind {
        "EXTERNAL" => "EXTERNAL TABLE",
        "SNAPSHOT" => "SNAPSHOT TABLE",
        "MATERIALIZED_VIEW" => "MATERIALIZED VIEW",
        _ => "VIEW",
    };
    format!("DROP {what} {};", table.quoted())
}

/// How rows are laid out in partitions, in words.
pub(super) fn layout(table: &TableResource) -> String {
    match (&table.table.time_partitioning, &table.table.range_partitioning) {
        (Some(time), _) => {
            let column = time.field.as_deref().unwrap_or("_PARTITIONTIME");
            format!("partitioned by {} of {column}", time.r#type.to_lowercase())
        }
        (None, Some(_)) => "partitioned by ranges of numbers".to_owned(),
        (None, None) => "not partitioned".to_owned(),
    }
}

fn partition_expression(table: &TableResource) -> Option<String> {
    let partitioning = table.table.time_partitioning.as_ref()?;
    let name = partitioning.field.as_deref()?;
    let field = table.schema.fields.iter().find(|field| field.name == name)?;
    let (column, unit) = (ident(name), &partitioning.r#type);
    Some(match base_type(&field.r#type) {
        "DATE" if unit == "DAY" => column,
        kind => format!("{kind}_TRUNC({column}, {unit})"),
    })
}

pub(super) fn clustering(table: &TableResource) -> &[String] {
    table.table.clustering.as_ref().and_then(|clustering| clustering.fields.as_deref()).unwrap_or_default()
}

pub(super) fn kms_key(table: &TableResource) -> Option<&str> {
    table.table.encryption_configuration.as_ref()?.kms_key_name.as_deref()
}

/// The service answers in both places, the second of them deprecated.
pub(super) fn requires_filter(table: &TableResource) -> bool {
    let nested = || table.table.time_partitioning.as_ref().and_then(|time| time.require_partition_filter);
    table.table.require_partition_filter.or_else(nested).unwrap_or(false)
}

/// The type in GoogleSQL, one name for one meaning: INTEGER and INT64 are INT64, NUMERIC(38, 9) is NUMERIC.
pub(super) fn sql_type(field: &FieldSchema) -> String {
    let base = base_type(&field.r#type);
    let item = match base {
        "STRUCT" => {
            let fields: Vec<String> =
                field.fields.iter().map(|inner| format!("{} {}", ident(&inner.name), sql_type(inner))).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        "NUMERIC" | "BIGNUMERIC" => match (&field.precision, field.scale.as_deref().unwrap_or("0")) {
            (None, _) => base.to_owned(),
            (Some(precision), scale) if is_whole(base, precision, scale) => base.to_owned(),
            (Some(precision), "0") => format!("{base}({precision})"),
            (Some(precision), scale) => format!("{base}({precision}, {scale})"),
        },
        other => other.to_owned(),
    };
    if field.mode == Mode::Repeated { format!("ARRAY<{item}>") } else { item }
}

fn is_whole(base: &str, precision: &str, scale: &str) -> bool {
    matches!((base, precision, scale), ("NUMERIC", "38", "9") | ("BIGNUMERIC", "76", "38"))
}

fn base_type(name: &str) -> &str {
    match name {
        "INTEGER" => "INT64",
        "FLOAT" => "FLOAT64",
        "BOOLEAN" => "BOOL",
        "RECORD" => "STRUCT",
        other => other,
    }
}

fn ident(name: &str) -> String {
    format!("`{name}`")
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}
