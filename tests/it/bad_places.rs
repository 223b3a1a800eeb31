//! Places that fail: a lake that cannot be written, a disk that is full, a key that is not there.

use std::process::Command;

use crate::people::{ada_and_bob, batch, published};
use crate::support::{DAY, DAY_BEFORE, KEY_VARIABLE, Ran, Sandbox};

#[test]
fn a_lake_below_a_file_is_refused() {
    let sandbox = published();
    let before = sandbox.lake();
    sandbox.edit("gatefold.toml", "= \"lake\"", "= \"gatefold.toml/lake\"");
    for command in ["run", "plan", "runs", "generate"] {
        sandbox.gatefold([command]).exits(2).says(["the folder cannot be used", "gatefold.toml/lake", "permissions"]);
    }
    sandbox.edit("gatefold.toml", "= \"gatefold.toml/lake\"", "= \"lake\"");
    assert_eq!(before, sandbox.lake());
}

/// Runs a shell script with the program's path as `$0` and the project as `$1`.
fn shell(sandbox: &Sandbox, wrapper: &[&str], script: &str) -> Ran {
    let mut command = match wrapper {
        [] => Command::new("sh"),
        [program, rest @ ..] => {
            let mut command = Command::new(program);
            command.args(rest).arg("sh");
            command
        }
    };
    command.args(["-c", script, env!("CARGO_BIN_EXE_gatefold")]).arg(sandbox.root());
    sandbox.ran(command.env(KEY_VARIABLE, crate::support::KEY))
}

/// The project published for one day, with more rows for the other than a small disk takes.
fn with_much_to_write() -> Sandbox {
    let sandbox = Sandbox::with_sample();
    sandbox.run(DAY_BEFORE).exits(0);
    sandbox
}

/// The limit on the size of a file stands for a disk without room: a write fails in the middle of a file.
#[test]
fn a_file_that_cannot_grow_fails_the_run_and_nothing_is_seen_of_it() {
    let sandbox = with_much_to_write();
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" --project \"$1\" run --date 2026-11-20";
    let run = sandbox.lake_stays(|| shell(&sandbox, &[], script));
    run.exits(13).says(["failed to", "<project>/lake/tables/users/user_daily", "File too large"]);
    sandbox.run(DAY).exits(0).prints(["published"]);
}

#[test]
fn a_full_disk_fails_the_run_and_room_mends_it() {
    let sandbox = with_much_to_write();
    let before = sandbox.lake();
    let private = ["unshare", "--mount"];
    let permitted = "mount -t tmpfs -o size=64k tmpfs \"$1/lake\"";
    if shell(&sandbox, &private, permitted).code != 0 {
        eprintln!("skipped: a_full_disk_fails_the_run_and_room_mends_it: no private mounts here");
        return;
    }
    // The lake moves to a small disk that nobody else sees, with what was published so far, and comes back afterwards.
    let script = r#"
        set -e
        mv "$1/lake" "$1/saved"; mkdir "$1/lake"
        mount -t tmpfs -o size=64m tmpfs "$1/lake"
        cp -a "$1/saved/." "$1/lake/"
        mount -o remount,size=$(( $(df -k --output=used "$1/lake" | tail -1) + 24 ))k "$1/lake"
        code=0; "$0" --project "$1" run --date 2026-11-20 || code=$?
        "$0" --project "$1" query --format csv "SELECT DISTINCT snapshot_date FROM users.user_daily"
        mount -o remount,size=64m "$1/lake"
        "$0" --project "$1" run --date 2026-11-20
        rm -r "$1/saved"; mkdir "$1/saved"; cp -a "$1/lake/." "$1/saved/"
        umount "$1/lake"; rmdir "$1/lake"; mv "$1/saved" "$1/lake"
        exit $code
    "#;
    let run = shell(&sandbox, &private, script);
    run.exits(13).says(["No space left on device"]).prints(["snapshot_date\n2026-11-19\nrun ", "published"]);
    assert_ne!(before, sandbox.lake());
    assert_eq!(sandbox.rows("SELECT count(DISTINCT snapshot_date) FROM users.user_daily"), ["2"]);
}

#[test]
fn a_missing_key_file_says_how_to_make_one() {
    let sandbox = with_much_to_write();
    sandbox.remove("keys");
    let run = sandbox.lake_stays(|| sandbox.ran(sandbox.command(["run", "--date", DAY]).env_remove(KEY_VARIABLE)));
    run.exits(2).says(["cannot read the pseudonym key", "keys/pseudonym.key", "openssl rand -hex 32", KEY_VARIABLE]);
}

#[test]
fn a_model_that_needs_a_key_and_has_none_is_refused() {
    let sandbox = with_much_to_write();
    sandbox.edit("gatefold.toml", "pseudonym_key_file", "# pseudonym_key_file");
    let run = sandbox.lake_stays(|| sandbox.ran(sandbox.command(["run", "--date", DAY]).env_remove(KEY_VARIABLE)));
    run.exits(2).says(["computes user_pid, and no key is configured", "sql/user_daily.sql", KEY_VARIABLE]);

    let empty = sandbox.ran(sandbox.command(["run", "--date", DAY]).env(KEY_VARIABLE, ""));
    empty.exits(2).says(["the pseudonym key is empty", KEY_VARIABLE]);
}

/// Another key makes other users of the same accounts, so a partition is not up to date under it.
#[test]
fn another_key_is_another_input_and_is_told_to_nobody() {
    let sandbox = with_much_to_write();
    let secret = "a-key-that-nobody-may-read";
    let mut command = sandbox.command(["run", "--date", DAY_BEFORE, "-vv"]);
    let run = sandbox.ran(command.env(KEY_VARIABLE, secret));
    run.exits(0).prints(["published, version 2"]);
    assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret));
    let found = Command::new("grep").args(["-r", secret]).arg(sandbox.root()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn a_model_without_user_pid_needs_no_key() {
    let sandbox = published();
    sandbox.edit("gatefold.toml", "pseudonym_key_file", "# pseudonym_key_file");
    sandbox.put_rows("person", DAY_BEFORE, &batch(&ada_and_bob()));
    sandbox.ran(sandbox.command(["run", "--date", DAY_BEFORE]).env_remove(KEY_VARIABLE)).exits(0);
}
