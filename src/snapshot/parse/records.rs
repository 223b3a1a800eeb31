//! The records of a CSV file, each with the line it begins on.
//!
//! This is a reader of our own because the usual one is lenient where rows could be lost: it takes a file that ends inside
//! quotes for whole, reads `"a"b` as `ab`, passes over the empty line that is a row of a one-column file, joins halves of a
//! character across a delimiter, and counts records where a person looks for lines. Here each of these is told or kept.
//!
//! The grammar is RFC 4180 with a free delimiter and quote, an optional escape that holds inside quotes, and quotes taken
//! literally in a field that does not begin with one.

use std::io::BufRead;

use super::ROW_LIMIT_BYTES;
use crate::contract::CsvFormat;

/// What is wrong, and the 1-based line.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed {
    pub line: u64,
    pub reason: &'static str,
}

pub struct Records<R> {
    input: R,
    scanner: Scanner,
}

impl<R: BufRead> Records<R> {
    pub fn new(input: R, format: &CsvFormat) -> Self {
        Records { input, scanner: Scanner::new(format) }
    }

    /// Goes to the next record, if there is one. The outer error is the disk's, the inner the text's.
    pub fn advance(&mut self) -> std::io::Result<Result<bool, Malformed>> {
        self.scanner.begin();
        loop {
            let input = self.input.fill_buf()?;
            if input.is_empty() {
                return Ok(self.scanner.end_of_file());
            }
            let (used, step) = self.scanner.scan(input);
            self.input.consume(used);
            match step {
                Ok(false) => {}
                done => return Ok(done),
            }
        }
    }

    /// The number of fields of this record.
    pub fn width(&self) -> usize {
        self.scanner.ends.len()
    }

    /// The line on which this record begins.
    pub fn first_line(&self) -> u64 {
        self.scanner.first_line
    }

    /// Whether this record is a line with nothing on it, not even quotes.
    pub fn is_blank(&self) -> bool {
        self.scanner.ends == [0] && !self.scanner.quoted
    }

    /// A field of this record, or `None` when it is not UTF-8.
    pub fn field(&self, index: usize) -> Option<&str> {
        let start = if index == 0 { 0 } else { self.scanner.ends[index - 1] };
        std::str::from_utf8(&self.scanner.bytes[start..self.scanner.ends[index]]).ok()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After the escape inside quotes.
    Escaped,
    /// After a quote inside quotes: the end of the field, or the first half of a doubled quote.
    Closed,
    CarriageReturn,
}

struct Scanner {
    delimiter: u8,
    quote: u8,
    escape: Option<u8>,
    state: State,
    /// The fields of the record, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Whether a field of the record was in quotes.
    quoted: bool,
    line: u64,
    first_line: u64,
    quote_line: u64,
}

impl Scanner {
    fn new(format: &CsvFormat) -> Self {
        Scanner {
            delimiter: format.delimiter,
            quote: format.quote,
            // A quote that escapes itself is the doubled quote, which is read anyway.
            escape: format.escape.filter(|escape| *escape != format.quote),
            state: State::FieldStart,
            bytes: Vec::new(),
            ends: Vec::new(),
            quoted: false,
            line: 1,
            first_line: 1,
            quote_line: 1,
        }
    }

    fn begin(&mut self) {
        self.state = State::FieldStart;
        self.bytes.clear();
        self.ends.clear();
        self.quoted = false;
        self.first_line = self.line;
    }

    /// Reads on; answers how many bytes were used and whether the record is complete.
    fn scan(&mut self, input: &[u8]) -> (usize, Result<bool, Malformed>) {
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            let step = match self.state {
                State::FieldStart => Ok((self.field_start(rest[0]), false)),
                State::Plain => self.plain(rest),
                State::Quoted => Ok((self.inside_quotes(rest), false)),
                State::Escaped => Ok((self.escaped(rest[0]), false)),
                State::Closed => self.after_quote(rest[0]),
                State::CarriageReturn => self.after_carriage_return(rest[0]),
            };
            match step {
                Err(malformed) => return (at, Err(malformed)),
                Ok((used, true)) => return (at + used, Ok(true)),
                Ok((used, false)) => at += used,
            }
            if self.bytes.len() > ROW_LIMIT_BYTES {
                let reason = "a row is longer than 64 MiB: a quote is left open, or the delimiter is another";
                return (at, Err(Malformed { line: self.first_line, reason }));
            }
        }
        (at, Ok(false))
    }

    fn field_start(&mut self, byte: u8) -> usize {
        if byte != self.quote {
            self.state = State::Plain;
            return 0;
        }
        self.state = State::Quoted;
        self.quoted = true;
        self.quote_line = self.line;
        1
    }

    fn plain(&mut self, rest: &[u8]) -> Result<(usize, bool), Malformed> {
        let delimiter = self.delimiter;
        let run = rest.iter().position(|b| *b == delimiter || *b == b'\n' || *b == b'\r').unwrap_or(rest.len());
        self.bytes.extend_from_slice(&rest[..run]);
        match rest.get(run) {
            None => Ok((run, false)),
            Some(byte) => self.separator(*byte).map(|done| (run + 1, done)),
        }
    }

    /// Ends the field at a delimiter or a line end; answers whether the record ends too.
    fn separator(&mut self, byte: u8) -> Result<bool, Malformed> {
        if byte == b'\r' {
            self.state = State::CarriageReturn;
            return Ok(false);
        }
        self.ends.push(self.bytes.len());
        self.state = State::FieldStart;
        if byte == b'\n' {
            self.line += 1;
            return Ok(true);
        }
        if byte == self.delimiter {
            return Ok(false);
        }
        Err(Malformed { line: self.line, reason: "text follows a closing quote" })
    }

    fn inside_quotes(&mut self, rest: &[u8]) -> usize {
        let (quote, escape) = (self.quote, self.escape);
        let run = rest.iter().position(|b| *b == quote || Some(*b) == escape).unwrap_or(rest.len());
        self.line += rest[..run].iter().filter(|b| **b == b'\n').count() as u64;
        self.bytes.extend_from_slice(&rest[..run]);
        match rest.get(run) {
            None => run,
            Some(byte) => {
                self.state = if *byte == quote { State::Closed } else { State::Escaped };
                run + 1
            }
        }
    }

    fn escaped(&mut self, byte: u8) -> usize {
        self.line += u64::from(byte == b'\n');
        self.bytes.push(byte);
        self.state = State::Quoted;
        1
    }

    fn after_quote(&mut self, byte: u8) -> Result<(usize, bool), Malformed> {
        if byte == self.quote {
            self.bytes.push(byte);
            self.state = State::Quoted;
            return Ok((1, false));
        }
        self.separator(byte).map(|done| (1, done))
    }

    fn after_carriage_return(&mut self, byte: u8) -> Result<(usize, bool), Malformed> {
        match byte {
            b'\n' => self.separator(byte).map(|done| (1, done)),
            _ => Err(Malformed {
                line: self.line,
                reason: "a carriage return outside quotes is not followed by a line feed",
            }),
        }
    }

    /// Answers whether the bytes after the last line end are a record.
    fn end_of_file(&mut self) -> Result<bool, Malformed> {
        match self.state {
            State::FieldStart if self.ends.is_empty() => Ok(false),
            State::FieldStart | State::Plain | State::Closed => {
                self.ends.push(self.bytes.len());
                Ok(true)
            }
            State::Quoted | State::Escaped => {
                Err(Malformed { line: self.quote_line, reason: "a quote is opened and never closed" })
            }
            State::CarriageReturn => {
                Err(Malformed { line: self.line, reason: "the file ends in a carriage return without a line feed" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn format() -> CsvFormat {
        CsvFormat { header: true, delimiter: b',', quote: b'"', escape: None, null: vec![] }
    }

    /// The records with their lines, read through a buffer of so many bytes.
    fn records(text: &[u8], format: &CsvFormat, buffer: usize) -> Result<Vec<(u64, Vec<String>)>, Malformed> {
        let mut records = Records::new(BufReader::with_capacity(buffer, text), format);
        let mut found = Vec::new();
        while records.advance().unwrap()? {
            let fields = (0..records.width()).map(|i| records.field(i).unwrap().to_owned()).collect();
            found.push((records.first_line(), fields));
        }
        Ok(found)
    }

    #[test]
    fn records_do_not_depend_on_where_the_buffer_ends() {
        let text = "a,b\r\n\"x\r\ny\",\"say \"\"hi\"\"\"\n\nü,5\" disk,\n\"\"";
        let expected = [
            (1, vec!["a", "b"]),
            (2, vec!["x\r\ny", "say \"hi\""]),
            (4, vec![""]),
            (5, vec!["ü", "5\" disk", ""]),
            (6, vec![""]),
        ];
        for buffer in 1..text.len() {
            let found = records(text.as_bytes(), &format(), buffer).unwrap();
            let found: Vec<_> =
                found.iter().map(|(line, fields)| (*line, fields.iter().map(String::as_str).collect())).collect();
            assert_eq!(found, expected, "buffer of {buffer}");
        }
    }

    #[test]
    fn an_escape_holds_inside_quotes() {
        let format = CsvFormat { escape: Some(b'\\'), delimiter: b';', quote: b'\'', ..format() };
        let found = records(br"'it\'s \\';a\b", &format, 64).unwrap();
        assert_eq!(found, [(1, vec![r"it's \".to_owned(), r"a\b".to_owned()])]);
    }

    #[test]
    fn what_could_lose_a_row_is_told_with_its_line() {
        let cases: [(&[u8], u64, &str); 5] = [
            (b"a\n\"b\nc\n", 2, "a quote is opened and never closed"),
            (b"a\n\"b\nc\"d\n", 3, "text follows a closing quote"),
            (b"a\n\"b\" ,c\n", 2, "text follows a closing quote"),
            (b"a\rb\rc\r", 1, "a carriage return outside quotes is not followed by a line feed"),
            (b"a\nb\r", 2, "the file ends in a carriage return without a line feed"),
        ];
        for (text, line, reason) in cases {
            assert_eq!(records(text, &format(), 64), Err(Malformed { line, reason }));
        }
    }
}
