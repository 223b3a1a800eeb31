//! One error for the whole program: what happened, where, and what to do about it.
//!
//! A kind says which promise was broken; it alone decides the exit code, so that a scheduler can act on a number
//! and a person on the sentence. Messages are lower-case fragments that name the operand.

use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which promise was broken. The exit codes are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The project's files or the call are wrong (exit 2). Trying again changes nothing.
    Project,
    /// An input is missing or late (exit 10). Try again later.
    InputMissing,
    /// An input breaks its contract (exit 11).
    InputBroken,
    /// A blocking check found something (exit 12). Do not try again.
    CheckBlocked,
    /// Writing or publishing failed after retries (exit 13). Try again.
    Publish,
    /// Another run holds the lease (exit 14).
    LeaseHeld,
    /// The memory limit of the call is too small for what it asks (exit 2).
    OutOfMemory,
    /// A fault of ours (exit 70).
    Internal,
}

impl ErrorKind {
    pub const ALL: [ErrorKind; 8] = [
        ErrorKind::Project,
        ErrorKind::InputMissing,
        ErrorKind::InputBroken,
        ErrorKind::CheckBlocked,
        ErrorKind::Publish,
        ErrorKind::LeaseHeld,
        ErrorKind::OutOfMemory,
        ErrorKind::Internal,
    ];

    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::Project | ErrorKind::OutOfMemory => 2,
            ErrorKind::InputMissing => 10,
            ErrorKind::InputBroken => 11,
            ErrorKind::CheckBlocked => 12,
            ErrorKind::Publish => 13,
            ErrorKind::LeaseHeld => 14,
            ErrorKind::Internal => 70,
        }
    }

    /// Whether the same call may succeed later with nothing changed by a person.
    pub fn retryable(self) -> bool {
        matches!(self, ErrorKind::InputMissing | ErrorKind::Publish | ErrorKind::LeaseHeld)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Project => "project",
            ErrorKind::InputMissing => "input_missing",
            ErrorKind::InputBroken => "input_broken",
            ErrorKind::CheckBlocked => "check_blocked",
            ErrorKind::Publish => "publish",
            ErrorKind::LeaseHeld => "lease_held",
            ErrorKind::OutOfMemory => "out_of_memory",
            ErrorKind::Internal => "internal",
        }
    }
}

/// What happened (`message`), where (`context`, in the order given), what to do (`hint`), and why (`source`).
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Parts { kind, message: message.into(), context: Vec::new(), hint: None, source: None }))
    }

    pub fn project(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Project, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Internal, message)
    }

    /// Adds where it happened: `("file", "jobs/user_daily.toml:12:3")`, `("table", "users.user_daily")`.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Says what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same to be told a second time: a source cannot be copied.
    #[must_use]
    pub fn without_source(&self) -> Error {
        let Parts { kind, message, context, hint, .. } = self.0.as_ref();
        let (message, context, hint) = (message.clone(), context.clone(), hint.clone());
        Error(Box::new(Parts { kind: *kind, message, context, hint, source: None }))
    }

    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The causes, outermost first, each once: a source that only repeats its own source is said once.
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let text = cause.to_string();
            if !causes.iter().any(|before| before.contains(&text)) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }
}

/// One line; the terminal's rendering with context, cause and hint is `commands::report`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (key, value) in &self.0.context {
            write!(f, "; {key}: {value}")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "; hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The candidate nearest to what was typed, when it is near enough to be meant.
pub fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(typed.chars().count()) / 3).max(1))
        .min()
        .map(|(_, candidate)| format!("did you mean '{candidate}'?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_offered_and_a_far_one_is_not() {
        let names = ["tier", "country", "user_pid"];
        assert_eq!(did_you_mean("teir", names).as_deref(), Some("did you mean 'tier'?"));
        assert_eq!(did_you_mean("lifecycle_state", names), None);
    }

    #[test]
    fn only_passing_troubles_are_retryable() {
        assert!(ErrorKind::InputMissing.retryable());
        assert!(!ErrorKind::CheckBlocked.retryable());
        assert!(!ErrorKind::Project.retryable());
    }
}
