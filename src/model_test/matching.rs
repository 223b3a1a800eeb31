//! Which expected row is which row of the result.
//!
//! Expected rows are patterns and several may match one row, so taking the first that fits could leave a later pattern
//! without a row that it needed. A maximum bipartite matching (Kuhn's augmenting paths) finds an assignment whenever
//! there is one.

use super::expect::{ActualRow, ExpectedRow};

/// A row of either side, and the one of the other side that it stands for. Numbers are places in the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pairing {
    Same {
        expected: usize,
        actual: usize,
    },
    /// Not the same, but probably meant: shown side by side.
    Differs {
        expected: usize,
        actual: usize,
    },
    Missing {
        expected: usize,
    },
    Unexpected {
        actual: usize,
    },
}

/// Accounts for every row of both sides, expected ones in their order and then those that nobody expected. `grain` are the
/// columns that tell rows apart: rows that state different ones are never shown as a pair.
pub(super) fn pair(expected: &[ExpectedRow], actual: &[ActualRow], grain: &[usize]) -> Vec<Pairing> {
    let same = matched(expected, actual);
    let mut taken: Vec<bool> = (0..actual.len()).map(|at| same.contains(&Some(at))).collect();
    let unmatched: Vec<usize> = (0..expected.len()).filter(|at| same[*at].is_none()).collect();
    let near = nearest(expected, actual, grain, &unmatched, &mut taken);
    let told = (0..expected.len()).map(|at| match (same[at], near[at]) {
        (Some(actual), _) => Pairing::Same { expected: at, actual },
        (None, Some(actual)) => Pairing::Differs { expected: at, actual },
        (None, None) => Pairing::Missing { expected: at },
    });
    let unexpected = (0..actual.len()).filter(|at| !taken[*at]).map(|actual| Pairing::Unexpected { actual });
    told.chain(unexpected).collect()
}

/// For every expected row the row that it matches, as many as there can be at once.
fn matched(expected: &[ExpectedRow], actual: &[ActualRow]) -> Vec<Option<usize>> {
    let fits: Vec<Vec<usize>> =
        expected.iter().map(|pattern| (0..actual.len()).filter(|at| pattern.matches(&actual[*at])).collect()).collect();
    let mut holder: Vec<Option<usize>> = vec![None; actual.len()];
    for row in 0..expected.len() {
        augment(row, &fits, &mut holder, &mut vec![false; actual.len()]);
    }
    let mut matched = vec![None; expected.len()];
    for (at, row) in holder.iter().enumerate() {
        if let Some(row) = row {
            matched[*row] = Some(at);
        }
    }
    matched
}

/// Finds a place for `row`, moving those that hold one where they fit elsewhere.
fn augment(row: usize, fits: &[Vec<usize>], holder: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for at in &fits[row] {
        if std::mem::replace(&mut tried[*at], true) {
            continue;
        }
        if holder[*at].is_none_or(|other| augment(other, fits, holder, tried)) {
            holder[*at] = Some(row);
            return true;
        }
    }
    false
}

/// Pairs what is left by how many values agree, the most alike first.
fn nearest(
    expected: &[ExpectedRow],
    actual: &[ActualRow],
    grain: &[usize],
    unmatched: &[usize],
    taken: &mut [bool],
) -> Vec<Option<usize>> {
    let mut candidates: Vec<(usize, usize, usize)> = Vec::new();
    for row in unmatched {
        for at in (0..actual.len()).filter(|at| !taken[*at]) {
            let (pattern, found) = (&expected[*row], &actual[at]);
            let agrees = |(column, value): &&(usize, _)| found[*column] == *value;
            if pattern.cells.iter().filter(|(column, _)| grain.contains(column)).all(|cell| agrees(&cell)) {
                candidates.push((pattern.cells.iter().filter(agrees).count(), *row, at));
            }
        }
    }
    candidates.sort_by_key(|(alike, row, at)| (std::cmp::Reverse(*alike), *row, *at));
    let mut near = vec![None; expected.len()];
    for (_, row, at) in candidates {
        if near[row].is_none() && !taken[at] {
            near[row] = Some(at);
            taken[at] = true;
        }
    }
    near
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;

    use super::*;

    fn expected(cells: &[(usize, &str)]) -> ExpectedRow {
        ExpectedRow { cells: cells.iter().map(|(column, text)| (*column, ScalarValue::from(*text))).collect() }
    }

    fn actual(cells: &[&str]) -> ActualRow {
        cells.iter().map(|text| ScalarValue::from(*text)).collect()
    }

    #[test]
    fn a_wide_pattern_leaves_the_row_that_a_narrow_one_needs() {
        let rows = [actual(&["a", "x"]), actual(&["b", "x"])];
        let wide_first = [expected(&[(1, "x")]), expected(&[(0, "a")])];
        assert_eq!(
            pair(&wide_first, &rows, &[]),
            [Pairing::Same { expected: 0, actual: 1 }, Pairing::Same { expected: 1, actual: 0 }]
        );
    }

    #[test]
    fn rows_count_as_often_as_they_stand() {
        let rows = [actual(&["a"]), actual(&["a"])];
        assert_eq!(
            pair(&[expected(&[(0, "a")])], &rows, &[]),
            [Pairing::Same { expected: 0, actual: 0 }, Pairing::Unexpected { actual: 1 }]
        );
        assert_eq!(
            pair(&[expected(&[]), expected(&[(0, "a")]), expected(&[(0, "a")])], &rows, &[]).last(),
            Some(&Pairing::Missing { expected: 2 })
        );
        assert_eq!(pair(&[], &[], &[]), []);
    }

    #[test]
    fn what_does_not_match_is_shown_beside_the_most_alike() {
        let rows = [actual(&["a", "x", "p"]), actual(&["b", "y", "q"])];
        let close_to_the_second = [expected(&[(0, "c"), (1, "y"), (2, "q")])];
        assert_eq!(
            pair(&close_to_the_second, &rows, &[]),
            [Pairing::Differs { expected: 0, actual: 1 }, Pairing::Unexpected { actual: 0 }]
        );
        // With the first column as the grain, c is neither a nor b.
        assert_eq!(
            pair(&close_to_the_second, &rows, &[0]),
            [Pairing::Missing { expected: 0 }, Pairing::Unexpected { actual: 0 }, Pairing::Unexpected { actual: 1 }]
        );
    }
}
