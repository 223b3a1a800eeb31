//! Answers that are asked for once, however many ask at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::OnceCell;

use crate::error::Result;

/// Answers by key. One that failed is asked for again.
pub(crate) struct Memo<K, V>(Mutex<BTreeMap<K, Arc<OnceCell<V>>>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Memo(Mutex::default())
    }
}

impl<K: Ord, V: Clone> Memo<K, V> {
    pub async fn get<F, A>(&self, key: K, ask: F) -> Result<V>
    where
        F: FnOnce() -> A,
        A: Future<Output = Result<V>>,
    {
        let cell = Arc::clone(self.0.lock().expect("nothing panics under the lock").entry(key).or_default());
        cell.get_or_try_init(ask).await.cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::Error;

    #[tokio::test]
    async fn a_question_is_asked_once_unless_it_failed() {
        let (memo, asked) = (Memo::<u8, u8>::default(), AtomicUsize::new(0));
        let ask = |answer: Result<u8>| {
            asked.fetch_add(1, Ordering::Relaxed);
            async { answer }
        };
        assert!(memo.get(1, || ask(Err(Error::internal("not now")))).await.is_err());
        let both = futures::join!(memo.get(1, || ask(Ok(7))), memo.get(1, || ask(Ok(8))));
        assert_eq!((both.0.unwrap(), both.1.unwrap(), asked.load(Ordering::Relaxed)), (7, 7, 2));
        assert_eq!(memo.get(2, || ask(Ok(9))).await.unwrap(), 9);
    }
}
