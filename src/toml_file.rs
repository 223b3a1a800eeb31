//! Project files in TOML: every error, of syntax or of meaning, names `file:line:column` and says what to do.
//!
//! `serde` and the `toml` crate do the reading. What they say is put into plain words here, and [`At`] keeps where a
//! value stands, so that what is found wrong later points at it as well.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use toml::de::DeTable;

use crate::contract::Location;
use crate::error::{Error, Result, did_you_mean};

/// A value and where it stands in its file, in bytes.
#[derive(Debug, Clone)]
pub struct At<T> {
    value: T,
    span: Range<usize>,
}

impl<T> At<T> {
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let spanned = toml::Spanned::deserialize(deserializer)?;
        Ok(At { span: spanned.span(), value: spanned.into_inner() })
    }
}

/// In the schema of a file a place is invisible.
impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A file of the project and its text.
#[derive(Debug, Clone)]
pub struct TomlFile {
    /// Relative to the project.
    pub path: PathBuf,
    pub text: String,
}

impl TomlFile {
    /// Reads `path`, relative to the project's `root`.
    pub fn read(root: &Path, path: &Path) -> Result<Self> {
        let text = read_text(root, path)?;
        Ok(TomlFile { path: path.to_owned(), text })
    }

    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        self.parse_reshaped(|_| Ok(()))
    }

    /// Parses after `reshape` has changed the tree: for notations that `serde` cannot follow without losing places.
    pub fn parse_reshaped<'t, T: DeserializeOwned>(
        &'t self,
        reshape: impl FnOnce(&mut DeTable<'t>) -> Result<()>,
    ) -> Result<T> {
        let mut root = DeTable::parse(&self.text).map_err(|error| self.unreadable(&error))?;
        reshape(root.get_mut())?;
        T::deserialize(toml::Deserializer::from(root)).map_err(|error| self.unreadable(&error))
    }

    pub fn location(&self, span: Range<usize>) -> Location {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Location {
            file: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// An error at a place of this file.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) -> Error {
        Error::project(message).with("file", self.location(span))
    }

    /// Names the place on the way of an error that knows only the value.
    pub fn locate<T>(&self, span: Range<usize>, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.with("file", self.location(span)))
    }

    fn unreadable(&self, error: &toml::de::Error) -> Error {
        let (message, hint) = in_plain_words(error.message());
        let located = self.error(error.span().unwrap_or(0..0), message);
        match hint {
            Some(hint) => located.hint(hint),
            None => located,
        }
    }
}

/// Reads a text file of the project, `path` relative to `root`.
pub fn read_text(root: &Path, path: &Path) -> Result<String> {
    let bytes = std::fs::read(root.join(path)).map_err(|error| {
        let problem = if error.kind() == std::io::ErrorKind::NotFound { "does not exist" } else { "cannot be read" };
        Error::project(format!("'{}' {problem}", path.display())).source(error)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Error::project(format!("'{}' is not UTF-8 text", path.display()))
            .with("line", line + 1)
            .hint("save the file as UTF-8")
    })
}

/// The files of a folder of the project that have an extension, relative to `root`, by their stems, sorted; a folder that does
/// not exist has none.
///
/// # Errors
/// `Project`: the folder cannot be read.
pub fn files_of(root: &Path, folder: &str, extension: &str) -> Result<BTreeMap<String, PathBuf>> {
    let unreadable =
        |error: std::io::Error| Error::project(format!("the folder '{folder}' cannot be read")).source(error);
    if !root.join(folder).exists() {
        return Ok(BTreeMap::new());
    }
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(root.join(folder)).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_none_or(|found| found != extension) || !path.is_file() {
            continue;
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(stem, Path::new(folder).join(path.file_name().unwrap_or_default()));
    }
    Ok(files)
}

/// "did you mean 'x'?" when one is near, or else all there are.
pub fn suggest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let known =
        if candidates.is_empty() { "there is none".to_owned() } else { format!("known: {}", candidates.join(", ")) };
    did_you_mean(typed, candidates).unwrap_or(known)
}

/// The words of `serde` and `toml` as a person would say them, and a hint where there is one.
fn in_plain_words(message: &str) -> (String, Option<String>) {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let key = quoted.next().unwrap_or_default();
        return (format!("unknown key '{key}'"), Some(suggest(key, quoted)));
    }
    if message.starts_with("unknown variant") {
        let value = quoted.next().unwrap_or_default();
        return (format!("unknown value '{value}'"), Some(suggest(value, quoted)));
    }
    if message.starts_with("missing field") {
        return (format!("the key '{}' is missing", quoted.next().unwrap_or_default()), Some("add it".to_owned()));
    }
    if let Some((keys, known)) =
        message.strip_prefix("unexpected keys in table: ").and_then(|keys| keys.split_once(", available keys: "))
    {
        let key = keys.split(", ").next().unwrap_or(keys);
        return (format!("unknown key '{key}'"), Some(suggest(key, known.split(", "))));
    }
    if let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.split_once(", expected "))
    {
        let expected = plain_type(expected);
        return (
            format!("{} stands where {expected} belongs", found.replace('`', "")),
            Some(format!("write {expected}")),
        );
    }
    (message.to_owned(), message.starts_with("duplicate key").then(|| "remove one of them".to_owned()))
}

fn plain_type(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number of 0 or more",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a TOML datetime" => "a date without quotation marks (2026-11-01)",
        _ if expected.starts_with("struct ") || expected.starts_with("a map") => "a table",
        _ => expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read for its errors")]
    struct Sample {
        name: At<String>,
        count: Option<u32>,
        part: Option<Part>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read for its errors")]
    struct Part {
        list: Vec<bool>,
    }

    fn file(text: &str) -> TomlFile {
        TomlFile { path: "jobs/a.toml".into(), text: text.to_owned() }
    }

    fn refusal(text: &str) -> String {
        file(text).parse::<Sample>().expect_err(text).to_string()
    }

    #[test]
    fn errors_say_what_where_and_what_to_do() {
        for (text, expected) in [
            ("nam = 'a'", "unknown key 'nam'; file: jobs/a.toml:1:1; hint: did you mean 'name'?"),
            ("\nzzz = 'a'", "unknown key 'zzz'; file: jobs/a.toml:2:1; hint: known: name, count, part"),
            ("count = 1", "the key 'name' is missing; file: jobs/a.toml:1:1; hint: add it"),
            ("name = 3", "integer 3 stands where a string belongs; file: jobs/a.toml:1:8; hint: write a string"),
            (
                "name = 'é'\ncount = -1",
                "integer -1 stands where a whole number from 0 to 4294967295 belongs; file: jobs/a.toml:2:9; \
                 hint: write a whole number from 0 to 4294967295",
            ),
            (
                "name = 'é'\npart = { list = [true, 'x'] }",
                "string \"x\" stands where true or false belongs; file: jobs/a.toml:2:24; hint: write true or false",
            ),
            (
                "name = 'é'\npart = 3",
                "integer 3 stands where a table belongs; file: jobs/a.toml:2:8; hint: write a table",
            ),
            (
                "name = 'a'\n[part]\nlist = 'x'",
                "string \"x\" stands where a list belongs; file: jobs/a.toml:3:8; hint: write a list",
            ),
            ("name = 'a'\n[part]\n", "the key 'list' is missing; file: jobs/a.toml:2:1; hint: add it"),
            ("name = 'a'\nname = 'b'", "duplicate key; file: jobs/a.toml:2:1; hint: remove one of them"),
            ("name = ", "string values must be quoted, expected literal string; file: jobs/a.toml:1:8"),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
    }

    #[test]
    fn places_count_characters_and_lines_from_one() {
        let file = file("name = 'ü' # é\n  count = 2");
        let sample: Sample = file.parse().unwrap();
        assert_eq!(file.location(sample.name.span()).to_string(), "jobs/a.toml:1:8");
        let comment = file.text.find('#').unwrap();
        assert_eq!(file.location(comment..comment + 1).to_string(), "jobs/a.toml:1:12");
        let count = file.text.find("2").unwrap();
        assert_eq!(file.location(count..count + 1).to_string(), "jobs/a.toml:2:11");
        assert_eq!(file.location(999..999).to_string(), "jobs/a.toml:2:12");
    }

    #[test]
    fn a_file_that_is_not_there_or_not_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let missing = TomlFile::read(folder.path(), Path::new("a.toml")).unwrap_err();
        assert_eq!(missing.to_string(), "'a.toml' does not exist");
        std::fs::write(folder.path().join("b.toml"), b"a = 1\nb = \"\xff\"").unwrap();
        let binary = TomlFile::read(folder.path(), Path::new("b.toml")).unwrap_err();
        assert_eq!(binary.to_string(), "'b.toml' is not UTF-8 text; line: 2; hint: save the file as UTF-8");
    }
}
