//! The way of a partition through the real Cloud Storage and BigQuery, for whoever has a project for it.
//!
//! `GATEFOLD_GCP_PROJECT` and `GATEFOLD_GCP_BUCKET` name them, `GATEFOLD_GCP_LOCATION` their location (US); credentials are the
//! application default ones. The table goes again, the bucket's folder `gatefold-test` and the empty dataset `gatefold_test` stay.
//! `STORAGE_EMULATOR_HOST` and `BIGQUERY_EMULATOR_HOST` lead the test to servers on loopback instead.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{TimeDelta, Utc};
use gatefold::config::Config;
use gatefold::publish::bigquery::wire::Wire;
use tokio::runtime::Runtime;

use crate::people::{self, ada_and_bob, batch};
use crate::support::{Ran, Sandbox, parquet};

const DATASET: &str = "gatefold_test";
/// Where Google's credentials are found, and where servers on loopback are.
const PASSED_ON: [&str; 5] =
    ["HOME", "CLOUDSDK_CONFIG", "GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST"];

struct Scene {
    sandbox: Sandbox,
    table: String,
    day: String,
}

impl Scene {
    /// The project of `people`, whose table has a name that no other run has, with its lake in the bucket.
    fn new(test: &str) -> Option<Scene> {
        let [project, bucket] = ["GATEFOLD_GCP_PROJECT", "GATEFOLD_GCP_BUCKET"].map(|name| std::env::var(name).ok());
        let (Some(project), Some(bucket)) = (project, bucket) else {
            eprintln!("{test} is skipped: GATEFOLD_GCP_PROJECT and GATEFOLD_GCP_BUCKET name no project to try it in");
            return None;
        };
        let location = std::env::var("GATEFOLD_GCP_LOCATION").unwrap_or_else(|_| "US".to_owned());
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let (sandbox, table) = (people::project(), format!("people_{started}"));
        sandbox.write(&format!("jobs/{table}.toml"), people::JOB.replace("\"shop\"", &format!("{DATASET:?}")));
        sandbox.remove("jobs/people.toml");
        sandbox.write(
            "gatefold.toml",
            format!(
                "[project]\nname = \"people\"\ndefault_env = \"real\"\n\n\
                 [env.real]\nlake = \"gs://{bucket}/gatefold-test/{started}\"\nsnapshots = \"snapshots\"\nwork = \"work\"\n\n\
                 [env.real.bigquery]\nproject = \"{project}\"\nlocation = \"{location}\"\n"
            ),
        );
        // Its partitions must not be older than the dataset may keep them.
        let day = (Utc::now().date_naive() - TimeDelta::days(1)).to_string();
        let folder = format!("snapshots/person/snapshot_date={day}");
        sandbox.write(&format!("{folder}/part.parquet"), parquet(&batch(&ada_and_bob())));
        sandbox.write(&format!("{folder}/_SUCCESS"), "");
        Some(Scene { sandbox, table, day })
    }

    fn run(&self) -> Ran {
        let mut command = self.sandbox.command(["run", "--date", &self.day]);
        self.sandbox.ran(with_credentials(&mut command))
    }
}

fn with_credentials(command: &mut Command) -> &mut Command {
    command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
}

#[test]
fn a_partition_reaches_the_real_bigquery_and_is_the_same() {
    let Some(scene) = Scene::new("cloud::real::a_partition_reaches_the_real_bigquery_and_is_the_same") else { return };
    let environment = Config::load(scene.sandbox.root()).unwrap().environment(None).unwrap().clone();
    Runtime::new().unwrap().block_on(async {
        let google = environment.google.overridden().unwrap();
        let wire = Wire::connect(&environment.bigquery.unwrap(), &google).await.unwrap();
        let first = scene.run();
        let table = wire.table(DATASET, &scene.table).await;
        let rows = wire.query(&format!("SELECT * FROM {DATASET}.{} ORDER BY person_id", scene.table), None).await;
        let again = scene.run();
        // Before anything is judged, so that no failure leaves it behind.
        wire.delete_table(DATASET, &scene.table).await.unwrap();

        first.exits(0);
        let table = table.unwrap().unwrap();
        assert_eq!(table.table.description.as_deref(), Some("One row per person and day."));
        assert_eq!(table.table_constraints.unwrap().primary_key.unwrap().columns, ["snapshot_date", "person_id"]);
        let rows = rows.unwrap();
        let column = |name: &str| rows.columns.iter().position(|column| column == name).unwrap();
        let shown = |name: &str| rows.rows.iter().map(|row| row[column(name)].as_deref()).collect::<Vec<_>>();
        assert_eq!(shown("person_id"), [Some("ada"), Some("bob")]);
        assert_eq!(shown("city"), [Some("Oslo"), None]);
        assert_eq!(shown("balance"), [Some("1.25"), Some("1.25")]);
        assert_eq!(shown("snapshot_date"), [Some(scene.day.as_str()); 2]);
        again.exits(0).prints(["already published"]);
    });
}
