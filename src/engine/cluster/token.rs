//! The secret that the processes of a cluster share, so that nobody else of the network can have plans run or rows sent.
//!
//! A digest of it travels in the `user-agent` of every call, the one header that all clients of Ballista let their user set.
//! The network can read it unless it encrypts: a token keeps strangers out, it does not hide anything.

use ballista_core::extension::EndpointOverrideFn;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::fmt;
use std::sync::Arc;
use tonic::{Request, Status};

use crate::digest::digest;
use crate::error::{Error, Result};
use crate::pseudonym::{first_hex_digits, hex_text};

/// The variable that holds the token.
pub const TOKEN_VARIABLE: &str = "GATEFOLD_CLUSTER_TOKEN";
const MESSAGE: &[u8] = b"gatefold cluster token";
/// What one without it is told.
pub const WANTS_A_TOKEN: &str = "this cluster has a token";
const LEAST_BYTES: usize = 16;

/// What is shown and asked for; nothing without a token.
#[derive(Clone, Default)]
pub struct Token(Option<Arc<str>>);

impl Token {
    /// Errors (exit 2): it is too short to be a secret, or not text.
    pub fn from_environment() -> Result<Self> {
        let Some(value) = std::env::var_os(TOKEN_VARIABLE) else { return Ok(Token::default()) };
        let hint = format!("give {LEAST_BYTES} random characters or more: `openssl rand -hex 32` makes 64");
        let value = value.into_string().map(SecretString::from).map_err(|_| {
            Error::project("the token of the cluster is not UTF-8").with("variable", TOKEN_VARIABLE).hint(&hint)
        })?;
        if value.expose_secret().len() < LEAST_BYTES {
            return Err(Error::project("the token of the cluster is too short")
                .with("variable", TOKEN_VARIABLE)
                .hint(hint));
        }
        Token::of(value.expose_secret())
    }

    fn of(secret: &str) -> Result<Self> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
            .map_err(|error| Error::internal("cannot use the token").source(error))?;
        mac.update(MESSAGE);
        let digits = first_hex_digits(&mac.finalize().into_bytes().into());
        Ok(Token(Some(hex_text(&digits).into())))
    }

    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Makes every call of a client show it.
    pub fn shown(&self) -> EndpointOverrideFn {
        let agent = match &self.0 {
            Some(digits) => format!("gatefold/{} token/{digits}", env!("CARGO_PKG_VERSION")),
            None => format!("gatefold/{}", env!("CARGO_PKG_VERSION")),
        };
        Arc::new(move |endpoint| Ok(endpoint.user_agent(agent.as_str())?))
    }

    /// Lets only calls through that show it.
    pub fn asked_for(&self) -> impl FnMut(Request<()>) -> std::result::Result<Request<()>, Status> + Clone + use<> {
        let wanted = self.0.as_ref().map(|digits| digest([digits.as_ref()]));
        move |request| {
            let Some(wanted) = &wanted else { return Ok(request) };
            let agent = request.metadata().get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
            let shown = agent.split(' ').find_map(|word| word.strip_prefix("token/")).unwrap_or_default();
            // Digests are compared, so that the time that it takes says nothing of what is wanted.
            if digest([shown]) == *wanted {
                Ok(request)
            } else {
                Err(Status::unauthenticated(format!("{WANTS_A_TOKEN}: set {TOKEN_VARIABLE}")))
            }
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_none() { "Token(none)" } else { "Token([redacted])" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(agent: &str) -> Request<()> {
        let mut request = Request::new(());
        request.metadata_mut().insert("user-agent", agent.parse().unwrap());
        request
    }

    #[test]
    fn only_who_has_the_token_comes_in() {
        let token = Token::of("a secret of many letters").unwrap();
        let digits = token.0.clone().unwrap();
        let mut gate = token.asked_for();
        assert!(gate(call(&format!("gatefold/1 token/{digits} tonic/0.14"))).is_ok());
        for stranger in ["tonic/0.14", "token/", "gatefold/1 token/0000", ""] {
            assert_eq!(gate(call(stranger)).unwrap_err().code(), tonic::Code::Unauthenticated, "{stranger}");
        }
        assert!(Token::default().asked_for()(call("anyone")).is_ok());
    }

    #[test]
    fn what_is_shown_is_not_the_secret() {
        let token = Token::of("a secret of many letters").unwrap();
        assert!(!token.0.as_ref().unwrap().contains("secret"));
        assert_eq!(format!("{token:?}"), "Token([redacted])");
    }
}
