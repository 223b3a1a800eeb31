//! Who we are to Google Cloud: one source of tokens for the bucket, for BigQuery and for uploads.
//!
//! On Google Cloud the metadata server vouches for us, which is what workload identity is; elsewhere a file does. A server on
//! loopback gets a word that is no secret, so a test can never send real credentials to what only looks like Google.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gcp_bigquery_client::auth::Authenticator;
use gcp_bigquery_client::error::BQError;
use google_cloud_auth::build_errors;
use google_cloud_auth::credentials::service_account::AccessSpecifier;
use google_cloud_auth::credentials::{
    self as google, AccessTokenCredentials, anonymous, external_account, impersonated, mds, service_account,
    user_account,
};
use object_store::CredentialProvider;
use object_store::gcp::GcpCredential;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::config::{Google, is_loopback};
use crate::error::{Error, ErrorKind, Result};

/// What a server on loopback is told instead of a token; `loopback` unless set.
pub const LOOPBACK_TOKEN_VARIABLE: &str = "GATEFOLD_LOOPBACK_TOKEN";

/// Names a credentials file to all of Google's clients.
const DEFAULT_FILE_VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// Covers the bucket and BigQuery; what we may do there is for IAM to say.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// A metadata server that is not there may swallow the question instead of refusing it.
const PATIENCE: Duration = Duration::from_secs(30);

const HOW_TO_MEND: &str = "name a file in [env.NAME.google] credentials or in GOOGLE_APPLICATION_CREDENTIALS, or run: \
                           gcloud auth application-default login";

/// Cheap to clone; clones share the cached token. It is renewed in the background before it expires.
#[derive(Clone)]
pub struct Credentials(Arc<Source>);

enum Source {
    Loopback(SecretString),
    Google { credentials: AccessTokenCredentials, from: Origin },
}

/// Where a token comes from.
#[derive(Debug)]
enum Origin {
    File(PathBuf),
    /// That of the machine, which is there on Google Cloud alone.
    MetadataServer,
}

impl Credentials {
    /// The credentials for an endpoint; `None` is Google's own. To be called in a runtime, which renews the tokens.
    ///
    /// # Errors
    /// `Project`: there is no such file, or it holds no credentials.
    pub fn new(google: &Google, endpoint: Option<&Url>) -> Result<Self> {
        if endpoint.is_some_and(is_loopback) {
            return Ok(Credentials(Arc::new(Source::Loopback(loopback_token()))));
        }
        let (credentials, from) = match google.credentials.clone().or_else(default_file) {
            Some(file) => (from_file(&file)?, Origin::File(file)),
            None => (from_metadata_server()?, Origin::MetadataServer),
        };
        Ok(Credentials(Arc::new(Source::Google { credentials, from })))
    }

    /// A bearer token that is good for some minutes at least.
    ///
    /// # Errors
    /// `Project`: there are no credentials, or they are refused. `Publish`: the service that gives tokens does not answer.
    pub async fn token(&self) -> Result<String> {
        match &*self.0 {
            Source::Loopback(token) => Ok(token.expose_secret().to_owned()),
            Source::Google { credentials, from } => {
                match tokio::time::timeout(PATIENCE, credentials.access_token()).await {
                    Ok(Ok(token)) => Ok(token.token),
                    Ok(Err(error)) => Err(from.failed(error.is_transient(), error)),
                    Err(late) => Err(from.failed(true, late)),
                }
            }
        }
    }

    /// For `google-cloud-storage`, which asks for its tokens itself.
    pub fn google(&self) -> google::Credentials {
        match &*self.0 {
            Source::Loopback(_) => anonymous::Builder::new().build(),
            Source::Google { credentials, .. } => credentials.clone().into(),
        }
    }
}

/// Tokens never reach a log.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Source::Loopback(_) => f.write_str("Credentials(loopback)"),
            Source::Google { from, .. } => write!(f, "Credentials({from})"),
        }
    }
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = GcpCredential;

    /// The error is ours inside a store's, and [`Storage::failed`](super::Storage::failed) finds it there.
    async fn get_credential(&self) -> object_store::Result<Arc<GcpCredential>> {
        let token = self.token().await;
        let token = token.map_err(|error| object_store::Error::Generic { store: "GCS", source: Box::new(error) })?;
        Ok(Arc::new(GcpCredential { bearer: token }))
    }
}

#[async_trait]
impl Authenticator for Credentials {
    /// That client has no place for our error, so what it says is carried as the cause of an error of reading.
    async fn access_token(&self) -> Result<String, BQError> {
        self.token().await.map_err(|error| BQError::InvalidServiceAccountKey(std::io::Error::other(error)))
    }
}

fn loopback_token() -> SecretString {
    let named = std::env::var(LOOPBACK_TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
    SecretString::from(named.unwrap_or_else(|| "loopback".to_owned()))
}

/// Where Google's clients look when no file is named to them: <https://google.aip.dev/auth/4110>.
fn default_file() -> Option<PathBuf> {
    if let Some(file) = std::env::var_os(DEFAULT_FILE_VARIABLE).filter(|file| !file.is_empty()) {
        return Some(PathBuf::from(file));
    }
    let file = Path::new(&std::env::var_os("HOME")?).join(".config/gcloud/application_default_credentials.json");
    file.is_file().then_some(file)
}

fn from_metadata_server() -> Result<AccessTokenCredentials> {
    mds::Builder::default().with_scopes([SCOPE]).build_access_token_credentials().map_err(unusable)
}

fn from_file(file: &Path) -> Result<AccessTokenCredentials> {
    let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::project("the credentials cannot be read").with("file", file.display()).source(error).hint(HOW_TO_MEND)
    };
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(error.into()))?;
    let json: Value = serde_json::from_str(&text).map_err(|error| unreadable(error.into()))?;
    let built = match json.get("type").and_then(Value::as_str).unwrap_or_default() {
        "service_account" => service_account::Builder::new(json)
            .with_access_specifier(AccessSpecifier::from_scopes([SCOPE]))
            .build_access_token_credentials(),
        // What gcloud wrote down carries the scopes that the person agreed to.
        "authorized_user" => user_account::Builder::new(json).build_access_token_credentials(),
        "impersonated_service_account" => {
            impersonated::Builder::new(json).with_scopes([SCOPE]).build_access_token_credentials()
        }
        "external_account" => {
            external_account::Builder::new(json).with_scopes([SCOPE]).build_access_token_credentials()
        }
        other => {
            return Err(Error::project(format!("'{other}' is no type of credentials that we know"))
                .with("file", file.display())
                .hint("a service account's key, or what gcloud or workload identity federation has written"));
        }
    };
    built.map_err(|error| unusable(error).with("file", file.display()))
}

fn unusable(error: build_errors::Error) -> Error {
    Error::project("the credentials cannot be used").source(error).hint(HOW_TO_MEND)
}

impl Origin {
    /// On a machine of Google's the metadata server is there and may only be late; on any other its silence means that there
    /// are no credentials at all.
    fn failed(&self, transient: bool, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        let error = match self {
            Origin::MetadataServer if transient && !on_google_cloud() => {
                Error::project("no credentials of Google Cloud are found")
            }
            _ if transient => Error::new(ErrorKind::Publish, "no token of Google Cloud can be had at present"),
            _ => Error::project("Google Cloud refuses the credentials"),
        };
        error.with("credentials", self).source(cause).hint(HOW_TO_MEND)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(file) => write!(f, "{}", file.display()),
            Origin::MetadataServer => f.write_str("the metadata server"),
        }
    }
}

fn on_google_cloud() -> bool {
    let product = std::fs::read_to_string("/sys/class/dmi/id/product_name").unwrap_or_default();
    product.starts_with("Google") || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = r#"{ "type": "service_account", "private_key": "secret-of-the-key" }"#;

    fn refusal(text: &str) -> Error {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        std::fs::write(&file, text).unwrap();
        Credentials::new(&Google { credentials: Some(file), ..Google::default() }, None).unwrap_err()
    }

    #[tokio::test]
    async fn a_server_on_loopback_gets_no_credentials() {
        let google = Google { credentials: Some("/nowhere/key.json".into()), ..Google::default() };
        let endpoint = Url::parse("http://127.0.0.1:4443").unwrap();
        let credentials = Credentials::new(&google, Some(&endpoint)).unwrap();
        assert_eq!(credentials.token().await.unwrap(), "loopback");
        assert_eq!(credentials.get_credential().await.unwrap().bearer, "loopback");
        assert_eq!(credentials.access_token().await.unwrap(), "loopback");
        assert_eq!(format!("{credentials:?}"), "Credentials(loopback)");

        let elsewhere = Url::parse("https://storage.example").unwrap();
        let refused = Credentials::new(&google, Some(&elsewhere)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Project);
        assert!(refused.to_string().contains("/nowhere/key.json"), "{refused}");
    }

    #[tokio::test]
    async fn a_file_that_holds_no_credentials_is_refused_and_its_secrets_are_not_told() {
        for (text, expected) in [
            ("{", "the credentials cannot be read"),
            ("{}", "'' is no type of credentials"),
            (r#"{ "type": "gift" }"#, "'gift' is no type of credentials"),
            (KEY, "the credentials cannot be used"),
        ] {
            let refused = refusal(text);
            assert_eq!(refused.kind(), ErrorKind::Project, "{text}");
            let told = format!("{refused} {:?} {refused:?}", refused.causes());
            assert!(told.contains(expected) && told.contains("key.json"), "{told}");
            assert!(!told.contains("secret-of-the-key"), "{told}");
        }
    }

    #[test]
    fn silence_means_none_at_all_only_where_there_is_no_file() {
        let silent = |origin: Origin| origin.failed(true, "no answer");
        assert_eq!(silent(Origin::File("key.json".into())).kind(), ErrorKind::Publish);
        if !on_google_cloud() {
            let none = silent(Origin::MetadataServer);
            assert_eq!(none.kind(), ErrorKind::Project);
            assert!(none.to_string().contains("no credentials of Google Cloud are found"), "{none}");
        }
        let refused = Origin::File("key.json".into()).failed(false, "account is disabled");
        assert_eq!(refused.kind(), ErrorKind::Project);
    }
}
