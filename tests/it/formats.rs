//! CSV, JSON lines and Avro on the whole way: the same rows in each give the same table as Parquet does.

use arrow_avro::writer::AvroWriter;

use crate::people::{Person, batch, person, project};
use crate::support::{DAY, Ran, Sandbox};

const ODD: &str = "Åse \"Quote\", O'Neil\nline two 東京 🏙";

/// What text formats get wrong: nulls beside empty text, quotes, commas, line ends, other scripts, negative and small numbers.
fn odd_people() -> Vec<Person> {
    vec![
        person("ada"),
        Person { city: Some(ODD), plan: "paid", active: false, ..person("bob") },
        Person { city: None, visits: None, born: None, balance: None, ..person("c,\"d\"") },
        Person { visits: Some(0), born: Some(-25_567), balance: Some(-1), seen_at_us: 1, ..person("NULL") },
    ]
}

fn project_of(format: &str, settings: &str, file: &str, content: &[u8]) -> Sandbox {
    let sandbox = project();
    sandbox.edit("jobs/snapshots/person.toml", "\"parquet\"", &format!("\"{format}\""));
    let contract = sandbox.read("jobs/snapshots/person.toml");
    sandbox.write("jobs/snapshots/person.toml", contract + settings);
    sandbox.put_day("person", DAY, &[(file, content)]);
    sandbox
}

fn published_rows(sandbox: &Sandbox) -> Vec<String> {
    sandbox.run(DAY).exits(0);
    sandbox.query("SELECT * FROM shop.people ORDER BY person_id").iter().map(ToString::to_string).collect()
}

fn from_parquet() -> Vec<String> {
    let sandbox = project();
    sandbox.put_rows("person", DAY, &batch(&odd_people()));
    published_rows(&sandbox)
}

const CSV: &str = r#"person_id,city,plan,visits,born,seen_at,balance,active,source_seq
ada,Oslo,free,3,1990-01-01,2023-11-14T22:13:20Z,1.25,true,1
bob,"Åse ""Quote"", O'Neil
line two 東京 🏙",paid,3,1990-01-01,2023-11-14 22:13:20 UTC,1.25,false,1
"c,""d""",,free,,,2023-11-14T22:13:20.000000Z,,true,1
"NULL",Oslo,free,0,1900-01-01,1970-01-01T00:00:00.000001Z,-0.000000001,true,1
"#;

#[test]
fn csv_gives_the_rows_of_parquet() {
    let sandbox = project_of("csv", "", "people.csv", CSV.as_bytes());
    assert_eq!(published_rows(&sandbox), from_parquet());
}

#[test]
fn csv_with_its_own_delimiter_null_and_no_header_gives_the_rows_of_parquet() {
    let sandbox = project_of(
        "csv",
        "[csv]\nheader = false\ndelimiter = \"|\"\nquote = \"'\"\nescape = \"\\\\\"\nnull = [\"\\\\N\"]\n",
        "people.txt",
        "ada|Oslo|free|3|1990-01-01|2023-11-14T22:13:20Z|1.25|true|1\r\n\
         bob|'Åse \"Quote\", O\\'Neil\nline two 東京 🏙'|paid|3|1990-01-01|2023-11-14T22:13:20Z|1.25|false|1\r\n\
         c,\"d\"|\\N|free|\\N|\\N|2023-11-14T22:13:20Z|\\N|true|1\r\n\
         NULL|Oslo|free|0|1900-01-01|1970-01-01T00:00:00.000001Z|-0.000000001|true|1\r\n"
            .as_bytes(),
    );
    assert_eq!(published_rows(&sandbox), from_parquet());
}

#[test]
fn json_lines_give_the_rows_of_parquet() {
    let line = |id: &str, rest: serde_json::Value| {
        let mut row = serde_json::json!({
            "person_id": id, "city": "Oslo", "plan": "free", "visits": 3, "born": "1990-01-01",
            "seen_at": "2023-11-14T22:13:20Z", "balance": "1.25", "active": true, "source_seq": 1,
        });
        for (key, value) in rest.as_object().unwrap() {
            row[key] = value.clone();
        }
        format!("{row}\n")
    };
    let text = [
        line("ada", serde_json::json!({})),
        line("bob", serde_json::json!({ "city": ODD, "plan": "paid", "active": false })),
        line("c,\"d\"", serde_json::json!({ "city": null, "visits": null, "born": null, "balance": null })),
        line(
            "NULL",
            serde_json::json!({
                "visits": 0, "born": "1900-01-01", "balance": "-0.000000001", "seen_at": "1970-01-01T00:00:00.000001Z",
            }),
        ),
    ];
    let sandbox = project_of("json", "", "people.jsonl", text.concat().as_bytes());
    assert_eq!(published_rows(&sandbox), from_parquet());
}

#[test]
fn avro_gives_the_rows_of_parquet() {
    let rows = batch(&odd_people());
    let mut writer = AvroWriter::new(Vec::new(), rows.schema().as_ref().clone()).unwrap();
    writer.write(&rows).unwrap();
    writer.finish().unwrap();
    let sandbox = project_of("avro", "", "people.avro", &writer.into_inner());
    assert_eq!(published_rows(&sandbox), from_parquet());
}

/// Runs a published project whose next day holds this.
fn refused(format: &str, file: &str, content: &[u8]) -> Ran {
    let sandbox = project_of(format, "", file, content);
    let run = sandbox.lake_stays(|| sandbox.run(DAY));
    run.exits(11).says([file, "snapshot_date=2026-11-20"]);
    run
}

#[test]
fn text_that_is_not_utf_8_is_refused_at_its_line() {
    let at = CSV.find("Oslo,free,0").unwrap();
    let mut csv = CSV.as_bytes().to_vec();
    csv[at] = 0xD8;
    refused("csv", "people.csv", &csv).says(["UTF-8", "line"]);
    refused("json", "people.jsonl", b"{\"person_id\": \"\xD8se\"}\n").says(["UTF-8", "line"]);
}

#[test]
fn files_of_text_that_are_cut_or_no_text_are_refused() {
    refused("csv", "people.csv", b"person_id,city\n\"ada,Oslo\n");
    refused("json", "people.jsonl", b"{\"person_id\": \"ada\",\n").says(["line"]);
    refused("avro", "people.avro", b"Obj\x01 and no more");
}

#[test]
fn a_column_that_a_text_lacks_is_refused() {
    refused("csv", "people.csv", b"person_id,cty\nada,Oslo\n").says(["column 'city' (STRING) is missing", "'cty'"]);
}

#[test]
fn a_text_that_is_no_value_of_its_column_sets_the_row_aside() {
    let text = CSV.replace("ada,Oslo,free,3,1990-01-01", "ada,Oslo,free,3,20226-01-01").replace("bob", "eve");
    let sandbox = project_of("csv", "", "people.csv", text.as_bytes());
    sandbox.run(DAY).exits(0);
    assert_eq!(sandbox.rows("SELECT count(*) FROM shop.people"), ["3"]);
    let told = sandbox.rows("SELECT rule, key, column_name, reason FROM ops.rejected_row");
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("unparsable_value,ada,born,") && told[0].contains("born = '20226-01-01'"), "{told:?}");
}
