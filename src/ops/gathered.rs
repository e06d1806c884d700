//! Bins that stay in the bytes of their replies, for as long as an operation goes on.

use std::future::Future;
use std::sync::Arc;

use aerospike_rt::replies::{self, Replies, Sink};

/// Where the bins of an operation are gathered, if it wants that.
pub struct Gathered(Option<Arc<Sink>>);

impl Gathered {
    /// Gathers bins, or does not.
    pub fn new(wanted: bool) -> Self {
        Gathered(wanted.then(Arc::default))
    }

    /// Makes the reads of `future` leave their bins here.
    pub fn gather<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        replies::gather(future, self.0.clone())
    }

    /// Ends the gathering.
    pub fn end(&self) -> Option<Replies> {
        self.0.as_ref().map(|sink| sink.end())
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        // Connections go on reading replies that nobody waits for any more.
        drop(self.end());
    }
}
