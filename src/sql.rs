//! SQL text that we write ourselves: names and literals quoted so that nothing in them is read as SQL.

/// A name, exactly as it is.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal.
pub fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

pub fn list(parts: &[String]) -> String {
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(text("O'Hara"), "'O''Hara'");
    }
}
