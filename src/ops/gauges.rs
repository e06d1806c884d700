//! What can be read off connected clients at any time: operations in flight, the limiter's queue and
//! the pools of the nodes; and how often waiting for a connection or a permit was in vain.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use aerospike_stages::histogram::Counts;
use aerospike_traces::otlp::reporting;

use crate::ops::limiter::Limiter;
use crate::ops::session::Session;

/// A connected client as its metrics see it.
pub struct Watched {
    /// Which client, unique in this process; never zero.
    pub id: u32,
    /// Its session.
    pub session: Arc<Session>,
    /// Its limit of operations in flight.
    pub limiter: Limiter,
    in_flight: InFlight,
}

/// Every connected client, with the generation of forks that it is from.
pub type Clients = Vec<(u64, Weak<Watched>)>;

static NEXT_ID: AtomicU32 = AtomicU32::new(1);
static CLIENTS: Mutex<Clients> = Mutex::new(Vec::new());

/// The list of clients, for whoever must not find it locked after a fork.
pub fn lock_clients() -> MutexGuard<'static, Clients> {
    CLIENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watched {
    /// Watches a client that has just connected in this generation of forks.
    pub fn new(session: Arc<Session>, limiter: Limiter, generation: u64) -> Arc<Watched> {
        let watched = Arc::new(Watched {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            session,
            limiter,
            in_flight: InFlight::default(),
        });
        let mut clients = lock_clients();
        clients.retain(|(_, client)| client.strong_count() > 0);
        clients.push((generation, Arc::downgrade(&watched)));
        drop(clients);
        reporting::go_on_in_child();
        watched
    }

    /// An operation of this client is in flight for as long as the guard lives.
    #[inline]
    pub fn enter(&self) -> Flight<'_> {
        let lane = &self.in_flight.0[own_lane()].0;
        lane.fetch_add(1, Ordering::Relaxed);
        Flight(lane)
    }

    /// How many operations are in flight.
    pub fn in_flight(&self) -> u32 {
        let lanes = self.in_flight.0.iter();
        let sum: i64 = lanes.map(|lane| lane.0.load(Ordering::Relaxed)).sum();
        u32::try_from(sum.max(0)).unwrap_or(u32::MAX)
    }
}

/// The clients of this generation of forks that are connected. Those of others belong to another
/// process, whose threads may have left their locks locked here.
pub fn clients(generation: u64) -> Vec<Arc<Watched>> {
    let clients = lock_clients();
    let own = clients.iter().filter(|(from, _)| *from == generation);
    own.filter_map(|(_, client)| client.upgrade()).collect()
}

/// Threads count in lanes of their own, so that they do not wait for each other's caches.
const LANES: usize = 8;

#[derive(Default)]
struct InFlight([Padded; LANES]);

#[derive(Default)]
#[repr(align(128))]
struct Padded(AtomicI64);

fn own_lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let own = OWN.get();
    if own < LANES {
        return own;
    }
    let own = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
    OWN.set(own);
    own
}

/// An operation in flight.
pub struct Flight<'a>(&'a AtomicI64);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

static CONNECTION_TIMEOUTS: AtomicU64 = AtomicU64::new(0);
static REFUSALS: AtomicU64 = AtomicU64::new(0);
static PERMIT_WAITS: Mutex<Option<Counts>> = Mutex::new(None);

/// The waits for permits, for whoever must not find them locked after a fork.
pub fn lock_permit_waits() -> MutexGuard<'static, Option<Counts>> {
    PERMIT_WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An operation ended because it got no connection in time.
pub fn note_connection_timeout() {
    CONNECTION_TIMEOUTS.fetch_add(1, Ordering::Relaxed);
}

/// How many operations got no connection in time.
pub fn connection_timeouts() -> u64 {
    CONNECTION_TIMEOUTS.load(Ordering::Relaxed)
}

/// An operation ended because the limiter refused it.
pub fn note_refusal() {
    REFUSALS.fetch_add(1, Ordering::Relaxed);
}

/// How many operations the limiter refused.
pub fn refusals() -> u64 {
    REFUSALS.load(Ordering::Relaxed)
}

/// An operation waited so long for a permit.
pub fn note_permit_wait(nanos: u64) {
    lock_permit_waits().get_or_insert_default().record(nanos);
}

/// How long operations waited for permits, those that did not wait left out.
pub fn permit_waits() -> Counts {
    lock_permit_waits().clone().unwrap_or_default()
}
