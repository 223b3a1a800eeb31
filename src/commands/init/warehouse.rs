//! Where a new project publishes its tables: said by flags, or asked for on a terminal.

use std::io::{BufRead, Write};

use clap::ValueEnum;

use crate::config::BucketPlace;
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A lake in the project's folder, and nothing else.
    Embedded,
    /// BigQuery, from a lake in a bucket.
    Bigquery,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warehouse {
    Embedded,
    BigQuery { project: String, location: String, bucket: String },
}

#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// Where tables are published; asked for on a terminal, else embedded.
    #[arg(long, value_enum)]
    pub warehouse: Option<Kind>,
    /// The Google Cloud project of the tables.
    #[arg(long, value_name = "PROJECT", value_parser = project)]
    pub bigquery_project: Option<String>,
    /// The location of the tables and of the bucket, such as EU or europe-west1.
    #[arg(long, value_name = "LOCATION", value_parser = location)]
    pub location: Option<String>,
    /// The place of the lake, such as gs://bucket/prefix.
    #[arg(long, value_name = "PLACE", value_parser = bucket)]
    pub bucket: Option<String>,
}

impl Flags {
    /// What the flags say. What they leave out is asked for when there is somebody to ask.
    ///
    /// # Errors
    /// `Project`: the flags contradict each other, or leave out what nobody can be asked for.
    pub fn warehouse<R: BufRead, W: Write>(&self, mut person: Option<Person<R, W>>) -> Result<Warehouse> {
        let of_bigquery = [&self.bigquery_project, &self.location, &self.bucket];
        let names_bigquery = of_bigquery.into_iter().any(Option::is_some);
        let kind = match (self.warehouse, &mut person) {
            (Some(Kind::Embedded), _) if names_bigquery => {
                return Err(Error::project("an embedded warehouse has no project, location or bucket")
                    .hint("say --warehouse bigquery, or leave them out"));
            }
            (Some(kind), _) => kind,
            (None, _) if names_bigquery => Kind::Bigquery,
            (None, Some(person)) => person.ask("warehouse, embedded or bigquery", Some("embedded"), |text| {
                Kind::from_str(text, true).map_err(|_| "embedded or bigquery".to_owned())
            })?,
            (None, None) => Kind::Embedded,
        };
        if kind == Kind::Embedded {
            return Ok(Warehouse::Embedded);
        }
        let mut part =
            |given: &Option<String>, flag: &str, what: &str, read: fn(&str) -> Read<String>| match (given, &mut person)
            {
                (Some(given), _) => Ok(given.clone()),
                (None, Some(person)) => person.ask(what, None, read),
                (None, None) => Err(Error::project(format!("{flag} is missing"))
                    .hint("BigQuery needs --bigquery-project, --location and --bucket")),
            };
        Ok(Warehouse::BigQuery {
            project: part(&self.bigquery_project, "--bigquery-project", "Google Cloud project", project)?,
            location: part(&self.location, "--location", "location, such as EU or europe-west1", location)?,
            bucket: part(&self.bucket, "--bucket", "place of the lake, such as gs://bucket/prefix", bucket)?,
        })
    }
}

type Read<T> = std::result::Result<T, String>;

/// Somebody at a terminal.
pub struct Person<R, W> {
    pub says: R,
    pub reads: W,
}

impl<R: BufRead, W: Write> Person<R, W> {
    /// Asks until the answer is one; an empty line is the usual answer, where there is one.
    fn ask<T>(&mut self, what: &str, usual: Option<&str>, read: impl Fn(&str) -> Read<T>) -> Result<T> {
        let failed = |error: std::io::Error| Error::project("the terminal cannot be asked").source(error);
        loop {
            let usual_text = usual.map(|usual| format!(" [{usual}]")).unwrap_or_default();
            write!(self.reads, "{what}{usual_text}: ").and_then(|()| self.reads.flush()).map_err(failed)?;
            let mut line = String::new();
            if self.says.read_line(&mut line).map_err(failed)? == 0 {
                return Err(Error::project("the input ended before the questions did")
                    .hint("say it by flags: gatefold init --help"));
            }
            let answer = Some(line.trim()).filter(|answer| !answer.is_empty()).or(usual);
            match answer.map(&read) {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(why)) => writeln!(self.reads, "  {why}").map_err(failed)?,
                None => {}
            }
        }
    }
}

/// https://cloud.google.com/resource-manager/docs/creating-managing-projects; old ones have a domain before a colon.
fn project(text: &str) -> Read<String> {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | ':');
    match text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(known) {
        true => Ok(text.to_owned()),
        false => Err(format!("'{text}' is not a project's id: lower-case letters, digits and '-', a letter first")),
    }
}

fn location(text: &str) -> Read<String> {
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        true => Ok(text.to_owned()),
        false => Err(format!("'{text}' is not a location: EU, US, or a region such as europe-west1")),
    }
}

fn bucket(text: &str) -> Read<String> {
    // Nothing that TOML would not take as it is.
    if text.contains(|c: char| c.is_control() || matches!(c, '"' | '\\')) {
        return Err(format!("'{}' is not a place: write gs://bucket/prefix", text.escape_default()));
    }
    BucketPlace::parse(text).map(|place| place.to_string()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Nobody = Person<std::io::Empty, std::io::Sink>;

    fn asked(flags: &Flags, answers: &str) -> (Result<Warehouse>, String) {
        let mut told = Vec::new();
        let warehouse = flags.warehouse(Some(Person { says: answers.as_bytes(), reads: &mut told }));
        (warehouse, String::from_utf8(told).unwrap())
    }

    fn acme() -> Warehouse {
        let (project, location, bucket) = ("acme".into(), "EU".into(), "gs://acme-lake/shop".into());
        Warehouse::BigQuery { project, location, bucket }
    }

    #[test]
    fn nobody_is_asked_and_the_flags_decide() {
        let all = Flags {
            bigquery_project: Some("acme".into()),
            location: Some("EU".into()),
            bucket: Some("gs://acme-lake/shop".into()),
            warehouse: None,
        };
        assert_eq!(Flags::default().warehouse(None::<Nobody>).unwrap(), Warehouse::Embedded);
        assert_eq!(all.warehouse(None::<Nobody>).unwrap(), acme());
        let embedded = Flags { warehouse: Some(Kind::Embedded), ..all.clone() };
        let refusal = embedded.warehouse(None::<Nobody>).unwrap_err().to_string();
        assert!(refusal.starts_with("an embedded warehouse has no project"), "{refusal}");
        let half = Flags { bucket: None, ..all };
        let refusal = half.warehouse(None::<Nobody>).unwrap_err().to_string();
        assert!(refusal.starts_with("--bucket is missing; hint: BigQuery needs"), "{refusal}");
    }

    #[test]
    fn a_person_is_asked_for_what_is_left_out_until_it_is_one() {
        let (warehouse, told) = asked(&Flags::default(), "\n");
        assert_eq!(
            (warehouse.unwrap(), told.as_str()),
            (Warehouse::Embedded, "warehouse, embedded or bigquery [embedded]: ")
        );

        let (warehouse, told) =
            asked(&Flags::default(), "snowflake\nBigQuery\nAcme!\nacme\nEU\nacme-lake\ngs://acme-lake/shop/\n");
        assert_eq!(warehouse.unwrap(), acme());
        for part in ["embedded or bigquery\n", "'Acme!' is not a project's id", "'acme-lake' is not in a bucket"] {
            assert!(told.contains(part), "{told}");
        }
        let said =
            Flags { warehouse: Some(Kind::Bigquery), bucket: Some("gs://acme-lake/shop".into()), ..Flags::default() };
        let (warehouse, told) = asked(&said, "acme\nEU\n");
        assert_eq!(warehouse.unwrap(), acme());
        assert!(!told.contains("warehouse") && !told.contains("bucket"), "{told}");
        assert!(asked(&said, "acme\n").0.unwrap_err().to_string().starts_with("the input ended"));
    }

    #[test]
    fn what_would_break_the_file_is_refused() {
        for bad in ["gs://b\"/x", "gs://acme-lake/a\\b", "s3://acme", "gs://acme-lake/\u{7}"] {
            assert!(bucket(bad).is_err(), "{bad}");
        }
        assert!(project("acme-1").is_ok() && project("acme.com:shop").is_ok() && project("a\"b").is_err());
        assert!(location("europe-west1").is_ok() && location("EU\"").is_err() && location("").is_err());
    }
}
