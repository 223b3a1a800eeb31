//! The examples on public data. The files are not part of the project: they lie in `$GATEFOLD_REAL_DATA`, by default
//! `shared/real` beside the project's folder, and a test whose files are not there says so and passes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Sandbox;

const TELCO_DAY: &str = "2020-06-25";
const CATALOG_DAY: &str = "2026-08-20";

fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn real_folder() -> PathBuf {
    std::env::var_os("GATEFOLD_REAL_DATA").map_or_else(|| project_root().join("../shared/real"), PathBuf::from)
}

/// The content of a public file. `None` when it is not there, which is told under the test's name.
fn real_file(test: &str, name: &str) -> Option<Vec<u8>> {
    let path = real_folder().join(name);
    let content = std::fs::read(&path);
    if content.is_err() {
        eprintln!(
            "skipped: real::{test}, because {} is not there; GATEFOLD_REAL_DATA names its folder",
            path.display()
        );
    }
    content.ok()
}

fn telco(test: &str) -> Option<Sandbox> {
    let customers = real_file(test, "ibm_telco_basic/Telco-Customer-Churn.csv")?;
    let sandbox = Sandbox::of(&project_root().join("examples/telco"));
    sandbox.write(&format!("{}/customers.csv", sandbox.day("telco_customer", TELCO_DAY)), customers);
    Some(sandbox)
}

fn catalog(test: &str) -> Option<Sandbox> {
    let prices = real_file(test, "killbill_catalogs/catalog_prices_flat.csv")?;
    let currencies = real_file(test, "iso_reference/currency-codes-all.csv")?;
    let sandbox = Sandbox::of(&project_root().join("examples/catalog"));
    sandbox.write(&format!("{}/prices.csv", sandbox.day("catalog_price", CATALOG_DAY)), prices);
    sandbox.write(&format!("{}/currencies.csv", sandbox.day("currency", CATALOG_DAY)), currencies);
    Some(sandbox)
}

#[test]
fn telco_customers_become_a_table_of_what_they_have() {
    let Some(sandbox) = telco("telco_customers_become_a_table_of_what_they_have") else { return };
    sandbox.gatefold(["run"]).exits(0).prints(["7,043", "13 passed"]);

    let totals = "SELECT count(*), count(DISTINCT user_pid), count(*) FILTER (WHERE churned), \
                  count(*) FILTER (WHERE total_charge IS NULL), max(tenure_months) FILTER (WHERE total_charge IS NULL) \
                  FROM telco.customer";
    assert_eq!(sandbox.rows(totals), ["7043,7043,1869,11,0"]);

    // To the cent: no amount was ever a binary fraction.
    let charges = "SELECT sum(monthly_charge) FROM telco.customer WHERE contract = 'month_to_month'";
    assert_eq!(sandbox.rows(charges), ["257294.150000000"]);

    let kinds = "SELECT coalesce(internet_type, 'none'), count(*) FROM telco.customer GROUP BY 1 ORDER BY 1";
    assert_eq!(sandbox.rows(kinds), ["dsl,2421", "fiber_optic,3096", "none,1526"]);
}

#[test]
fn telco_services_are_listed_as_they_are_flagged() {
    let Some(sandbox) = telco("telco_services_are_listed_as_they_are_flagged") else { return };
    sandbox.gatefold(["run"]).exits(0);

    let listed = "SELECT service, count(*) FROM (SELECT unnest(services) AS service FROM telco.customer) \
                  GROUP BY service ORDER BY service";
    let expected = [
        "device_protection,2422",
        "internet,5517",
        "multiple_lines,2971",
        "online_backup,2429",
        "online_security,2019",
        "phone,6361",
        "streaming_movies,2732",
        "streaming_tv,2707",
        "tech_support,2044",
    ];
    assert_eq!(sandbox.rows(listed), expected);

    let flagged = "SELECT count(*) FILTER (WHERE device_protection), count(*) FILTER (WHERE internet), \
                   count(*) FILTER (WHERE multiple_lines), count(*) FILTER (WHERE online_backup), \
                   count(*) FILTER (WHERE online_security), count(*) FILTER (WHERE phone), \
                   count(*) FILTER (WHERE streaming_movies), count(*) FILTER (WHERE streaming_tv), \
                   count(*) FILTER (WHERE tech_support) FROM telco.customer";
    assert_eq!(sandbox.rows(flagged), ["2422,5517,2971,2429,2019,6361,2732,2707,2044"]);
}

#[test]
fn telco_customers_go_by_their_pseudonyms() {
    let Some(sandbox) = telco("telco_customers_go_by_their_pseudonyms") else { return };
    sandbox.gatefold(["run"]).exits(0);

    // The first customer of the file, 7590-VHVEG.
    let first = "SELECT contract, internet_type, array_to_string(services, ' '), monthly_charge, total_charge, churned \
                 FROM telco.customer WHERE user_pid = '1d173048fd89e3220bc819426ad51836'";
    let expected = "month_to_month,dsl,internet online_backup,29.850000000,29.850000000,false";
    assert_eq!(sandbox.rows(first), [expected]);

    let others = "SELECT count(*) FROM telco.customer WHERE NOT regexp_like(user_pid, '^[0-9a-f]{32}$')";
    assert_eq!(sandbox.rows(others), ["0"]);
}

#[test]
fn catalog_prices_in_a_currency_that_is_none_are_told_and_published() {
    let Some(sandbox) = catalog("catalog_prices_in_a_currency_that_is_none_are_told_and_published") else { return };
    let ran = sandbox.gatefold(["run"]);
    ran.exits(0).prints(["911", "2 warn", "35 of 911 rows", "currency=BTC", "finer_than_its_currency"]);

    let prices = "SELECT currency, minor_unit, count(*), count(existing_from) FROM catalog.price \
                  GROUP BY currency, minor_unit ORDER BY currency";
    assert_eq!(sandbox.rows(prices), ["BTC,,35,0", "EUR,2,224,14", "GBP,2,227,14", "JPY,0,35,0", "USD,2,390,49"]);

    // One version of a catalog states its date without a zone.
    let times = "SELECT count(DISTINCT file), count(*) FILTER (WHERE effective_from = '2021-03-31T00:34:25Z') \
                 FROM catalog.price";
    assert_eq!(sandbox.rows(times), ["85,1"]);
}

#[test]
fn catalog_prices_in_a_currency_that_is_none_block_where_the_project_says_so() {
    let Some(sandbox) = catalog("catalog_prices_in_a_currency_that_is_none_block_where_the_project_says_so") else {
        return;
    };
    sandbox.edit("jobs/price.toml", "severity  = \"warn\"", "severity  = \"block\"");
    let ran = sandbox.gatefold(["run"]);
    ran.exits(12).says(["a check blocks", "35 of 911 rows", "currency=BTC", "nothing was published"]);

    assert_eq!(sandbox.tables(), Vec::<String>::new());
    sandbox.gatefold(["query", "SELECT * FROM catalog.price"]).exits(2);
}

/// The catalogues of Kill Bill as snapshots, every day run. `None` without them or without a Python to convert them.
fn killbill(test: &str) -> Option<Sandbox> {
    real_file(test, "killbill_catalogs/SOURCE.txt")?;
    let sandbox = Sandbox::of(&project_root().join("examples/killbill"));
    let python = std::env::var_os("GATEFOLD_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let converted = Command::new(&python)
        .arg(project_root().join("examples/killbill/convert.py"))
        .args([real_folder().join("killbill_catalogs"), sandbox.path("lake/snapshots")])
        .output();
    let Ok(converted) = converted else {
        eprintln!("skipped: real::{test}, because there is no {}", python.display());
        return None;
    };
    assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
    let days = String::from_utf8(converted.stdout).unwrap();
    assert!(days.lines().count() > 40, "{days}");
    for day in days.lines() {
        sandbox.run(day).exits(0);
    }
    Some(sandbox)
}

/// Two ways from the same catalogues must meet: the XML through the converter, the snapshots of every day and the history, and a
/// list of all prices that others made of it, which the example `catalog` reads.
#[test]
fn killbill_versions_and_their_grandfathering_are_the_history() {
    let test = "killbill_versions_and_their_grandfathering_are_the_history";
    let (Some(listed), Some(history)) = (catalog(test), killbill(test)) else { return };
    listed.gatefold(["run"]).exits(0);

    let expected = "SELECT split_part(plan, '/', -1), phase + 1, concat(lower(currency), '_', kind), currency, amount, \
                    CAST(effective_from AS DATE) AS since, existing_from FROM catalog.price WHERE currency <> 'BTC' \
                    ORDER BY 1, 2, 3, 4, 5, 6, 7";
    let found = "SELECT split_part(plan_id, '/', -1), phase_seq, cohort, currency, amount, \
                 CAST(valid_from AS DATE) AS since, existing_from FROM value_proposition.plan_price_history \
                 ORDER BY 1, 2, 3, 4, 5, 6, 7";
    let expected = listed.rows(expected);
    assert_eq!(history.rows(found), expected);
    assert_eq!(expected.len(), 876);

    // A version is a file: each has its prices, and each begins and ends once.
    let files = listed.rows("SELECT count(DISTINCT file) FROM catalog.price WHERE currency <> 'BTC'");
    let versions = "SELECT count(*) FROM (SELECT DISTINCT regexp_replace(plan_id, '/[^/]*$', ''), plan_version \
                    FROM value_proposition.plan_price_history)";
    assert_eq!(history.rows(versions), files);
    let dates = "SELECT count(DISTINCT existing_from), count(*) FILTER (WHERE existing_from IS NOT NULL)";
    let stated = history.rows(&format!("{dates} FROM value_proposition.plan_price_history"));
    assert_eq!(stated, listed.rows(&format!("{dates} FROM catalog.price")));
    assert_eq!(stated, ["18,77"]);
}
