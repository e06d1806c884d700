//! Backpressure: how many operations may be in flight at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Fault;
use crate::ops::gauges;

/// Hands out permits for operations.
#[derive(Debug, Clone)]
pub struct Limiter {
    permits: Option<Arc<Semaphore>>,
    limit: usize,
    patience: Option<Duration>,
    waiting: Arc<AtomicUsize>,
}

/// The right to have one operation in flight; dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Limiter {
    /// At most `limit` operations, none waiting longer than `queue_timeout_ms`; zero means no limit.
    pub fn new(limit: usize, queue_timeout_ms: u64) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Limiter {
            permits: (limit > 0).then(|| Arc::new(Semaphore::new(limit))),
            limit,
            patience: (queue_timeout_ms > 0).then(|| Duration::from_millis(queue_timeout_ms)),
            waiting: Arc::default(),
        }
    }

    /// The same limits with all permits free.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let permits = self.permits.as_ref();
        Limiter {
            permits: permits.map(|_| Arc::new(Semaphore::new(self.limit))),
            waiting: Arc::default(),
            ..*self
        }
    }

    /// How many operations there may be at once; zero means no limit.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many operations wait for a permit.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A permit, if there is one without waiting.
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit> {
        match &self.permits {
            None => Some(Permit { _permit: None }),
            Some(permits) => {
                let permit = permits.clone().try_acquire_owned().ok()?;
                Some(Permit {
                    _permit: Some(permit),
                })
            }
        }
    }

    /// A permit, as soon as there is one.
    pub async fn acquire(&self) -> Result<Permit, Fault> {
        if let Some(permit) = self.try_acquire() {
            return Ok(permit);
        }
        let Some(permits) = self.permits.clone() else {
            return Ok(Permit { _permit: None });
        };
        let started = Instant::now();
        let _queued = Queued::new(&self.waiting);
        let waiting = permits.acquire_owned();
        let permit = match self.patience {
            None => waiting.await,
            Some(patience) => tokio::time::timeout(patience, waiting).await.map_err(|_| {
                gauges::note_refusal();
                let waited_ms = u64::try_from(started.elapsed().max(patience).as_millis());
                Fault::Backpressure {
                    limit: self.limit,
                    waited_ms: waited_ms.unwrap_or(u64::MAX),
                }
            })?,
        };
        gauges::note_permit_wait(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        match permit {
            Ok(permit) => Ok(Permit {
                _permit: Some(permit),
            }),
            Err(_) => Err(Fault::internal("the limiter's semaphore was closed")),
        }
    }
}

/// An operation in the queue, for as long as this lives.
struct Queued<'a>(&'a AtomicUsize);

impl Queued<'_> {
    fn new(waiting: &AtomicUsize) -> Queued<'_> {
        waiting.fetch_add(1, Ordering::Relaxed);
        Queued(waiting)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let limiter = Limiter::new(0, 1);
        let mut held = Vec::new();
        for _ in 0..1000 {
            held.push(limiter.acquire().await.unwrap());
        }
        assert_eq!(held.len(), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_limiter_refuses_after_the_queue_timeout() {
        let limiter = Limiter::new(2, 250);
        let first = limiter.acquire().await.unwrap();
        let _second = limiter.acquire().await.unwrap();
        let before = tokio::time::Instant::now();
        let refused = limiter.acquire().await.unwrap_err();
        assert_eq!(before.elapsed(), Duration::from_millis(250));
        assert!(
            matches!(
                refused,
                Fault::Backpressure {
                    limit: 2,
                    waited_ms: 250
                }
            ),
            "{refused:?}"
        );
        drop(first);
        assert!(limiter.acquire().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_timeout_the_wait_lasts_until_a_permit_is_free() {
        let limiter = Limiter::new(1, 0);
        let held = limiter.acquire().await.unwrap();
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.acquire().await.is_ok() }
        });
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!waiting.is_finished());
        assert_eq!((limiter.limit(), limiter.waiting()), (1, 1));
        drop(held);
        assert!(waiting.await.unwrap());
        assert_eq!(limiter.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_limiter_has_its_own_permits() {
        let limiter = Limiter::new(1, 50);
        let _held = limiter.acquire().await.unwrap();
        let renewed = limiter.renewed();
        let _other = renewed.acquire().await.unwrap();
        assert!(matches!(
            renewed.acquire().await,
            Err(Fault::Backpressure { limit: 1, .. })
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn giving_up_does_not_lose_a_permit() {
        let limiter = Limiter::new(1, 0);
        let held = limiter.acquire().await.unwrap();
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.acquire().await }
        });
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        drop(held);
        assert!(limiter.try_acquire().is_some());
    }
}
