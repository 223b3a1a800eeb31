//! Files that are wrong, and what is said of them.

use super::*;
use crate::error::Error;

fn refusal(text: &str) -> Error {
    read(&project().1, text).expect_err(text)
}

#[test]
fn a_broken_file_is_refused_at_its_place() {
    let good = "model = 'sale_daily'\n[defaults.sale]\nstatus = 'paid'\n[[test]]\nname = 'x'\ndate = '2026-11-20'\n\
                given.sale = [{ sale_id = 'a' }, { sale_id = 'b' }]\nexpect = [{ sale_id = 'a' }]\n";
    assert_eq!(read(&project().1, good).unwrap().len(), 1);
    for (from, to, expected) in [
        (
            "'sale_daily'",
            "'sale_dayly'",
            "there is no job 'sale_dayly'; file: tests/models/x.toml:1:9; hint: did you mean 'sale_daily'?",
        ),
        ("model", "modle", "unknown key 'modle'; file: tests/models/x.toml:1:1; hint: did you mean 'model'?"),
        (
            "defaults.sale",
            "defaults.sales",
            "the model does not read 'sales'; file: tests/models/x.toml:2:11; hint: did you mean 'sale'?",
        ),
        (
            "status = 'paid'",
            "staus = 'paid'",
            "there is no column 'staus'; file: tests/models/x.toml:3:1; hint: did you mean 'status'?",
        ),
        (
            "'paid'",
            "'pad'",
            "'pad' is not an accepted value of 'status'; file: tests/models/x.toml:3:10; hint: did you mean 'paid'?",
        ),
        (
            "status = 'paid'",
            "pieces = 'many'",
            "\"many\" is no value of 'pieces', which is INT64; file: tests/models/x.toml:3:10; hint: write it as a whole number: 3",
        ),
        (
            "status = 'paid'",
            "sold_on = '2026-02-30'",
            "is no value of 'sold_on', which is DATE; file: tests/models/x.toml:3:11",
        ),
        (
            "status = 'paid'",
            "labels = 'a'",
            "\"a\" is no value of 'labels', which is ARRAY<STRING>; file: tests/models/x.toml:3:10; hint: write it as a list",
        ),
        (
            "status = 'paid'",
            "labels = ['a', 1]",
            "1 is no value of 'labels[]', which is STRING; file: tests/models/x.toml:3:10",
        ),
        (
            "status = 'paid'",
            "place = { nr = 1 }",
            "'place' has no field 'nr'; file: tests/models/x.toml:3:9; hint: known: street, number",
        ),
        ("status = 'paid'", "place = 'here'", "is no value of 'place', which is STRUCT<street STRING, number INT64>"),
        (
            "status = 'paid'",
            "buyer = { nul = true }",
            "is no value of 'buyer', which is STRING; file: tests/models/x.toml:3:9",
        ),
        (
            "status = 'paid'",
            "buyer = { null = false }",
            "is not null; file: tests/models/x.toml:3:9; hint: write { null = true }",
        ),
        (
            "status = 'paid'",
            "status = { null = true }",
            "'status' is required and cannot be null; file: tests/models/x.toml:3:10",
        ),
        ("status = 'paid'", "buyer = { user_pid_of = 1 }", "1 is no account; file: tests/models/x.toml:3:9"),
        (
            "status = 'paid'",
            "snapshot_date = '2026-11-20'",
            "'snapshot_date' is the day of the rows and is not given; file: tests/models/x.toml:3:1",
        ),
        ("name = 'x'\n", "", "the key 'name' is missing; file: tests/models/x.toml:4:1"),
        ("name = 'x'", "name = ' '", "the text is empty; file: tests/models/x.toml:5:8"),
        ("'2026-11-20'", "'20.11.2026'", "'20.11.2026' is not a date; file: tests/models/x.toml:6:8"),
        (
            "given.sale",
            "given.sael",
            "the model does not read 'sael'; file: tests/models/x.toml:7:7; hint: did you mean 'sale'?",
        ),
        (
            "given.sale = [{ sale_id = 'a' }, { sale_id = 'b' }]",
            "given.sale = 3",
            "integer 3 stands where a list belongs; file: tests/models/x.toml:7:14",
        ),
        (
            "'b'",
            "'a'",
            "two rows of 'sale' have the same key; file: tests/models/x.toml:7:34; hint: sale_id must differ",
        ),
        (
            "expect = [{ sale_id = 'a' }]",
            "expect = [{ sale = 'a' }]",
            "there is no column 'sale'; file: tests/models/x.toml:8:13",
        ),
        (
            "expect = [{ sale_id = 'a' }]",
            "expect = [{ pieces = 'a' }]",
            "is no value of 'pieces', which is INT64; file: tests/models/x.toml:8:22",
        ),
        ("expect = [{ sale_id = 'a' }]", "", "the key 'expect' is missing; file: tests/models/x.toml:4:1"),
    ] {
        assert!(good.contains(from), "{from}");
        let refusal = refusal(&good.replacen(from, to, 1));
        assert_eq!(refusal.kind().exit_code(), 2);
        assert!(refusal.to_string().contains(expected), "{to}\n{refusal}");
    }
    let twice = format!("{good}[[test]]\nname = 'x'\ndate = '2026-11-20'\nexpect = []\n");
    assert!(
        refusal(&twice).to_string().contains("'x' stands twice; file: tests/models/x.toml:10:8"),
        "{}",
        refusal(&twice)
    );
}
