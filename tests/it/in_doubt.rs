//! Days that do not say whether a key is gone: a row that was set aside, a user whose account was, a day that is not whole.

use serde_json::{Value, json};

use crate::history::{ALL, day, put, with_days};
use crate::support::{KEY_VARIABLE, Sandbox};

fn contract(key: &str, columns: &str) -> String {
    format!(
        "description = \"What is sent.\"\nowner = \"o@example.com\"\nformat = \"json\"\nkey = [{key}]\n\
         rejects = {{ max_fraction = 0.01, max_rows = 5 }}\ncolumns = [\n{columns}]\n"
    )
}

const ID: &str =
    "  { name = \"account_id\", type = \"STRING\", required = true, pii = \"direct\", description = \"Account.\" },\n";

const JOB: &str = r#"description = "What users may do, from when to when."
owner       = "o@example.com"
sql         = "sql/perks.sql"
inputs      = ["person", "perk"]

[table]
dataset   = "shop"
mode      = "history"
grain     = ["user_pid", "perk", "valid_from"]
partition = { column = "valid_from", by = "month" }
keep_open = { column = "user_pid", sql = "sql/in_doubt.sql" }
columns = [
  { name = "user_pid",   type = "STRING", required = true, pii = "pseudonymous", description = "User." },
  { name = "perk",       type = "STRING", required = true, description = "What the user may do." },
  { name = "level",      type = "INT64", description = "How much of it." },
  { name = "valid_from", type = "TIMESTAMP", required = true, description = "From when on the row holds." },
  { name = "valid_to",   type = "TIMESTAMP", description = "From when on it no longer holds." },
  { name = "is_current", type = "BOOL", required = true, description = "Whether it holds." },
]
"#;

/// The key of the history is no column of any snapshot, and the model knows accounts through a step alone.
const STEP: &str = "SELECT account_id, user_pid(account_id) AS user_pid FROM account";
const SQL: &str = "SELECT user_pid, perk, level FROM person JOIN perk USING (account_id)";
const IN_DOUBT: &str = "SELECT user_pid(account_id) FROM rejected_account WHERE account_id IS NOT NULL \
                        UNION ALL SELECT user_pid FROM rejected_perk JOIN person USING (account_id)";

fn perks() -> Sandbox {
    let sandbox = Sandbox::new();
    for stays_out in ["jobs", "sql", "tests"] {
        sandbox.remove(stays_out);
    }
    let named =
        |name: &str, kind: &str| format!("  {{ name = \"{name}\", type = \"{kind}\", description = \"D.\" }},\n");
    let required = |column: String| column.replace(", description", ", required = true, description");
    let account = format!("{ID}{}", named("country", "STRING"));
    let perk = format!("{ID}{}{}", required(named("perk", "STRING")), named("level", "INT64"));
    sandbox.write("jobs/snapshots/account.toml", contract("\"account_id\"", &account));
    sandbox.write("jobs/snapshots/perk.toml", contract("\"account_id\", \"perk\"", &perk));
    sandbox.write("jobs/perks.toml", JOB);
    sandbox.write("sql/steps/person.sql", STEP);
    sandbox.write("sql/perks.sql", SQL);
    sandbox.write("sql/in_doubt.sql", IN_DOUBT);
    sandbox
}

/// Puts a day and runs it; an account is its id and its country, a perk its account, its name and its level.
#[track_caller]
fn run(sandbox: &Sandbox, number: u32, accounts: &[(Value, &str)], perks: &[(&str, &str, i64)], told: &str) {
    let accounts = accounts.iter().map(|(id, country)| json!({ "account_id": id, "country": country }));
    let perks = perks.iter().map(|(id, perk, level)| json!({ "account_id": id, "perk": perk, "level": level }));
    let lines = |rows: &mut dyn Iterator<Item = Value>| rows.map(|row| format!("{row}\n")).collect::<String>();
    for (snapshot, text) in [("account", lines(&mut accounts.into_iter())), ("perk", lines(&mut perks.into_iter()))] {
        sandbox.put_day(snapshot, &day(number), &[("rows.jsonl", text.as_bytes())]);
    }
    sandbox.run(&day(number)).exits(0).prints([told]);
}

/// Perk, level, from when and until when.
fn held(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows(
        "SELECT perk, level, CAST(valid_from AS DATE) AS f, CAST(valid_to AS DATE) AS t FROM shop.perks ORDER BY 1, 3",
    )
}

/// Case 22 for a history whose key is derived.
#[test]
fn a_user_whose_account_is_set_aside_for_a_day_keeps_what_was() {
    let sandbox = perks();
    let [ann, bob, cat] = ["ann", "bob", "cat"].map(|id| (json!(id), "NO"));
    let first = [("ann", "a", 5), ("ann", "b", 1), ("bob", "c", 5), ("cat", "d", 5)];
    run(&sandbox, 1, &[ann.clone(), bob.clone(), cat.clone()], &first, "4 opened, 0 closed, 0 unchanged");

    // Ann's rows contradict each other, a row is nobody's, Bob is gone, and Cat has more than before.
    let conflict = [ann.clone(), (json!("ann"), "SE"), (Value::Null, "NO"), cat.clone()];
    let second = [("ann", "a", 5), ("ann", "b", 1), ("bob", "c", 5), ("cat", "d", 6)];
    run(&sandbox, 2, &conflict, &second, "1 opened, 2 closed, 2 unchanged");
    let rules = sandbox.rows("SELECT rule FROM ops.rejected_row ORDER BY rule");
    assert_eq!(rules, ["conflicting_duplicate", "conflicting_duplicate", "null_key"]);

    run(&sandbox, 3, &[ann, bob, cat], &second, "1 opened, 0 closed, 3 unchanged");
    assert_eq!(
        held(&sandbox),
        [
            "a,5,2026-02-01,",
            "b,1,2026-02-01,",
            "c,5,2026-02-01,2026-02-02",
            "c,5,2026-02-03,",
            "d,5,2026-02-01,2026-02-02",
            "d,6,2026-02-02,",
        ]
    );

    // Doubt lasts a day: an account that then is not there is gone.
    run(&sandbox, 4, &[(json!("bob"), "NO"), (json!("cat"), "NO")], &second, "0 opened, 2 closed, 2 unchanged");
}

#[test]
fn doubt_holds_back_what_is_missing_and_not_what_has_changed() {
    let sandbox = perks();
    let ann = [(json!("ann"), "NO")];
    run(&sandbox, 1, &ann, &[("ann", "a", 1), ("ann", "b", 1), ("ann", "c", 1)], "3 opened");
    let second = [("ann", "a", 2), ("ann", "b", 1), ("ann", "b", 2)];
    run(&sandbox, 2, &ann, &second, "1 opened, 1 closed, 2 unchanged");
    assert_eq!(held(&sandbox), ["a,1,2026-02-01,2026-02-02", "a,2,2026-02-02,", "b,1,2026-02-01,", "c,1,2026-02-01,"]);

    // What decides the day has another text, so the day is taken in again, and this time nobody is in doubt.
    sandbox.write("sql/in_doubt.sql", format!("SELECT user_pid FROM ({IN_DOUBT}) AS x (user_pid) WHERE FALSE"));
    sandbox.run(&day(2)).exits(0).prints(["1 opened, 3 closed, 0 unchanged"]);
    sandbox.write("sql/in_doubt.sql", IN_DOUBT);
    sandbox.run(&day(2)).exits(0).prints(["1 opened, 1 closed, 2 unchanged"]);
}

#[test]
fn what_keep_open_says_wrongly_is_told_with_no_data() {
    let sandbox = perks();
    sandbox.gatefold(["check"]).exits(0).prints(["1 job and 2 snapshots are sound"]);
    for (sql, told) in [
        ("SELECT account_id, country FROM rejected_account", ["returns 2 columns and not one", "sql/in_doubt.sql"]),
        ("SELECT 1 FROM rejected_account", ["the model gives 'user_pid' as", "the table wants STRING"]),
        ("SELECT account_id FROM rejected_acount", ["'rejected_acount' not found", "did you mean 'rejected_account'"]),
        ("SELECT acount_id FROM rejected_account", ["sql/in_doubt.sql:1:8", "account_id"]),
    ] {
        sandbox.write("sql/in_doubt.sql", sql);
        sandbox.gatefold(["check"]).exits(2).says(told).says(["jobs/perks.toml:"]);
    }
    sandbox.write("sql/in_doubt.sql", IN_DOUBT);
    for (from, to, told) in [
        ("column = \"user_pid\", sql", "column = \"user_id\", sql", "there is no column 'user_id'"),
        ("column = \"user_pid\", sql", "column = \"valid_to\", sql", "'valid_to' does not say whose a row is"),
        ("sql/in_doubt.sql", "sql/doubt.sql", "'sql/doubt.sql' does not exist"),
        ("\"perk\"]\n\n", "{ table = \"perk\", as = \"rejected_perk\" }]\n\n", "'rejected_perk' is an input"),
    ] {
        let sandbox = perks();
        sandbox.edit("jobs/perks.toml", from, to);
        sandbox.gatefold(["check"]).exits(2).says([told, "jobs/perks.toml:"]);
    }
    let sandbox = crate::people::project();
    let keep_open = "by = \"day\" }\nkeep_open = { column = \"person_id\", sql = \"sql/people.sql\" }";
    sandbox.edit("jobs/people.toml", "by = \"day\" }", keep_open);
    sandbox.gatefold(["check"]).exits(2).says(["only a history has open rows", "jobs/people.toml:"]);
}

#[test]
fn nothing_but_keep_open_reads_rejected_rows() {
    let sandbox = perks();
    let check = "\n[[check]]\nkind = \"sql\"\nname = \"x\"\nsql = \"SELECT account_id FROM rejected_account\"\n";
    sandbox.write("jobs/perks.toml", format!("{JOB}{check}"));
    sandbox.gatefold(["check"]).exits(2).says(["rejected_account' not found", "jobs/perks.toml:"]);
    let sandbox = perks();
    sandbox.write("sql/perks.sql", "SELECT account_id AS user_pid, '' AS perk, 1 AS level FROM rejected_account");
    sandbox.gatefold(["check"]).exits(2).says(["rejected_account' not found", "sql/perks.sql:1:"]);
    let sandbox = perks();
    let forget = "forget = { column = \"user_pid\", sql = \"sql/in_doubt.sql\" }\nkeep_open";
    sandbox.edit("jobs/perks.toml", "keep_open", forget);
    sandbox.gatefold(["check"]).exits(2).says(["rejected_account' not found", "sql/in_doubt.sql:1:"]);
}

/// A key is asked for before the run begins, whichever of the job's texts needs it.
#[test]
fn keep_open_may_be_what_needs_the_key() {
    let sandbox = with_days(&[&[("gold", "NO", Some(9))]]);
    let keep_open = "keep_open = { column = \"market\", sql = \"sql/in_doubt.sql\" }\ncolumns = [";
    sandbox.edit("jobs/prices.toml", "columns = [", keep_open);
    sandbox.write("sql/in_doubt.sql", "SELECT market FROM rejected_price");
    sandbox.edit("gatefold.toml", "pseudonym_key_file", "# pseudonym_key_file");
    put(&sandbox, &day(2), &[("gold", "NO", Some(9))]);
    sandbox.ran(sandbox.command(["run", "--date", &day(2)]).env_remove(KEY_VARIABLE)).exits(0);
    sandbox.write("sql/in_doubt.sql", "SELECT user_pid(market) FROM rejected_price");
    let ran = sandbox.ran(sandbox.command(["run", "--date", &day(2)]).env_remove(KEY_VARIABLE));
    ran.exits(2).says([KEY_VARIABLE]);
}

/// Case 22: what a rejected row says is in doubt, that its key exists is not.
#[test]
fn a_conflict_that_vanishes_the_next_day_leaves_the_history_intact() {
    let sandbox = with_days(&[&[("gold", "NO", Some(9)), ("free", "NO", Some(0)), ("gold", "SE", Some(5))]]);
    put(
        &sandbox,
        &day(2),
        &[("gold", "NO", Some(9)), ("gold", "NO", Some(8)), ("new", "NO", Some(1)), ("new", "NO", None)],
    );
    sandbox.run(&day(2)).exits(0).prints(["0 opened, 2 closed, 1 unchanged"]);
    let rejected = sandbox.rows("SELECT rule, key FROM ops.rejected_row ORDER BY key");
    assert_eq!(rejected.len(), 4, "{rejected:?}");
    put(&sandbox, &day(3), &[("gold", "NO", Some(9)), ("new", "NO", Some(1))]);
    sandbox.run(&day(3)).exits(0).prints(["1 opened, 0 closed, 1 unchanged"]);
    assert_eq!(
        sandbox.rows(ALL),
        [
            "free,NO,0,2026-02-01,2026-02-02,false",
            "gold,NO,9,2026-02-01,,true",
            "gold,SE,5,2026-02-01,2026-02-02,false",
            "new,NO,1,2026-02-03,,true",
        ]
    );
}

/// Case 23: a day that does not hold every key says nothing of those that it lacks.
#[test]
fn a_market_that_a_partial_day_lacks_stays_open() {
    let sandbox = with_days(&[&[("gold", "NO", Some(9)), ("gold", "SE", Some(5)), ("free", "NO", Some(0))]]);
    put(&sandbox, &day(2), &[("gold", "NO", Some(8)), ("free", "NO", Some(0))]);
    let marker = format!("{}/_PARTIAL", sandbox.day("price", &day(2)));
    sandbox.write(&marker, "");
    sandbox.run(&day(2)).exits(0).prints(["1 opened, 1 closed, 2 unchanged"]);
    let as_of_the_second = [
        "free,NO,0,2026-02-01,,true",
        "gold,NO,9,2026-02-01,2026-02-02,false",
        "gold,NO,8,2026-02-02,,true",
        "gold,SE,5,2026-02-01,,true",
    ];
    assert_eq!(sandbox.rows(ALL), as_of_the_second);

    // The next day is whole and lacks the market too.
    put(&sandbox, &day(3), &[("gold", "NO", Some(8)), ("free", "NO", Some(0))]);
    sandbox.run(&day(3)).exits(0).prints(["0 opened, 1 closed, 2 unchanged"]);
    let closed =
        as_of_the_second.map(|row| row.replace("gold,SE,5,2026-02-01,,true", "gold,SE,5,2026-02-01,2026-02-03,false"));
    assert_eq!(sandbox.rows(ALL), closed);

    // Were the second day whole after all, the market would have ended on it.
    sandbox.remove(&marker);
    sandbox.gatefold(["run", "prices", "--from", &day(2), "--to", &day(3), "--rebuild"]).exits(0);
    assert_eq!(sandbox.rows(ALL)[3], "gold,SE,5,2026-02-01,2026-02-02,false");
}
