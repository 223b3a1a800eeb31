//! Where the processes of a cluster listen.

use std::net::SocketAddr;

use crate::engine::cluster::{TOKEN_VARIABLE, Token};
use crate::error::{Error, Result};

/// The token of the environment. Errors (exit 2): others could reach the address, and there is no token to keep them out.
pub fn token_for(listen: SocketAddr) -> Result<Token> {
    let token = Token::from_environment()?;
    if token.is_none() && !listen.ip().is_loopback() {
        return Err(Error::project("other machines could reach this address, and the cluster has no token")
            .with("address", listen)
            .hint(format!(
                "set {TOKEN_VARIABLE}, the same one for callers, scheduler and executors: `openssl rand -hex 32` makes one"
            )));
    }
    Ok(token)
}
