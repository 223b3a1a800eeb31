//! How the reader's terminal wants it.

use std::io::IsTerminal;

#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub colour: bool,
    /// Characters beyond ASCII.
    pub unicode: bool,
    /// Columns of a terminal; a pipe takes lines of any length.
    pub width: Option<usize>,
}

impl Look {
    pub fn of_stdout() -> Look {
        let terminal = std::io::stdout().is_terminal();
        Look {
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            unicode: locale_is_utf8(|name| std::env::var(name).ok()),
            width: comfy_table::Table::new().width().filter(|_| terminal).map(usize::from),
        }
    }

    pub fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub fn more(&self) -> &'static str {
        if self.unicode { "…" } else { ".." }
    }
}

/// The first of these variables that is set decides, as in setlocale(3).
fn locale_is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
    set.is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const PLAIN: Look = Look { colour: false, unicode: true, width: None };

    #[test]
    fn the_first_variable_that_is_set_names_the_locale() {
        let of = |set: &[(&str, &str)]| {
            locale_is_utf8(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(of(&[("LANG", "en_US.UTF-8")]) && of(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        assert!(!of(&[]) && !of(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
    }
}
