//! JSON values as the slices of text that they are, so that a number keeps every digit it was written with.
//!
//! [`check`] proves that a text is one JSON value; the others then only look for where its parts begin and end. On a text
//! that was not checked they answer something, without a panic.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// Whether the text is exactly one JSON value.
pub fn check(text: &str) -> serde_json::Result<()> {
    serde_json::from_str::<IgnoredAny>(text).map(|_| ())
}

/// The members of an object in order, keys still quoted; `None` when the value is not an object.
pub fn members(value: &str) -> Option<impl Iterator<Item = (&str, &str)>> {
    let mut cursor = Cursor { text: value.strip_prefix('{')? };
    Some(std::iter::from_fn(move || Some((cursor.value()?, cursor.value()?))))
}

/// The items of an array in order; `None` when the value is not an array.
pub fn items(value: &str) -> Option<impl Iterator<Item = &str>> {
    let mut cursor = Cursor { text: value.strip_prefix('[')? };
    Some(std::iter::from_fn(move || cursor.value()))
}

/// The text of a string, without its quotes and escapes; `None` when the value is not a string, or holds half of a
/// surrogate pair, which is no character.
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    let inside = value.strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str(value).ok().map(Cow::Owned)
}

struct Cursor<'a> {
    text: &'a str,
}

impl<'a> Cursor<'a> {
    /// The next value; what stands between values is passed over, and a closing bracket ends it all.
    fn value(&mut self) -> Option<&'a str> {
        let text = self.text.trim_start_matches([' ', '\t', '\n', '\r', ',', ':']);
        let end = match text.as_bytes().first()? {
            b'}' | b']' => return None,
            b'"' => end_of_string(text.as_bytes()),
            b'{' | b'[' => end_of_nested(text.as_bytes()),
            _ => text.find([' ', '\t', '\n', '\r', ',', '}', ']']).unwrap_or(text.len()),
        };
        let (value, rest) = text.split_at_checked(end)?;
        self.text = rest;
        Some(value)
    }
}

/// The place after the closing quote of the string that the bytes begin with.
fn end_of_string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    bytes.len()
}

/// The place after the bracket that closes the one that the bytes begin with.
fn end_of_nested(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += end_of_string(&bytes[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_are_found_and_digits_kept() {
        let text = r#"{"a" : 1.10000000000000000000001, "b\"}":[{"]":"}"},2 ],"c":null , "d":{}}"#;
        let found: Vec<_> = members(text).unwrap().collect();
        let expected = [
            ("\"a\"", "1.10000000000000000000001"),
            (r#""b\"}""#, r#"[{"]":"}"},2 ]"#),
            ("\"c\"", "null"),
            ("\"d\"", "{}"),
        ];
        assert_eq!(found, expected);
        assert_eq!(items(found[1].1).unwrap().collect::<Vec<_>>(), [r#"{"]":"}"}"#, "2"]);
        assert_eq!((members("{ }").unwrap().count(), items("[]").unwrap().count()), (0, 0));
        assert!(members("[]").is_none() && items("{}").is_none());
    }

    #[test]
    fn strings_lose_their_escapes() {
        assert_eq!(string("\"é\"").unwrap(), "é");
        assert_eq!(string(r#""a\n\"\u00e9\ud83d\ude00""#).unwrap(), "a\n\"é😀");
        assert_eq!(string(r#""\ud83d""#), None);
        assert_eq!(string("1"), None);
    }

    proptest! {
        #[test]
        fn what_serde_wrote_comes_apart_again(
            pairs in prop::collection::vec(("(?s).{0,6}", prop_oneof!["(?s).{0,6}", "[\\[\\]{}\",:\\\\]{0,6}"]), 0..6), pretty: bool
        ) {
            let values: Vec<_> = pairs.iter().map(|(a, b)| serde_json::json!({ a.as_str(): [b] })).collect();
            let text = if pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) }.unwrap();
            let found: Vec<_> = items(&text).unwrap().map(|item| {
                let (key, value) = members(item).unwrap().next().unwrap();
                (string(key).unwrap().into_owned(), string(items(value).unwrap().next().unwrap()).unwrap().into_owned())
            }).collect();
            prop_assert_eq!(found, pairs);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:\\\\a1 é]{0,12}") {
            members(&text).into_iter().flatten().for_each(drop);
            items(&text).into_iter().flatten().for_each(drop);
            string(&text);
        }
    }
}
