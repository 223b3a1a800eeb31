//! A cluster of this machine's own processes: a run on it gives the rows of a run without it, also when a machine dies in the
//! middle, and who does not belong to it is told so before anything is published.

#[cfg(not(feature = "cluster"))]
mod left_out {
    use crate::support::{DAY, Sandbox};

    #[test]
    fn a_binary_without_it_says_how_to_get_one_with_it() {
        let sandbox = Sandbox::with_sample();
        let said = ["this binary is built without the cluster", "cargo build --release --features cluster"];
        sandbox.gatefold(["cluster", "scheduler", "--listen", "127.0.0.1:0"]).exits(2).says(said);
        sandbox.gatefold(["cluster"]).exits(2).says(said);
        let run = ["run", "--date", DAY, "--engine", "ballista://127.0.0.1:50050"];
        sandbox.gatefold(run).exits(2).says(said);
        assert_eq!(sandbox.tables(), [""; 0]);
        sandbox.gatefold(["run", "--engine", "spark://x"]).exits(2).says(["neither 'local' nor ballista://host:port"]);
    }
}

#[cfg(feature = "cluster")]
mod built_in {
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::fs::File;
    use std::net::TcpListener;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use gatefold::engine::cluster::{ExecutorOptions, Identity, Token, run_executor};
    use gatefold::pseudonym::PseudonymKey;
    use gatefold::storage::Storage;
    use rustix::process::{Pid, Signal, kill_process};

    use crate::people;
    use crate::support::{DAY, DAY_BEFORE, KEY, KEY_VARIABLE, Ran, Sandbox};

    const TOKEN_VARIABLE: &str = "GATEFOLD_CLUSTER_TOKEN";
    const TOKEN: &str = "a token of the tests";
    const PATIENCE: Duration = Duration::from_secs(60);
    /// Into so many parts queries are cut, and in so many buckets snapshots lie: a cluster must not take the ones for the others.
    const PARTS: usize = 4;
    /// Rows that were set aside name the run that did it.
    const SET_ASIDE: &str = "ops.rejected_row";

    /// A process of the cluster, which ends with the test.
    struct Machine(Child);

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    impl Machine {
        fn signal(&self, signal: Signal) {
            kill_process(Pid::from_child(&self.0), signal).unwrap();
        }
    }

    struct Scheduler {
        _process: Machine,
        address: String,
    }

    impl Scheduler {
        fn start(sandbox: &Sandbox, token: Option<&str>) -> Self {
            let words = ["cluster", "scheduler", "--listen", "127.0.0.1:0", "--executor-timeout", "10"];
            let mut command = sandbox.command(words);
            command.envs(token.map(|token| (TOKEN_VARIABLE, token)));
            // A pipe that nobody reads would end it with its next word.
            let log = sandbox.path("scheduler.log");
            let process = Machine(command.stderr(File::create(&log).unwrap()).spawn().unwrap());
            let said = || std::fs::read_to_string(&log).unwrap();
            until("an address", || said().ends_with('\n'));
            let said = said();
            let address = said.trim().rsplit_once("ballista://").unwrap_or_else(|| panic!("{said}")).1.to_owned();
            Scheduler { _process: process, address }
        }

        fn executor(&self, sandbox: &Sandbox, change: impl FnOnce(&mut Command)) -> Machine {
            let listen = format!("127.0.0.1:{}", free_port());
            let scheduler = ["cluster", "executor", "--scheduler", &self.address, "--listen", &listen];
            let mut command = sandbox.command(scheduler.into_iter().chain(["--threads", "2", "--memory", "512MiB"]));
            change(&mut command);
            Machine(command.stderr(Stdio::null()).spawn().unwrap())
        }

        fn engine(&self) -> String {
            format!("ballista://{}?partitions={PARTS}&wait=30", self.address)
        }
    }

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < PATIENCE, "{what} did not come");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The queries whose rows executors hold.
    fn queries(sandbox: &Sandbox) -> BTreeSet<OsString> {
        let folders = |of: &Path| std::fs::read_dir(of).into_iter().flatten().flatten().map(|entry| entry.path());
        folders(&sandbox.path("lake/work"))
            .filter(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("executor-")))
            .flat_map(|executor| folders(&executor.join("shuffled")).collect::<Vec<_>>())
            .map(|query| query.file_name().unwrap().to_owned())
            .collect()
    }

    fn promise_buckets(sandbox: &Sandbox, snapshot: &str) {
        let contract = format!("jobs/snapshots/{snapshot}.toml");
        let promise = format!("bucket = {{ by = \"account_id\", count = {PARTS} }}\n");
        sandbox.write(&contract, promise + &sandbox.read(&contract));
    }

    /// Both have published the same.
    fn agree(here: &Sandbox, there: &Sandbox, tables: usize) {
        assert_eq!(here.tables().iter().filter(|table| *table != SET_ASIDE).count(), tables);
        let (here, there) = (here.lake().without(SET_ASIDE), there.lake().without(SET_ASIDE));
        assert!(here == there, "the rows differ:\n{}", here.difference(&there));
    }

    #[test]
    fn every_model_gives_the_same_rows_on_a_cluster_that_loses_a_machine() {
        let here = Sandbox::whole();
        // One snapshot is delivered in buckets, and one is laid out by the run; both are joined with plain files.
        promise_buckets(&here, "account");
        here.gatefold(["generate", "--accounts", "500", "--days", "2", "--until", DAY]).exits(0);
        promise_buckets(&here, "subscription");
        let there = here.with_its_lake();
        here.gatefold(["run", "--from", DAY_BEFORE, "--to", DAY]).exits(0);

        let scheduler = Scheduler::start(&there, Some(TOKEN));
        let with_token = |command: &mut Command| {
            command.env(TOKEN_VARIABLE, TOKEN);
        };
        let doomed = scheduler.executor(&there, with_token);
        let _other = scheduler.executor(&there, with_token);
        let engine = scheduler.engine();
        let run = |date: &str| {
            let mut command = there.command(["run", "--date", date, "--engine", &engine]);
            with_token(&mut command);
            command
        };
        there.ran(&mut run(DAY_BEFORE)).exits(0).prints(["users.user_daily"]);

        let before = queries(&there);
        let mut second = run(DAY).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The first of them only asks who is there.
        until("a model", || queries(&there).difference(&before).count() > 2);
        assert_eq!(second.try_wait().unwrap(), None, "the second day ended before a machine could die");
        drop(doomed);
        let second = Ran::new(&second.wait_with_output().unwrap(), there.root());
        second.exits(0);

        assert!(there.path(there.day("account", DAY)).join("bucket-00003-of-00004.parquet").exists());
        assert!(there.path("lake/layouts/subscription").is_dir());
        agree(&here, &there, 10);
    }

    #[test]
    fn backfills_and_schedules_use_it_and_a_scheduler_that_dies_leaves_the_lake_as_it_was() {
        let here = Sandbox::with_sample();
        here.write(
            "schedules/daily.toml",
            "description = 'The table of a day.'\nowner = 'data@example.com'\ncron = '30 3 * * *'\n\
             jobs = ['user_daily']\nstart = 2026-11-19\n",
        );
        let there = here.with_its_lake();
        let scheduler = Scheduler::start(&there, None);
        let executor = scheduler.executor(&there, |_| ());
        let engine = scheduler.engine();

        let backfill = ["backfill", "--from", DAY_BEFORE, "--to", DAY_BEFORE];
        let schedule = ["schedule", "run", "daily", "--at", "2026-11-21T03:30:00Z", "--no-wait"];
        for command in [&backfill as &[&str], &schedule] {
            here.gatefold(command).exits(0);
            let before = queries(&there).len();
            there.gatefold(command.iter().chain(&["--engine", &engine])).exits(0);
            // The first of them only asks who is there.
            assert!(queries(&there).len() > before + 1, "{command:?} did not ask the cluster");
        }
        agree(&here, &there, 1);

        there.lake_stays(|| {
            let before = queries(&there);
            let mut again = there.command(["run", "--date", DAY, "--force", "--engine", &engine]);
            let mut again = again.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            until("a model", || queries(&there).difference(&before).count() > 1);
            // It holds the rows back until nobody is there to ask for them.
            executor.signal(Signal::STOP);
            assert_eq!(again.try_wait().unwrap(), None, "the run ended before the scheduler could die");
            drop(scheduler);
            let again = Ran::new(&again.wait_with_output().unwrap(), there.root());
            again.exits(13).says(["the scheduler of the cluster cannot be reached", "hint:"]);
        });
    }

    /// What is converted lies on the caller's disk, and what is laid out in the lake.
    #[test]
    fn text_is_read_by_a_cluster_where_it_is_laid_out() {
        let sandbox = people::project();
        let contract = "jobs/snapshots/person.toml";
        sandbox.edit(contract, "\"parquet\"", "\"csv\"");
        let csv = "person_id,city,plan,visits,born,seen_at,balance,active,source_seq\n\
                   bob,Oslo,free,3,1990-01-01,2023-11-14T22:13:20Z,1.25,true,1\n\
                   ada,Oslo,paid,3,1990-01-01,2023-11-14T22:13:20Z,1.25,true,1\n";
        sandbox.put_day("person", DAY, &[("people.csv", csv.as_bytes())]);
        let scheduler = Scheduler::start(&sandbox, None);
        let _executor = scheduler.executor(&sandbox, |_| ());
        let run = || sandbox.gatefold(["run", "--date", DAY, "--engine", &scheduler.engine()]);
        run().exits(2).says(["an input lies on this machine alone", "hint:"]);
        assert_eq!(sandbox.tables(), [""; 0]);
        sandbox.write(contract, "bucket = { by = \"person_id\", count = 4 }\n".to_owned() + &sandbox.read(contract));
        run().exits(0);
        assert_eq!(sandbox.rows("SELECT person_id FROM shop.people ORDER BY 1"), ["ada", "bob"]);
    }

    /// Nobody's fault but the cluster's: exit 13, with the address; and what is wrong with the caller or an executor: exit 2.
    #[test]
    fn who_does_not_belong_to_the_cluster_is_told_so_and_publishes_nothing() {
        let sandbox = Sandbox::with_sample();
        let refused = |engine: &str, code: i32, said: &[&str]| {
            let ran = sandbox.gatefold(["run", "--date", DAY, "--engine", engine]);
            ran.exits(code).says(said.iter().copied()).says(["hint:"]);
            assert_eq!(sandbox.tables(), [""; 0], "{said:?}");
        };
        let gone = format!("ballista://127.0.0.1:{}", free_port());
        refused(&gone, 13, &["the scheduler of the cluster cannot be reached", &gone]);

        let scheduler = Scheduler::start(&sandbox, None);
        let alone = format!("ballista://{}?wait=2", scheduler.address);
        refused(&alone, 13, &["no executor of the cluster took a query within 2 s", &scheduler.address]);

        let other_key = scheduler.executor(&sandbox, |command| {
            command.env(KEY_VARIABLE, "another key");
        });
        refused(&scheduler.engine(), 2, &["an executor refuses the query: it has another pseudonym key"]);
        drop(other_key);

        // The caller has the variable, the executor would have the file.
        sandbox.edit("gatefold.toml", "\npseudonym_key_file", "\n# pseudonym_key_file");
        let scheduler = Scheduler::start(&sandbox, None);
        let no_key = scheduler.executor(&sandbox, |command| {
            command.env_remove(KEY_VARIABLE);
        });
        refused(&scheduler.engine(), 2, &["an executor refuses the query: it has no pseudonym key"]);
        drop(no_key);

        let scheduler = Scheduler::start(&sandbox, None);
        let elsewhere = Sandbox::new();
        let other_lake = scheduler.executor(&elsewhere, |_| ());
        refused(&scheduler.engine(), 2, &["an executor refuses the query: it reads other places than the caller"]);
        drop(other_lake);

        let poorer = |own: Identity| Identity { functions: "fewer".to_owned(), ..own };
        let older = |own: Identity| Identity { version: "0.0.1".to_owned(), ..own };
        let others: [(Other, &str); 2] = [
            (poorer, "an executor refuses the query: it has other functions than the caller"),
            (older, "an executor refuses the query: it is of version 0.0.1 and the caller of"),
        ];
        for (other, said) in others {
            let scheduler = Scheduler::start(&sandbox, None);
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.spawn(other_executor(&sandbox, &scheduler.address, other));
            refused(&scheduler.engine(), 2, &[said]);
            runtime.shutdown_background();
        }

        let scheduler = Scheduler::start(&sandbox, Some(TOKEN));
        refused(&scheduler.engine(), 2, &["the cluster has another token", TOKEN_VARIABLE]);
    }

    /// Makes an executor another one than it is.
    type Other = fn(Identity) -> Identity;

    /// An executor of another build than the caller's.
    fn other_executor(sandbox: &Sandbox, scheduler: &str, other: Other) -> impl Future<Output = ()> + use<> {
        let (host, port) = scheduler.rsplit_once(':').unwrap();
        let lake = Storage::open_local(&sandbox.path("lake")).unwrap();
        let snapshots = Storage::open_local(&sandbox.path("lake/snapshots")).unwrap();
        let options = ExecutorOptions {
            listen: ([127, 0, 0, 1], free_port()).into(),
            host: "127.0.0.1".to_owned(),
            scheduler: (host.to_owned(), port.parse().unwrap()),
            threads: 1,
            memory_bytes: 256 << 20,
            work: sandbox.path("work-of-the-other"),
            token: Token::default(),
            key: Some(Arc::new(PseudonymKey::from_bytes(KEY.as_bytes()).unwrap())),
            storages: vec![lake, snapshots],
        };
        let identity = other(options.identity());
        async move {
            let _ = run_executor(options, identity).await;
        }
    }

    #[test]
    fn nothing_is_open_by_accident() {
        let sandbox = Sandbox::new();
        let open = ["cluster", "scheduler", "--listen", "0.0.0.0:0"];
        sandbox.gatefold(open).exits(2).says(["the cluster has no token", TOKEN_VARIABLE]);
        let open = ["cluster", "executor", "--listen", "0.0.0.0:50051", "--host", "here"];
        sandbox.gatefold(open).exits(2).says(["the cluster has no token"]);
        let mut nameless = sandbox.command(["cluster", "executor", "--listen", "0.0.0.0:50051"]);
        sandbox.ran(nameless.env(TOKEN_VARIABLE, TOKEN)).exits(2).says(["give that one with --host"]);
        let mut short = sandbox.command(["cluster", "scheduler"]);
        sandbox.ran(short.env(TOKEN_VARIABLE, "short")).exits(2).says(["too short", "openssl rand -hex 32"]);
    }
}
