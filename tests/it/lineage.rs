//! Where columns come from: leaks of personal data that `check` refuses, and what `gatefold lineage` shows.

use regex::Regex;

use crate::people::project;
use crate::support::{DAY, Sandbox};

const MEMBER: &str = r#"description = "One row per member."
owner       = "people@example.com"
format      = "parquet"
columns = [
  { name = "member_id", type = "STRING", required = true, pii = "direct", description = "Member." },
  { name = "email",     type = "STRING", pii = "direct", description = "Address." },
  { name = "born",      type = "DATE", pii = "direct", description = "Date of birth." },
  { name = "city",      type = "STRING", pii = "quasi", description = "Where they live." },
  { name = "visits",    type = "INT64", required = true, description = "How often they came." },
]
"#;

const ORDER: &str = r#"description = "One row per order."
owner       = "people@example.com"
format      = "parquet"
columns = [
  { name = "member_id", type = "STRING", required = true, pii = "direct", description = "Who ordered." },
  { name = "item",      type = "STRING", required = true, description = "What." },
]
"#;

const HEAD: &str = "description = \"Made.\"\nowner = \"people@example.com\"\n";

/// A job whose table has the columns `item`, which identifies a row, and `made`, with `keys` in its declaration.
fn job(name: &str, inputs: &str, dataset: &str, keys: &str) -> String {
    format!(
        r#"{HEAD}sql = "sql/{name}.sql"
inputs = [{inputs}]

[table]
dataset = "{dataset}"
mode    = "replace"
grain   = ["item"]
columns = [
  {{ name = "item", type = "STRING", required = true, description = "What." }},
  {{ name = "made", {keys}, description = "Made." }},
]
"#
    )
}

/// A project whose job `report` makes the column `made` by a SELECT.
struct Report(Sandbox);

impl Report {
    fn new() -> Self {
        let sandbox = project();
        sandbox.remove("jobs/people.toml");
        sandbox.remove("jobs/snapshots/person.toml");
        sandbox.write("jobs/snapshots/member.toml", MEMBER);
        sandbox.write("jobs/snapshots/purchase.toml", ORDER);
        let report = Report(sandbox);
        report.declare("type = \"STRING\"");
        report.select("SELECT item, item AS made FROM purchase");
        report
    }

    fn declare(&self, keys: &str) {
        self.0.write("jobs/report.toml", job("report", "\"member\", \"purchase\"", "shop", keys));
    }

    fn add(&self, text: &str) {
        self.0.write("jobs/report.toml", self.0.read("jobs/report.toml") + text);
    }

    fn select(&self, sql: &str) {
        self.0.write("sql/report.sql", sql);
    }

    #[track_caller]
    fn refused<'a>(&self, words: impl IntoIterator<Item = &'a str>) {
        self.0.gatefold(["check"]).exits(2).says(words);
    }

    #[track_caller]
    fn sound(&self) {
        self.0.gatefold(["check"]).exits(0);
    }
}

#[test]
fn a_leak_is_refused_with_its_way() {
    let report = Report::new();
    report.select(
        "SELECT item, concat('mail: ', lower(m.email)) AS made FROM purchase JOIN member AS m USING (member_id)",
    );
    let check = report.0.gatefold(["check"]);
    check.exits(2);
    insta::assert_snapshot!(check.stderr, @r#"
    error: the column 'made' is direct by what it derives from, and declared of no class
      file: jobs/report.toml:12:3
      table: shop.report
      way: email of snapshot member → sql/report.sql: lower(…) → concat(…) → made
      hint: pass it through user_pid or age_band, keep the column in a restricted dataset (users_restricted), or state why it is harmless in [[declassify]]
    "#);
    let run = report.0.run(DAY);
    assert_eq!(run.exits(2).stderr, check.stderr, "run and check say the same");
    assert_eq!(report.0.tables(), Vec::<String>::new());
}

#[test]
fn direct_data_does_not_hide_in_an_expression() {
    let report = Report::new();
    let joined = "FROM purchase AS o LEFT JOIN member AS m ON m.member_id = o.member_id";
    for (made, from, way) in [
        ("m.email", joined, "email of snapshot member → sql/report.sql → made"),
        ("CASE WHEN m.email LIKE '%.no' THEN 'no' END", joined, "LIKE → CASE → made"),
        ("CAST(m.born AS VARCHAR)", joined, "born of snapshot member → sql/report.sql → made"),
        ("max(m.email)", &format!("{joined} GROUP BY item"), "max(…) → made"),
        ("string_agg(m.email, ',')", &format!("{joined} GROUP BY item"), "string_agg(…) → made"),
        ("named_struct('a', 1, 'mail', m.email)['mail']", joined, "named_struct(…) → get_field(…) → made"),
        ("make_array(m.city, m.email)[2]", joined, "make_array(…)"),
        ("first_value(m.email) OVER (PARTITION BY o.item ORDER BY m.visits)", joined, "first_value(…) → made"),
        (
            "(SELECT min(x.email) FROM member AS x WHERE x.member_id = o.member_id)",
            "FROM purchase AS o",
            "min(…) → made",
        ),
        (
            "x.e",
            "FROM (SELECT item, member_id FROM purchase) JOIN (SELECT member_id AS i, upper(email) AS e FROM member) AS x ON i = member_id",
            "upper(…) → made",
        ),
    ] {
        report.select(&format!("SELECT item, {made} AS made {from}"));
        report.refused(["'made' is direct by what it derives from", "jobs/report.toml:12:3", way]);
    }
}

#[test]
fn what_names_nobody_passes() {
    let report = Report::new();
    let joined = "FROM purchase AS o JOIN member AS m ON m.member_id = o.member_id AND m.email <> ''";
    for made in [
        "item",
        "CAST(m.visits AS VARCHAR)",
        "CAST(m.email IS NULL AS VARCHAR)",
        "CAST((SELECT count(DISTINCT email) FROM member) AS VARCHAR)",
        "CAST((SELECT count(*) FROM member AS x WHERE x.member_id = o.member_id) AS VARCHAR)",
        "CASE WHEN EXISTS (SELECT 1 FROM member AS x WHERE x.member_id = o.member_id) THEN 'member' END",
        "CAST((SELECT bool_or(x.city = 'Oslo') FROM member AS x) AS VARCHAR)",
    ] {
        report.select(&format!("SELECT item, {made} AS made {joined}"));
        report.sound();
    }
}

#[test]
fn functions_for_privacy_lower_the_class_and_no_further() {
    let report = Report::new();
    for (made, class) in
        [("user_pid(member_id)", "pseudonymous"), ("age_band(born, $snapshot_date)", "quasi"), ("city", "quasi")]
    {
        report.select(
            &format!("SELECT email AS item, {made} AS made FROM member").replace("email AS item", "'x' AS item"),
        );
        report.declare("type = \"STRING\"");
        report.refused([format!("'made' is {class} by what").as_str(), &format!("declare pii = \"{class}\"")]);
        report.declare(&format!("type = \"STRING\", pii = \"{class}\""));
        report.sound();
    }
}

#[test]
fn a_reason_declassifies() {
    let report = Report::new();
    report.select("SELECT item, substr(m.email, -2) AS made FROM purchase JOIN member AS m USING (member_id)");
    report.declare("type = \"STRING\", pii = \"quasi\"");
    report.refused(["'made' is direct by what it derives from, and declared quasi"]);
    report.add("[[declassify]]\ncolumn = \"made\"\nas = \"quasi\"\nreason = \"the country of a domain\"\n");
    report.sound();
    report.0.gatefold(["lineage", "report"]).exits(0).prints(["quasi (declassified)"]);
}

#[test]
fn a_declassification_has_an_effect_and_a_reason() {
    let report = Report::new();
    let sound = "[[declassify]]\ncolumn = \"made\"\nas = \"none\"\nreason = \"shown to all\"\n";
    for (made, from, to, words) in [
        (
            "item",
            "",
            "",
            ["derives from nothing that has a class, so there is nothing to declassify", "jobs/report.toml:14:1"],
        ),
        ("m.email", "made\"", "mad\"", ["there is no column 'mad'", "did you mean 'made'?"]),
        (
            "m.email",
            "\"none\"",
            "\"quasi\"",
            ["'made' is declared none and declassified as quasi", "jobs/report.toml:16:6"],
        ),
        ("m.email", "shown to all", " ", ["the text is empty", "jobs/report.toml:17:10"]),
        ("m.email", "reason", "raeson", ["unknown key 'raeson'", "did you mean 'reason'?"]),
        ("m.email", sound, &format!("{sound}{sound}"), ["'made' stands twice", "jobs/report.toml:19:10"]),
    ] {
        report.select(&format!("SELECT item, {made} AS made FROM purchase JOIN member AS m USING (member_id)"));
        report.declare("type = \"STRING\"");
        report.add(&if from.is_empty() { sound.to_owned() } else { sound.replace(from, to) });
        report.refused(words);
    }
}

#[test]
fn a_restricted_dataset_holds_what_is_direct_and_says_so() {
    let report = Report::new();
    report.select("SELECT user_pid(member_id) AS item, email AS made FROM member");
    let job = job("report", "\"member\"", "users_restricted", "type = \"STRING\", pii = \"direct\"")
        .replace("required = true,", "required = true, pii = \"pseudonymous\",");
    report.0.write("jobs/report.toml", &job);
    report.sound();
    report.0.write("jobs/report.toml", job.replace("pii = \"direct\"", "pii = \"quasi\""));
    report.refused(["'made' is direct by what it derives from, and declared quasi", "declare pii = \"direct\""]);
}

/// A job that reads another's table starts from the classes that the other one declares.
#[test]
fn classes_follow_from_job_to_job() {
    let report = Report::new();
    let hidden = "type = \"STRING\", pii = \"direct\"";
    report.0.write("jobs/hidden.toml", job("hidden", "\"member\"", "users_restricted", hidden));
    report.0.write("sql/hidden.sql", "SELECT 'x' AS item, email AS made FROM member");
    report.0.write("jobs/report.toml", job("report", "\"hidden\"", "shop", "type = \"STRING\""));
    report.select("SELECT item, upper(made) AS made FROM hidden");
    report.refused(["way: made of table hidden → sql/report.sql: upper(…) → made"]);

    // What another job declassified needs no second reason.
    let reason = "[[declassify]]\ncolumn = \"made\"\nas = \"none\"\nreason = \"made up\"\n";
    report.0.write("jobs/hidden.toml", job("hidden", "\"member\"", "shop", "type = \"STRING\"") + reason);
    report.sound();
}

/// `member` ─► `first` ─► `second`, which also reads itself of the day before.
fn chain() -> Report {
    let report = Report::new();
    report.0.remove("jobs/report.toml");
    report.0.write(
        "jobs/first.toml",
        job("first", "\"member\", \"purchase\"", "shop", "type = \"STRING\", pii = \"quasi\""),
    );
    report.0.write(
        "sql/first.sql",
        "SELECT o.item, upper(m.city) AS made FROM purchase AS o JOIN member AS m USING (member_id) WHERE m.visits > 0",
    );
    let second = job(
        "second",
        "\"first\", { table = \"second\", days_ago = 1, as = \"before\", optional = true }",
        "shop",
        "type = \"STRING\", pii = \"quasi\"",
    );
    let second = second
        .replace("mode    = \"replace\"", "mode    = \"partition\"\npartition = { column = \"day\", by = \"day\" }")
        .replace("grain   = [\"item\"]", "grain   = [\"day\", \"item\"]")
        .replace(
            "columns = [\n",
            "columns = [\n  { name = \"day\", type = \"DATE\", required = true, description = \"Day.\" },\n",
        );
    report.0.write("jobs/second.toml", second);
    report.0.write(
        "sql/second.sql",
        "SELECT $snapshot_date AS day, item, coalesce(f.made, b.made) AS made FROM first AS f LEFT JOIN before AS b USING (item)",
    );
    report
}

#[test]
fn a_table_shows_what_its_columns_take() {
    let ran = chain().0.gatefold(["lineage", "second", "member"]);
    insta::assert_snapshot!(ran.exits(0).stdout, @r"
    member  snapshot
      read by  first
      member_id      direct
      email          direct
      born           direct
      city           quasi
      visits         none
      snapshot_date  none

    shop.second
      reads    first, second
      read by  second
      rows by  first.item, second.item
      day   none
      item  none   first.item   copied
      made  quasi  first.made   derived
                   second.made  derived
    ");
}

#[test]
fn a_column_is_followed_both_ways() {
    let report = chain();
    let up = report.0.gatefold(["lineage", "second", "--column", "made"]);
    insta::assert_snapshot!(up.exits(0).stdout, @r"
    second.made  quasi
    ├─ first.made  derived  quasi
    │  └─ member.city  derived  quasi
    └─ second.made  derived  quasi  (see above)
    ");
    let down = report.0.gatefold(["lineage", "member", "--column", "city", "--downstream"]);
    insta::assert_snapshot!(down.exits(0).stdout, @r"
    member.city  quasi
    └─ first.made  derived  quasi
       └─ second.made  derived  quasi
          └─ second.made  derived  quasi  (see above)
    ");
    let tables = report.0.gatefold(["lineage", "purchase+", "--tables", "--upstream"]);
    insta::assert_snapshot!(tables.exits(0).stdout, @r"
    purchase  snapshot
    shop.first
    ├─ member  snapshot
    └─ purchase  snapshot
    shop.second
    ├─ shop.first
    │  ├─ member  snapshot
    │  └─ purchase  snapshot
    └─ shop.second  (see above)
    ");
}

#[test]
fn json_has_a_fixed_shape() {
    let ran = chain().0.gatefold(["lineage", "first", "--format", "json"]);
    let lineage = ran.exits(0).json();
    let tables: Vec<&str> =
        lineage["tables"].as_array().unwrap().iter().map(|t| t["table"].as_str().unwrap()).collect();
    assert_eq!(tables, ["member", "purchase", "first"]);
    let expected = serde_json::json!({
        "table": "first", "kind": "table", "dataset": "shop", "reads": ["member", "purchase"],
        "filters": [
            { "table": "member", "column": "member_id" },
            { "table": "member", "column": "visits" },
            { "table": "purchase", "column": "member_id" },
        ],
    });
    assert_eq!(lineage["tables"][2], expected);
    assert_eq!(lineage["tables"][0]["kind"], "snapshot");
    let columns = lineage["columns"].as_array().unwrap();
    let expected = serde_json::json!({
        "table": "first", "column": "made", "pii": "quasi", "declassified": null,
        "from": [{ "table": "member", "column": "city", "how": "derived" }],
    });
    assert_eq!(columns.last(), Some(&expected));
    assert_eq!(columns.len(), 4, "only columns of the answer: {columns:#?}");
}

#[test]
fn dot_is_a_graph_whose_lines_end_at_ports() {
    let report = chain();
    let ran = report.0.gatefold(["lineage", "--dot"]);
    let (nodes, edges) = parsed(&ran.exits(0).stdout);
    assert_eq!(nodes.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["member", "purchase", "first", "second"]);
    assert!(edges.contains(&("member:city".to_owned(), "first:made".to_owned())), "{edges:?}");
    assert!(edges.contains(&("second:made".to_owned(), "second:made".to_owned())), "{edges:?}");
    for end in edges.iter().flat_map(|(from, to)| [from, to]) {
        let (table, column) = end.split_once(':').unwrap();
        let label = &nodes.iter().find(|(id, _)| id == table).unwrap_or_else(|| panic!("no node {table}")).1;
        assert!(label.contains(&format!("<td port=\"{column}\"")), "{end} is no port: {label}");
    }

    let ran = report.0.gatefold(["lineage", "second", "--dot", "--tables", "--upstream"]);
    let (nodes, edges) = parsed(&ran.exits(0).stdout);
    assert_eq!(nodes.len(), 4);
    assert!(edges.contains(&("member".to_owned(), "first".to_owned())), "{edges:?}");
}

/// A node and its label, or the ends of an edge.
type Pair = (String, String);

/// The nodes with their labels and the edges by their ends. Every line must be one of the language's.
fn parsed(text: &str) -> (Vec<Pair>, Vec<Pair>) {
    let node = Regex::new(r#"^  "(\w+)" \[label=<(.*)>\];$"#).unwrap();
    let edge =
        Regex::new(r#"^  "(\w+)"(?::"(\w+)":e)? -> "(\w+)"(?::"(\w+)":w)?(?: \[style=(?:solid|dashed)\])?;$"#).unwrap();
    let setting = Regex::new(r#"^  (rankdir=LR|node \[shape=plain, fontname="Helvetica", fontsize=10\]);$"#).unwrap();
    let lines = text.strip_prefix("digraph lineage {\n").and_then(|text| text.strip_suffix("}\n")).expect("a graph");
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    for line in lines.lines() {
        if let Some(node) = node.captures(line) {
            assert_balanced(&node[2]);
            nodes.push((node[1].to_owned(), node[2].to_owned()));
        } else if let Some(edge) = edge.captures(line) {
            let end = |table: usize, column: usize| match edge.get(column) {
                Some(column) => format!("{}:{}", &edge[table], column.as_str()),
                None => edge[table].to_owned(),
            };
            edges.push((end(1, 2), end(3, 4)));
        } else {
            assert!(setting.is_match(line), "{line}");
        }
    }
    (nodes, edges)
}

/// Every tag of the label is closed by its own, in order.
fn assert_balanced(label: &str) {
    let mut open = Vec::new();
    for tag in Regex::new("<(/?)([a-z]+)[^<>]*>").unwrap().captures_iter(label) {
        if tag[1].is_empty() {
            open.push(tag[2].to_owned());
        } else {
            assert_eq!(open.pop().as_deref(), Some(&tag[2]), "{label}");
        }
    }
    assert!(open.is_empty(), "{open:?} in {label}");
}

#[test]
fn unknown_names_are_answered_with_near_ones() {
    let report = chain();
    for (arguments, words) in [
        (&["lineage", "secnd"][..], ["there is no snapshot or job 'secnd'", "did you mean 'second'?"]),
        (&["lineage", "+membr"], ["there is no snapshot or job 'membr'", "did you mean 'member'?"]),
        (
            &["lineage", "member", "--column", "emial"],
            ["there is no column 'emial' in 'member'", "did you mean 'email'?"],
        ),
        (&["lineage", "tag:x"], ["no job has the tag 'x'", "there is none"]),
        (&["lineage", "--dot", "--format", "json"], ["--dot is a format of its own", "leave out --format"]),
    ] {
        report.0.gatefold(arguments).exits(2).says(words);
    }
}

/// A refused column is looked into with the same command.
#[test]
fn lineage_shows_what_check_refuses() {
    let report = Report::new();
    report.select("SELECT item, m.email AS made FROM purchase JOIN member AS m USING (member_id)");
    report.refused(["'made' is direct"]);
    report.0.gatefold(["lineage", "report", "--column", "made"]).exits(0).prints(["└─ member.email  copied  direct"]);
}
