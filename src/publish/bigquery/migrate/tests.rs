//! A table as it is wanted, changed a little: what is patched, what is refused and with which SQL.

use serde_json::{Value, json};

use super::*;

/// A table by the day as the service answers it.
fn table() -> Value {
    json!({
        "tableReference": {"projectId": "p-1", "datasetId": "users", "tableId": "user_daily"},
        "type": "TABLE", "etag": "e1", "description": "One row per user and day.",
        "labels": {"gatefold_job": "user_daily", "owner": "o", "tag_daily": ""},
        "timePartitioning": {"type": "DAY", "field": "day", "expirationMs": "34560000000", "requirePartitionFilter": true},
        "requirePartitionFilter": true,
        "clustering": {"fields": ["tier"]},
        "schema": {"fields": [
            {"name": "day", "type": "DATE", "mode": "REQUIRED", "description": "Day."},
            {"name": "pid", "type": "STRING", "mode": "REQUIRED", "description": "Person.",
             "policyTags": {"names": ["tags/pseudonymous"]}},
            {"name": "tier", "type": "STRING", "mode": "NULLABLE", "description": "Tier."},
            {"name": "n", "type": "INTEGER", "mode": "NULLABLE", "description": "Count."},
            {"name": "price", "type": "NUMERIC", "precision": "10", "scale": "2", "description": "Price."},
            {"name": "items", "type": "RECORD", "mode": "REPEATED", "description": "Items.",
             "fields": [{"name": "a", "type": "STRING"}]},
        ]},
        "tableConstraints": {"primaryKey": {"columns": ["day", "pid"]}},
    })
}

fn read(value: Value) -> TableResource {
    serde_json::from_value(value).unwrap()
}

/// The comparison when the table there differs from the one wanted at these JSON pointers; null removes.
fn live_with(changes: &[(&str, Value)]) -> Migration {
    compare(&read(table()), &read(changed(changes)))
}

/// The comparison when the contract has changed.
fn wanted_with(changes: &[(&str, Value)]) -> Migration {
    compare(&read(changed(changes)), &read(table()))
}

fn changed(changes: &[(&str, Value)]) -> Value {
    let mut value = table();
    for (pointer, to) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match value.pointer_mut(parent).unwrap() {
            Value::Object(map) if to.is_null() => drop(map.remove(key)),
            Value::Object(map) => drop(map.insert(key.to_owned(), to.clone())),
            Value::Array(list) if to.is_null() => drop(list.remove(key.parse().unwrap())),
            Value::Array(list) if key == "-" => list.push(to.clone()),
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = to.clone(),
            other => panic!("{other}"),
        }
    }
    value
}

fn told(migration: &Migration) -> Vec<&str> {
    migration.differences.iter().map(|difference| difference.what.as_str()).collect()
}

/// The body of the patch of additive differences alone.
fn body(migration: &Migration) -> Value {
    let patch = migration.patch().unwrap().expect("something differs");
    assert_eq!(
        (patch.dataset.as_str(), patch.table.as_str(), patch.etag.as_deref()),
        ("users", "user_daily", Some("e1"))
    );
    Value::Object(patch.body.clone())
}

#[test]
fn the_same_table_in_other_words_is_the_same() {
    assert!(live_with(&[]).patch().unwrap().is_none());
    let same = live_with(&[
        ("/schema/fields/3/type", json!("INT64")),
        ("/schema/fields/3/name", json!("N")),
        ("/schema/fields/2/mode", Value::Null),
        ("/schema/fields/5/type", json!("STRUCT")),
        ("/requirePartitionFilter", Value::Null),
        ("/tableConstraints/primaryKey/columns", json!(["pid", "day"])),
        ("/numRows", json!("12")),
        ("/type", Value::Null),
    ]);
    assert_eq!(told(&same), Vec::<&str>::new());
    assert!(same.patch().unwrap().is_none());
    let whole = ("/schema/fields/4", json!({"name": "price", "type": "NUMERIC", "precision": "38", "scale": "9"}));
    let plain = ("/schema/fields/4", json!({"name": "price", "type": "NUMERIC"}));
    assert_eq!(told(&compare(&read(changed(&[whole])), &read(changed(&[plain])))), Vec::<&str>::new());
}

#[test]
fn what_people_added_stays() {
    let migration = live_with(&[
        ("/labels/cost_center", json!("7")),
        ("/schema/fields/2/policyTags", json!({"names": ["tags/by_hand"]})),
        ("/schema/fields/3/defaultValueExpression", json!("0")),
        ("/encryptionConfiguration", json!({"kmsKeyName": "theirs"})),
        ("/friendlyName", json!("Users")),
        (
            "/tableConstraints/foreignKeys",
            json!([{
                "name": "theirs", "referencedTable": {"projectId": "p-1", "datasetId": "users", "tableId": "x"},
                "columnReferences": [{"referencingColumn": "tier", "referencedColumn": "tier"}],
            }]),
        ),
    ]);
    assert_eq!(told(&migration), Vec::<&str>::new());
    // A patch of the columns sends back what is there.
    let migration = live_with(&[
        ("/schema/fields/3/defaultValueExpression", json!("0")),
        ("/schema/fields/2/description", json!("Old.")),
    ]);
    assert_eq!(told(&migration), ["the description of `tier`"]);
    let body = body(&migration);
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["schema"]);
    assert_eq!(body["schema"]["fields"][3]["defaultValueExpression"], "0");
    assert_eq!(body["schema"]["fields"][2]["description"], "Tier.");
}

#[test]
fn new_columns_come_last_and_relaxed_ones_stay_where_they_are() {
    let field = json!({"name": "a_new", "type": "STRING", "description": "New."});
    let inner = json!({"name": "b", "type": "INTEGER"});
    let mut wanted = changed(&[("/schema/fields/5/fields/-", inner), ("/schema/fields/1/mode", json!("NULLABLE"))]);
    wanted["schema"]["fields"].as_array_mut().unwrap().insert(0, field);
    let migration = compare(&read(wanted), &read(table()));
    assert_eq!(
        told(&migration),
        [
            "the column `pid` need not have a value any more",
            "the column `items.b` INT64 is new",
            "the column `a_new` STRING is new"
        ]
    );
    let names: Vec<&str> = migration.schema.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["day", "pid", "tier", "n", "price", "items", "a_new"]);
    assert_eq!(body(&migration)["schema"], json!(migration.schema));
    assert_eq!(
        migration.differences[0].to_string(),
        "the column `pid` need not have a value any more: will be changed"
    );
}

#[test]
fn settings_are_patched_and_null_removes() {
    for (changes, what, expected) in [
        (vec![("/description", json!("x"))], "the description", json!({"description": "One row per user and day."})),
        (
            vec![("/labels/owner", json!("x")), ("/labels/tag_old", json!(""))],
            "the labels owner, tag_old",
            json!({"labels": {"owner": "o", "tag_old": null}}),
        ),
        (
            vec![("/timePartitioning/expirationMs", json!("86400000"))],
            "partitions are kept 1 days and shall be 400 days",
            json!({"timePartitioning": {"type": "DAY", "field": "day", "expirationMs": "34560000000"}}),
        ),
        (
            vec![("/requirePartitionFilter", json!(false))],
            "queries must filter by the partition",
            json!({"requirePartitionFilter": true}),
        ),
        (vec![("/clustering", Value::Null)], "clustering by tier", json!({"clustering": {"fields": ["tier"]}})),
        (vec![("/expirationTime", json!("1"))], "the table would expire", json!({"expirationTime": null})),
        (
            vec![("/tableConstraints", Value::Null)],
            "the primary and foreign keys",
            json!({"tableConstraints": {"primaryKey": {"columns": ["day", "pid"]}}}),
        ),
    ] {
        let migration = live_with(&changes);
        assert_eq!((told(&migration), body(&migration)), (vec![what], expected));
    }
    let migration = wanted_with(&[("/timePartitioning/expirationMs", Value::Null), ("/clustering", Value::Null)]);
    assert_eq!(told(&migration), ["partitions are kept 400 days and shall be for ever", "clustering by nothing"]);
    assert_eq!(
        body(&migration),
        json!({"timePartitioning": {"type": "DAY", "field": "day", "expirationMs": null}, "clustering": null})
    );
}

#[test]
fn our_foreign_keys_follow_the_checks() {
    let key = |name: &str| {
        json!({"name": name, "referencedTable": {"projectId": "p-1", "datasetId": "users", "tableId": "x"},
               "columnReferences": [{"referencingColumn": "tier", "referencedColumn": "tier"}]})
    };
    let migration = live_with(&[("/tableConstraints/foreignKeys", json!([key("gatefold_1"), key("theirs")]))]);
    let expected = json!({"primaryKey": {"columns": ["day", "pid"]}, "foreignKeys": [key("theirs")]});
    assert_eq!(body(&migration), json!({"tableConstraints": expected}));
}

#[test]
fn what_one_statement_does_is_refused_with_it() {
    for (migration, what, sql) in [
        (
            live_with(&[("/schema/fields/-", json!({"name": "old", "type": "STRING"}))]),
            "the contract has no column `old`",
            "ALTER TABLE `p-1.users.user_daily` DROP COLUMN `old`;",
        ),
        (
            wanted_with(&[("/schema/fields/3/type", json!("NUMERIC"))]),
            "the column `n` is INT64 and shall be NUMERIC",
            "ALTER TABLE `p-1.users.user_daily` ALTER COLUMN `n` SET DATA TYPE NUMERIC;",
        ),
        (
            wanted_with(&[("/schema/fields/4/precision", json!("12"))]),
            "the column `price` is NUMERIC(10, 2) and shall be NUMERIC(12, 2)",
            "ALTER TABLE `p-1.users.user_daily` ALTER COLUMN `price` SET DATA TYPE NUMERIC(12, 2);",
        ),
        (
            wanted_with(&[("/encryptionConfiguration", json!({"kmsKeyName": "projects/k"}))]),
            "the key of encryption is that of Google and shall be projects/k",
            "ALTER TABLE `p-1.users.user_daily` SET OPTIONS (kms_key_name = 'projects/k');",
        ),
        (
            live_with(&[("/type", json!("MATERIALIZED_VIEW"))]),
            "what stands under the name is no table but MATERIALIZED_VIEW",
            "DROP MATERIALIZED VIEW `p-1.users.user_daily`;",
        ),
        (
            live_with(&[("/type", json!("EXTERNAL")), ("/description", json!("theirs"))]),
            "what stands under the name is no table but EXTERNAL",
            "DROP EXTERNAL TABLE `p-1.users.user_daily`;",
        ),
    ] {
        assert_eq!((told(&migration), migration.sql()), (vec![what], sql));
        let error = migration.patch().expect_err(what);
        assert_eq!(error.kind().exit_code(), 2);
        assert!(error.to_string().contains(what) && error.hint_text().unwrap().ends_with(sql), "{error}");
    }
}

#[test]
fn a_key_of_encryption_is_the_same_in_its_versions() {
    let key = |name: &str| ("/encryptionConfiguration", json!({"kmsKeyName": name}));
    let wanted = read(changed(&[key("projects/k")]));
    let live = read(changed(&[key("projects/k/cryptoKeyVersions/2")]));
    assert_eq!(told(&compare(&wanted, &live)), Vec::<&str>::new());
}

#[test]
fn what_needs_all_rows_written_anew_is_refused_with_the_copy() {
    for (migration, what) in [
        (wanted_with(&[("/schema/fields/3/type", json!("STRING"))]), "the column `n` is INT64 and shall be STRING"),
        (
            wanted_with(&[("/schema/fields/4/precision", json!("8"))]),
            "the column `price` is NUMERIC(10, 2) and shall be NUMERIC(8, 2)",
        ),
        (
            wanted_with(&[("/schema/fields/2/mode", json!("REQUIRED"))]),
            "the column `tier` may be null and shall be required",
        ),
        (
            wanted_with(&[("/schema/fields/2/mode", json!("REPEATED"))]),
            "the column `tier` holds one value and shall be an array",
        ),
        (
            live_with(&[("/schema/fields/2/mode", json!("REPEATED"))]),
            "the column `tier` is an array and shall hold one value",
        ),
        (
            wanted_with(&[("/schema/fields/-", json!({"name": "x", "type": "DATE", "mode": "REQUIRED"}))]),
            "the column `x` DATE is new and required, and the rows there have no value",
        ),
        (
            live_with(&[("/schema/fields/5/fields/-", json!({"name": "b", "type": "STRING"}))]),
            "the contract has no column `items.b`",
        ),
        (
            live_with(&[("/timePartitioning", Value::Null)]),
            "the table is not partitioned and shall be partitioned by day of day",
        ),
        (
            live_with(&[("/timePartitioning/type", json!("MONTH"))]),
            "the table is partitioned by month of day and shall be partitioned by day of day",
        ),
    ] {
        assert!(told(&migration).contains(&what), "{what}: {:?}", told(&migration));
        assert!(migration.sql().contains("CREATE TABLE `p-1.users.user_daily_new` ("), "{what}: {}", migration.sql());
        assert!(migration.patch().is_err(), "{what}");
    }
}

#[test]
fn the_copy_casts_what_can_be_cast_and_asks_for_the_rest() {
    let migration = wanted_with(&[
        ("/schema/fields/3/type", json!("STRING")),
        ("/schema/fields/4/type", json!("DATE")),
        ("/schema/fields/-", json!({"name": "when", "type": "DATE", "mode": "REQUIRED"})),
        ("/schema/fields/-", json!({"name": "flags", "type": "STRING", "mode": "REPEATED"})),
        ("/schema/fields/2", Value::Null),
    ]);
    assert_eq!(
        migration.sql(),
        "ALTER TABLE `p-1.users.user_daily` SET OPTIONS (require_partition_filter = FALSE);\n\
         CREATE TABLE `p-1.users.user_daily_new` (\n  \
         `day` DATE NOT NULL,\n  \
         `pid` STRING NOT NULL,\n  \
         `n` STRING,\n  \
         `price` DATE,\n  \
         `items` ARRAY<STRUCT<`a` STRING>>,\n  \
         `when` DATE NOT NULL,\n  \
         `flags` ARRAY<STRING>\n\
         )\n\
         PARTITION BY `day`\n\
         CLUSTER BY `tier`\n\
         AS SELECT\n  \
         `day`,\n  \
         `pid`,\n  \
         CAST(`n` AS STRING) AS `n`,\n  \
         CAST(ERROR('write what price is in the rows there are') AS DATE) AS `price`,\n  \
         `items`,\n  \
         CAST(ERROR('write what when is in the rows there are') AS DATE) AS `when`,\n  \
         CAST([] AS ARRAY<STRING>) AS `flags`\n\
         FROM `p-1.users.user_daily`;\n\
         ALTER TABLE `p-1.users.user_daily` DROP PRIMARY KEY;\n\
         ALTER TABLE `p-1.users.user_daily` RENAME TO `user_daily_before`;\n\
         ALTER TABLE `p-1.users.user_daily_new` RENAME TO `user_daily`;"
    );
}
