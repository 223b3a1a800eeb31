//! Names for lists of texts: equal lists have equal names.

use sha2::{Digest, Sha256};

/// 32 hex digits over a list of texts.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    crate::snapshot::hex(&hash.finalize()[..16])
}
