//! Email addresses, held as choices and printed into the column: no text is allocated for a row.

use std::fmt;

use super::draw::Draw;
use super::ids::AccountId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Email {
    first: &'static str,
    last: &'static str,
    account: AccountId,
    style: Style,
    superseded: bool,
}

/// Systems that handle only the plain form exist; these are the ones that find them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    /// Letters outside ASCII on both sides of the `@`.
    International,
    /// A quoted local part with a comma, an apostrophe and doubled quotes.
    Quoted,
    /// A new line inside a quoted local part.
    TwoLines,
}

impl Email {
    pub fn draw(draw: &mut Draw, account: AccountId) -> Self {
        let style = match draw.below(10_000) {
            0..100 => Style::International,
            100..120 => Style::Quoted,
            120..130 => Style::TwoLines,
            _ => Style::Plain,
        };
        let names: &[&str] = if style == Style::International { &INTERNATIONAL } else { &PLAIN };
        Email { first: draw.pick(names), last: draw.pick(names), account, style, superseded: false }
    }

    /// The address that the account had before.
    pub fn superseded(self) -> Self {
        Email { superseded: true, ..self }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Email { first, last, account: AccountId(index), .. } = self;
        let number = index + 1;
        if self.superseded {
            f.write_str("old.")?;
        }
        match self.style {
            Style::Plain => write!(f, "{first}.{last}{number}@example.com"),
            Style::International => write!(f, "{first}.{last}{number}@bücher.example"),
            Style::Quoted => write!(f, "\"{first}, o'\"\"{last}\"\"\"{number}@example.org"),
            Style::TwoLines => write!(f, "\"{first}\n{last}\"{number}@example.net"),
        }
    }
}

static PLAIN: [&str; 32] = [
    "alex", "amara", "ana", "ben", "carla", "chen", "dana", "diego", "elif", "emma", "farah", "felix", "grace", "hana",
    "ivan", "jamal", "jonas", "kofi", "laura", "leo", "lina", "marta", "mei", "nadia", "noah", "olga", "omar", "priya",
    "rosa", "sam", "tomas", "yuki",
];

static INTERNATIONAL: [&str; 8] = ["jürgen", "zoë", "søren", "łukasz", "žofie", "田中", "мария", "يوسف"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_prints_what_it_promises() {
        let email =
            |style| Email { first: "ana", last: "leo", account: AccountId(7), style, superseded: false }.to_string();
        assert_eq!(email(Style::Plain), "ana.leo8@example.com");
        assert!(!email(Style::International).is_ascii());
        assert!(email(Style::Quoted).contains("\"\"") && email(Style::TwoLines).contains('\n'));
        let plain = Email { first: "a", last: "b", account: AccountId(1), style: Style::Plain, superseded: false };
        assert_eq!(plain.superseded().to_string(), "old.a.b2@example.com");
    }
}
