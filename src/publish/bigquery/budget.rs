//! What a run may still load and scan, by the limits of its environment.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::BigQuery;
use crate::error::{Error, Result};

/// Bytes in a tebibyte, by which queries are billed.
const TIB: f64 = (1u64 << 40) as f64;

#[derive(Debug)]
pub struct Budget {
    load: Limit,
    scan: Limit,
}

/// A limit and what was spent of it.
#[derive(Debug)]
struct Limit {
    /// The key in gatefold.toml.
    key: &'static str,
    verb: &'static str,
    most: Option<u64>,
    spent: AtomicU64,
}

impl Budget {
    pub fn of(bigquery: &BigQuery) -> Self {
        let limit = |key, verb, most| Limit { key, verb, most, spent: AtomicU64::new(0) };
        Budget {
            load: limit("max_load", "load", bigquery.max_load),
            scan: limit("max_scan", "scan", bigquery.max_scan),
        }
    }

    /// Sets bytes of files aside before they are loaded. Errors (exit 2): they are too many.
    pub fn load(&self, bytes: u64) -> Result<()> {
        self.load.spend(bytes)
    }

    /// Sets nothing aside yet. Errors (exit 2): so many bytes would be too many to scan.
    pub fn has_room_to_scan(&self, bytes: u64) -> Result<()> {
        self.scan.refuse_above(self.scan.spent.load(Ordering::Relaxed), bytes)
    }

    /// Sets bytes aside before a query scans them. Errors (exit 2): they are too many.
    pub fn scan(&self, bytes: u64) -> Result<()> {
        self.scan.spend(bytes)
    }
}

impl Limit {
    fn spend(&self, bytes: u64) -> Result<()> {
        let before = self.spent.fetch_add(bytes, Ordering::Relaxed);
        self.refuse_above(before, bytes).inspect_err(|_| {
            self.spent.fetch_sub(bytes, Ordering::Relaxed);
        })
    }

    fn refuse_above(&self, before: u64, bytes: u64) -> Result<()> {
        let Some(most) = self.most.filter(|most| before.saturating_add(bytes) > *most) else { return Ok(()) };
        let Limit { key, verb, .. } = self;
        Err(Error::project(format!("the budget of this environment does not allow to {verb} {bytes} bytes more"))
            .with(key, most)
            .with("spent by this run", before)
            .hint(format!(
                "raise {key} in gatefold.toml, or run fewer jobs or days; gatefold plan shows what each would {verb}"
            )))
    }
}

/// What scanning costs on demand, in US dollars.
pub fn price(bytes: u64, per_tib: f64) -> f64 {
    bytes as f64 / TIB * per_tib
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_for_all_that_a_run_does() {
        let limit = Limit { key: "max_load", verb: "load", most: Some(100), spent: AtomicU64::new(0) };
        limit.spend(60).unwrap();
        let refusal = limit.spend(41).unwrap_err().to_string();
        for said in ["load 41 bytes more", "max_load: 100", "spent by this run: 60", "raise max_load"] {
            assert!(refusal.contains(said), "{refusal}");
        }
        limit.spend(40).unwrap();
        assert!(limit.refuse_above(100, 1).is_err() && limit.refuse_above(60, 40).is_ok());
        assert!(limit.spend(1).is_err());
        let none = Limit { most: None, ..limit };
        none.spend(u64::MAX / 2).unwrap();
    }

    #[test]
    fn a_tebibyte_costs_its_price() {
        assert_eq!(price(1 << 40, 6.25), 6.25);
        assert_eq!(price(0, 6.25), 0.0);
    }
}
