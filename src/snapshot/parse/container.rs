//! The frame of an Avro object container file: header, then blocks of a row count, a size, the rows and a sync marker.
//!
//! The frame is read here because the decoder of rows trusts it: it takes a file that was cut inside a block for whole, does not
//! compare sync markers, and never returns from a block with more rows than its count. Here a cut or damaged frame is an error,
//! and each block is handed on alone, so that rows can be held against the count.

use std::io::{self, BufRead, Cursor, Read};

const MAGIC: &[u8; 4] = b"Obj\x01";
const SYNC_BYTES: usize = 16;

/// The largest block as stored, and the largest header, in bytes. Writers make blocks of some hundred kilobytes.
const LIMIT_BYTES: u64 = 256 << 20;

/// More rows than a block may have.
const MANY_ROWS: i64 = u32::MAX as i64;

pub struct Container<R> {
    input: R,
    header: Vec<u8>,
}

/// Rows as stored, perhaps compressed, and how many the block says they are.
pub struct Block {
    pub rows: usize,
    data: Vec<u8>,
}

impl<R: BufRead> Container<R> {
    pub fn open(mut input: R) -> io::Result<Self> {
        let mut header = Vec::new();
        take(&mut input, MAGIC.len() as i64, &mut header)?;
        if header != MAGIC {
            return Err(damaged("the file does not begin as an Avro container file does"));
        }
        loop {
            let entries = long(&mut input, &mut header)?;
            if entries == 0 {
                break;
            }
            if entries < 0 {
                long(&mut input, &mut header)?;
            }
            // A key and a value each.
            for _ in 0..entries.unsigned_abs().saturating_mul(2) {
                let length = long(&mut input, &mut header)?;
                take(&mut input, length, &mut header)?;
            }
        }
        take(&mut input, SYNC_BYTES as i64, &mut header)?;
        Ok(Container { input, header })
    }

    /// The next block, or `None` when the file ends after the last.
    pub fn next_block(&mut self) -> io::Result<Option<Block>> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut frame = Vec::new();
        let rows = long(&mut self.input, &mut frame)?;
        let size = long(&mut self.input, &mut frame)?;
        let mut data = Vec::new();
        take(&mut self.input, size, &mut data)?;
        let mut sync = Vec::with_capacity(SYNC_BYTES);
        take(&mut self.input, SYNC_BYTES as i64, &mut sync)?;
        if sync != self.sync() {
            return Err(damaged("a block does not end with the sync marker"));
        }
        if !(0..MANY_ROWS).contains(&rows) || (rows == 0) != data.is_empty() {
            return Err(damaged("the row count of a block cannot be"));
        }
        Ok(Some(Block { rows: rows as usize, data }))
    }

    /// A file without rows, for its schema.
    pub fn empty_file(&self) -> impl BufRead + '_ {
        Cursor::new(&self.header)
    }

    /// A block as a file of its own. Its count is more than any block has: a decoder that is asked for exactly
    /// [`Block::rows`] rows then stands at the end, and one that is asked for more fails instead of waiting.
    pub fn file_of<'a>(&'a self, block: &'a Block) -> impl BufRead + 'a {
        let mut counts = Vec::new();
        put_long(MANY_ROWS as u64, &mut counts);
        put_long(block.data.len() as u64, &mut counts);
        self.empty_file().chain(Cursor::new(counts)).chain(block.data.as_slice()).chain(self.sync())
    }

    fn sync(&self) -> &[u8] {
        &self.header[self.header.len() - SYNC_BYTES..]
    }
}

fn damaged(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Appends exactly so many bytes; memory grows with what is there and not with what is announced.
fn take(input: &mut impl Read, length: i64, into: &mut Vec<u8>) -> io::Result<()> {
    let length = u64::try_from(length).map_err(|_| damaged("a length is negative"))?;
    if into.len() as u64 + length.min(LIMIT_BYTES) > LIMIT_BYTES {
        return Err(damaged("a block or the header is larger than 256 MiB"));
    }
    if input.take(length).read_to_end(into)? as u64 == length {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends inside a block or its header"))
}

/// Reads a zigzag variable-length number, and appends its bytes.
fn long(input: &mut impl Read, into: &mut Vec<u8>) -> io::Result<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        take(input, 1, into)?;
        let byte = into[into.len() - 1];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(damaged("a number is longer than ten bytes"))
}

/// Appends a number that is not negative as [`long`] reads it.
fn put_long(value: u64, into: &mut Vec<u8>) {
    let mut rest = value << 1;
    while rest >= 0x80 {
        into.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    into.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_zigzag() {
        for (bytes, value) in [(vec![0], 0), (vec![1], -1), (vec![2], 1), (vec![0x80, 1], 64), (vec![0x7f], -64)] {
            assert_eq!(long(&mut bytes.as_slice(), &mut Vec::new()).unwrap(), value);
        }
        assert!(long(&mut [0xff; 11].as_slice(), &mut Vec::new()).is_err());
        assert!(long(&mut [0x80].as_slice(), &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn a_number_reads_back(value in 0..=i64::MAX) {
            let mut bytes = Vec::new();
            put_long(value as u64, &mut bytes);
            prop_assert_eq!(long(&mut bytes.as_slice(), &mut Vec::new()).unwrap(), value);
        }

        #[test]
        fn no_bytes_make_it_panic_or_hang(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let file = [MAGIC.as_slice(), &bytes].concat();
            if let Ok(mut container) = Container::open(file.as_slice()) {
                while let Ok(Some(_)) = container.next_block() {}
            }
        }
    }
}
