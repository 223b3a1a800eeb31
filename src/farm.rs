//! FarmHash `Fingerprint64`, which GoogleSQL calls `FARM_FINGERPRINT`: values are compared by it with BigQuery's, and rows
//! dealt into buckets.
//!
//! The crate `farmhash` goes one round too far over texts of 128, 192, 256, … bytes, so what is longer than 64 bytes is
//! hashed here, after the original (`farmhashna::Hash64`, https://github.com/google/farmhash, MIT).

const K0: u64 = 0xc3a5_c85c_97cb_3127;
const K1: u64 = 0xb492_b66f_be98_f273;
const K2: u64 = 0x9ae1_6a3b_2f90_404f;
const SEED: u64 = 81;
const BLOCK: usize = 64;

/// A pair of 64-bit words of the state.
type Pair = (u64, u64);

pub(crate) fn fingerprint(text: &[u8]) -> i64 {
    let hash = if text.len() <= BLOCK { farmhash::fingerprint64(text) } else { long(text) };
    hash.cast_signed()
}

/// Whole blocks in turn, but the last 64 bytes, which may overlap them, in another way.
fn long(text: &[u8]) -> u64 {
    let y = SEED.wrapping_mul(K1).wrapping_add(113);
    let z = mix(y.wrapping_mul(K2).wrapping_add(113)).wrapping_mul(K2);
    let x = SEED.wrapping_mul(K2).wrapping_add(word(text, 0));
    let mut state = State { x, y, z, v: (0, 0), w: (0, 0) };
    let before_last = (text.len() - 1) / BLOCK * BLOCK;
    for block in text[..before_last].chunks_exact(BLOCK) {
        state.round(block, K1, 1);
    }
    let factor = K1.wrapping_add((state.z & 0xff) << 1);
    state.w.0 = state.w.0.wrapping_add((text.len() as u64 - 1) & 63);
    state.v.0 = state.v.0.wrapping_add(state.w.0);
    state.w.0 = state.w.0.wrapping_add(state.v.0);
    state.round(&text[text.len() - BLOCK..], factor, 9);
    let State { x, y, z, v, w } = state;
    let first = join(v.0, w.0, factor).wrapping_add(mix(y).wrapping_mul(K0)).wrapping_add(z);
    join(first, join(v.1, w.1, factor).wrapping_add(x), factor)
}

struct State {
    x: u64,
    y: u64,
    z: u64,
    v: Pair,
    w: Pair,
}

impl State {
    fn round(&mut self, block: &[u8], factor: u64, weight: u64) {
        let State { x, y, z, v, w } = self;
        *x = x.wrapping_add(*y).wrapping_add(v.0).wrapping_add(word(block, 8)).rotate_right(37).wrapping_mul(factor);
        *y = y.wrapping_add(v.1).wrapping_add(word(block, 48)).rotate_right(42).wrapping_mul(factor);
        *x ^= w.1.wrapping_mul(weight);
        *y = y.wrapping_add(v.0.wrapping_mul(weight)).wrapping_add(word(block, 40));
        *z = z.wrapping_add(w.0).rotate_right(33).wrapping_mul(factor);
        *v = weak(block, v.1.wrapping_mul(factor), x.wrapping_add(w.0));
        *w = weak(&block[32..], z.wrapping_add(w.1), y.wrapping_add(word(block, 16)));
        std::mem::swap(z, x);
    }
}

fn weak(bytes: &[u8], a: u64, b: u64) -> Pair {
    let a = a.wrapping_add(word(bytes, 0));
    let b = b.wrapping_add(a).wrapping_add(word(bytes, 24)).rotate_right(21);
    let sum = a.wrapping_add(word(bytes, 8)).wrapping_add(word(bytes, 16));
    (sum.wrapping_add(word(bytes, 24)), b.wrapping_add(sum.rotate_right(44)).wrapping_add(a))
}

fn join(u: u64, v: u64, factor: u64) -> u64 {
    let a = (u ^ v).wrapping_mul(factor);
    let b = (v ^ a ^ (a >> 47)).wrapping_mul(factor);
    (b ^ (b >> 47)).wrapping_mul(factor)
}

fn mix(value: u64) -> u64 {
    value ^ (value >> 47)
}

fn word(bytes: &[u8], from: usize) -> u64 {
    u64::from_le_bytes(bytes[from..from + 8].try_into().expect("eight bytes are eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the original in C++, of texts of which the character at `i` is the letter `7 i mod 26`.
    #[test]
    fn fingerprints_are_those_of_the_original() {
        for (length, expected) in [
            (0_usize, -7_286_425_919_675_154_353_i64),
            (10, -4_204_696_162_738_723_957),
            (33, 8_045_080_651_094_301_868),
            (64, -2_297_228_965_523_917_154),
            (65, 2_768_067_016_444_695_309),
            (100, -2_922_302_023_358_818_200),
            (127, 4_960_837_163_188_540_313),
            (128, -7_965_615_431_543_156_339),
            (129, 1_060_550_032_972_533_880),
            (192, 3_016_510_856_553_223_177),
            (200, -3_371_186_695_178_502_604),
            (256, 3_078_584_628_691_648_450),
            (300, 7_893_790_802_151_464_326),
            (1024, 8_912_957_705_577_490_723),
        ] {
            let text: Vec<u8> = (0..length).map(|place| b'a' + (place * 7 % 26) as u8).collect();
            assert_eq!(fingerprint(&text), expected, "{length}");
        }
    }
}
