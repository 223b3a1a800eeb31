//! The key of `user_pid`, and the one place that uses it (rule R13).
//!
//! The key is read once and turned into the keyed state of the MAC; its bytes are wiped then. Nothing prints it:
//! the type has no `Display`, no `Serialize`, and its `Debug` is redacted.

use std::ffi::OsString;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use crate::error::{Error, Result};

/// The variable that holds the key; it goes before the file.
pub const KEY_VARIABLE: &str = "GATEFOLD_PSEUDONYM_KEY";

/// Not shaped like an account id, so that the fingerprint is no account's pseudonym.
const FINGERPRINT_MESSAGE: &[u8] = b"gatefold key fingerprint";

/// Hex digits of a `user_pid` and of a row's digest: 128 bits.
pub const HEX_DIGITS: usize = 32;

/// A key for pseudonyms. Two keys are equal when their fingerprints are.
pub struct PseudonymKey {
    keyed: Hmac<Sha256>,
    fingerprint: String,
}

impl PseudonymKey {
    /// The key of the variable [`KEY_VARIABLE`], byte for byte, else of `file` without its last line break.
    ///
    /// `None` when there is neither. A file that is named but cannot be read and an empty key are errors of kind
    /// Project.
    pub fn from_environment_or_file(file: Option<&Path>) -> Result<Option<PseudonymKey>> {
        Self::from_sources(std::env::var_os(KEY_VARIABLE), file)
    }

    fn from_sources(variable: Option<OsString>, file: Option<&Path>) -> Result<Option<PseudonymKey>> {
        match (variable, file) {
            (Some(value), _) => Self::from_variable(value).map(Some),
            (None, Some(file)) => Self::from_file(file).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn from_variable(value: OsString) -> Result<PseudonymKey> {
        // The value itself must not reach the message.
        let text = value.into_string().map_err(|_| {
            Error::project("the pseudonym key is not UTF-8")
                .with("variable", KEY_VARIABLE)
                .hint("use letters and digits")
        })?;
        let secret = SecretSlice::from(text.into_bytes());
        Self::from_bytes(secret.expose_secret()).map_err(|error| error.with("variable", KEY_VARIABLE))
    }

    fn from_file(file: &Path) -> Result<PseudonymKey> {
        let shown = file.display();
        let bytes = std::fs::read(file).map_err(|error| {
            Error::project("cannot read the pseudonym key")
                .with("file", &shown)
                .hint(format!(
                    "make one with `openssl rand -hex 32 > {shown} && chmod 600 {shown}`, or set {KEY_VARIABLE}"
                ))
                .source(error)
        })?;
        let secret = SecretSlice::from(bytes);
        if everyone_may_read(file) {
            tracing::warn!(file = %shown, "every user of this machine may read the pseudonym key: chmod 600 it");
        }
        Self::from_bytes(without_line_break(secret.expose_secret())).map_err(|error| error.with("file", &shown))
    }

    /// A key of any length but none.
    pub fn from_bytes(key: &[u8]) -> Result<PseudonymKey> {
        if key.is_empty() {
            return Err(Error::project("the pseudonym key is empty")
                .hint("give at least 32 random characters: `openssl rand -hex 32` makes 64"));
        }
        let keyed = Hmac::<Sha256>::new_from_slice(key)
            .map_err(|error| Error::internal("cannot use the pseudonym key").source(error))?;
        let digits = hex_of_mac(keyed.clone(), FINGERPRINT_MESSAGE);
        let fingerprint = hex_text(&digits)[..16].to_owned();
        Ok(PseudonymKey { keyed, fingerprint })
    }

    /// The pseudonym of an account, rule R13: the first 32 hex digits of HMAC-SHA256(key, account id), in ASCII.
    pub fn user_pid(&self, account_id: &str) -> [u8; HEX_DIGITS] {
        // The state after the key is cloned, which saves half of the compressions of a fresh MAC.
        hex_of_mac(self.keyed.clone(), account_id.as_bytes())
    }

    /// 16 hex digits that change with the key and do not give it away.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey([redacted])")
    }
}

impl PartialEq for PseudonymKey {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for PseudonymKey {}

impl Hash for PseudonymKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

fn hex_of_mac(mut mac: Hmac<Sha256>, message: &[u8]) -> [u8; HEX_DIGITS] {
    mac.update(message);
    first_hex_digits(&mac.finalize().into_bytes().into())
}

/// The first half of a digest of 32 bytes, in lower-case hex.
pub(crate) fn first_hex_digits(digest: &[u8; 32]) -> [u8; HEX_DIGITS] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [0; HEX_DIGITS];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0x0f)];
    }
    hex
}

/// The digits as text, with no copy.
pub(crate) fn hex_text(digits: &[u8; HEX_DIGITS]) -> &str {
    std::str::from_utf8(digits).expect("hex digits are ASCII")
}

fn without_line_break(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

#[cfg(unix)]
fn everyone_may_read(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn everyone_may_read(_file: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use proptest::prelude::*;

    fn key_file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    fn pid(key: &PseudonymKey, account_id: &str) -> String {
        hex_text(&key.user_pid(account_id)).to_owned()
    }

    #[test]
    fn the_known_answer_of_rule_r13() {
        let key = PseudonymKey::from_bytes(b"gatefold-test-key").unwrap();
        assert_eq!(pid(&key, "acct-000001"), "9fc803773667e69d554afa96635885fd");
    }

    #[test]
    fn the_variable_goes_before_the_file() {
        let file = key_file(b"from the file\n");
        let both = PseudonymKey::from_sources(Some("from the variable".into()), Some(file.path())).unwrap().unwrap();
        assert_eq!(both, PseudonymKey::from_bytes(b"from the variable").unwrap());
        assert_eq!(PseudonymKey::from_sources(None, None).unwrap(), None);
    }

    #[test]
    fn only_a_file_loses_its_line_break() {
        let bare = PseudonymKey::from_bytes(b"key").unwrap();
        for content in [&b"key"[..], b"key\n", b"key\r\n"] {
            assert_eq!(PseudonymKey::from_sources(None, Some(key_file(content).path())).unwrap().unwrap(), bare);
        }
        assert_ne!(PseudonymKey::from_sources(None, Some(key_file(b"key\n\n").path())).unwrap().unwrap(), bare);
        assert_ne!(PseudonymKey::from_sources(Some("key\n".into()), None).unwrap().unwrap(), bare);
    }

    #[test]
    fn a_missing_file_says_how_to_make_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pseudonym.key");
        let error = PseudonymKey::from_sources(None, Some(&file)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Project);
        let text = error.to_string();
        for part in [file.to_str().unwrap(), KEY_VARIABLE, "openssl rand -hex 32"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_empty_key_is_refused() {
        for content in [&b""[..], b"\n", b"\r\n"] {
            let error = PseudonymKey::from_sources(None, Some(key_file(content).path())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Project);
            assert_eq!(error.context()[0].0, "file");
        }
        let error = PseudonymKey::from_sources(Some("".into()), None).unwrap_err();
        assert_eq!(error.context(), [("variable", KEY_VARIABLE.to_owned())]);
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_text_is_refused_unprinted() {
        use std::os::unix::ffi::OsStringExt;
        let error = PseudonymKey::from_sources(Some(OsString::from_vec(b"secret\xff".to_vec())), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Project);
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_everyone_may_read_is_noticed() {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;
        let file = key_file(b"key");
        for (mode, noticed) in [(0o600, false), (0o640, false), (0o644, true)] {
            set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(everyone_may_read(file.path()), noticed, "{mode:o}");
        }
    }

    #[test]
    fn nothing_prints_the_key() {
        let key = PseudonymKey::from_bytes(b"gatefold-test-key").unwrap();
        assert_eq!(format!("{key:?}"), "PseudonymKey([redacted])");
        assert_eq!(format!("{:?}", Some(&key)), "Some(PseudonymKey([redacted]))");
    }

    #[test]
    fn a_fingerprint_follows_the_key() {
        let fingerprint = |key: &[u8]| PseudonymKey::from_bytes(key).unwrap().fingerprint().to_owned();
        assert_eq!(fingerprint(b"one").len(), 16);
        assert_eq!(fingerprint(b"one"), fingerprint(b"one"));
        assert_ne!(fingerprint(b"one"), fingerprint(b"two"));
    }

    proptest! {
        /// The oracle keys a fresh MAC for each value and formats the digest with the standard library.
        #[test]
        fn a_pid_is_the_mac_of_the_account(key in prop::collection::vec(any::<u8>(), 1..200), account_id: String) {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(account_id.as_bytes());
            let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(pid(&PseudonymKey::from_bytes(&key).unwrap(), &account_id), &hex[..32]);
        }
    }
}
