//! A message to a program: JSON on its standard input, its exit code is the answer.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::error::{Error, ErrorKind, Result};
use crate::pseudonym::KEY_VARIABLE;

/// Of what the program says on stderr, so much is shown.
const SHOWN: usize = 200;
/// How long we listen after the program has ended: a child of it may hold stderr open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Runs the program in the project's folder. It need not read its input.
///
/// # Errors
/// `Publish`: it cannot be started, it ends with another code than 0, or not within the time.
pub(super) async fn run(words: &[String], root: &Path, body: &Value, timeout: Duration) -> Result<()> {
    let name = words.first().map_or("", String::as_str);
    let failed = |message: String| Error::new(ErrorKind::Publish, message).with("command", words.join(" "));
    let mut child =
        start(words, root, body).map_err(|error| failed(format!("'{name}' cannot be started")).source(error))?;
    let group = Group::of(&child);
    let told = tokio::time::timeout(timeout, listen(&mut child)).await;
    let (ended, said) = told.map_err(|_| failed(format!("'{name}' did not end within {} s", timeout.as_secs())))?;
    let status = ended.map_err(|error| failed(format!("'{name}' cannot be waited for")).source(error))?;
    group.leave();
    if status.success() {
        return Ok(());
    }
    Err(failed(format!("'{name}' ended with {status}: {said}")))
}

fn start(words: &[String], root: &Path, body: &Value) -> std::io::Result<Child> {
    let (program, arguments) = words.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    // A path is the project's, a plain name is looked for where programs are.
    let program = match program.contains('/') {
        true => std::path::absolute(root.join(program))?,
        false => program.into(),
    };
    Command::new(program)
        .args(arguments)
        .current_dir(root)
        .env_remove(KEY_VARIABLE)
        .stdin(input(body)?)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
}

/// A file that nobody else sees: unlike a pipe it asks for nobody who feeds it, whether the program reads or not.
fn input(body: &Value) -> std::io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(body.to_string().as_bytes())?;
    file.rewind()?;
    Ok(file)
}

async fn listen(child: &mut Child) -> (std::io::Result<std::process::ExitStatus>, String) {
    let stderr = child.stderr.take();
    let mut said = vec![0; 4 * SHOWN];
    let mut length = 0;
    let listen = async {
        if let Some(mut stderr) = stderr {
            while length < said.len()
                && let Ok(read @ 1..) = stderr.read(&mut said[length..]).await
            {
                length += read;
            }
            // What comes after is dropped, so that the program is not held up by a full pipe.
            drop(tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await);
        }
    };
    let wait = async {
        let ended = child.wait().await;
        tokio::time::sleep(LAST_WORDS).await;
        ended
    };
    let aside = async {
        listen.await;
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = wait => ended,
        never = aside => never,
    };
    let text = String::from_utf8_lossy(&said[..length]);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing on stderr");
    (ended, line.chars().filter(|c| !c.is_control()).take(SHOWN).collect())
}

/// The program and all that it has started. They end when we stop waiting for them, also because we are stopped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Group {
        Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// What it has left in the background is its own affair.
    fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;

    async fn sh(script: &str, body: &Value) -> Result<()> {
        let words = ["sh", "-c", script].map(str::to_owned);
        run(&words, Path::new("/tmp"), body, Duration::from_secs(2)).await
    }

    #[tokio::test]
    async fn a_program_gets_the_message_and_answers_by_its_code() {
        let body = json!({ "title": "x" });
        sh("grep -q '\"title\":\"x\"'", &body).await.unwrap();
        let error = sh("echo 'no such pager' >&2; exit 3", &body).await.unwrap_err();
        assert!(error.message().contains("exit status: 3: no such pager"), "{error}");
        let words = ["/nowhere/notify".to_owned()];
        let error = run(&words, Path::new("/tmp"), &body, Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(error.message(), "'/nowhere/notify' cannot be started");
    }

    #[tokio::test]
    async fn a_program_need_not_read_and_may_talk_much() {
        let large = json!("x".repeat(1 << 20));
        sh("exit 0", &large).await.unwrap();
        sh("cat >/dev/null; head -c 1000000 /dev/zero >&2", &large).await.unwrap();
        let error = sh("exec <&-; exit 4", &large).await.unwrap_err();
        assert!(error.message().contains("exit status: 4"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let started = Instant::now();
        let script = format!("(sleep 3; touch {}) & sleep 60", mark.display());
        let error = sh(&script, &json!("x".repeat(1 << 20))).await.unwrap_err();
        assert!(error.message().contains("did not end within 2 s"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!mark.exists(), "a child of the program lives on");
    }

    #[tokio::test]
    async fn the_key_of_pseudonyms_is_not_handed_on() {
        sh(&format!("test -z \"${KEY_VARIABLE}\""), &json!(null)).await.unwrap();
    }
}
