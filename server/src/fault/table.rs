//! The faults in force and which of them a request meets. Decisions depend on the seed and their order alone.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Notify;

use super::{Action, Fault, FaultError, FaultId};
use crate::exec::kind::CommandKind;

/// A fault in force.
struct ActiveFault {
    id: FaultId,
    node: Option<usize>,
    kind: CommandKind,
    fault: Fault,
    fired: AtomicU64,
    /// One stream of random numbers for each node.
    random: Vec<RandomStream>,
    lifted: Arc<Lifted>,
}

/// Tells those whom a fault holds up that it is over.
#[derive(Default)]
pub(crate) struct Lifted {
    done: AtomicBool,
    notify: Notify,
}

impl Lifted {
    fn lift(&self) {
        self.done.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    pub(crate) async fn wait(&self) {
        let notified = self.notify.notified();
        if !self.done.load(Ordering::Acquire) {
            notified.await;
        }
    }
}

/// What a request meets, all its faults taken together.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) dribble: Option<(usize, Duration)>,
    pub(crate) stall: Option<Arc<Lifted>>,
    pub(crate) end: Option<End>,
    pub(crate) error: Option<u8>,
    pub(crate) fired: usize,
}

/// How a connection ends by a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Refuse,
    Reset,
    ResetMidReply,
}

/// All faults of a cluster.
pub(crate) struct FaultTable {
    seed: u64,
    nodes: usize,
    next_id: AtomicU64,
    /// How many faults there are, to be read without the lock: requests on a healthy cluster pay one load.
    count: AtomicUsize,
    faults: RwLock<Vec<ActiveFault>>,
}

impl FaultTable {
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        FaultTable {
            seed,
            nodes,
            next_id: AtomicU64::new(1),
            count: AtomicUsize::new(0),
            faults: RwLock::default(),
        }
    }

    pub(crate) fn set(
        &self,
        node: Option<usize>,
        kind: CommandKind,
        fault: Fault,
    ) -> Result<FaultId, FaultError> {
        fault.check()?;
        if let Some(node) = node.filter(|&node| node >= self.nodes) {
            return Err(FaultError::new(format!(
                "there is no node {node}: nodes are numbered from 0 to {}",
                self.nodes - 1
            )));
        }
        let id = FaultId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let random = (0..self.nodes).map(|node| RandomStream::new(self.seed, id.0, node as u64));
        let active = ActiveFault {
            id,
            node,
            kind,
            fault,
            fired: AtomicU64::new(0),
            random: random.collect(),
            lifted: Arc::default(),
        };
        let mut faults = self.faults.write();
        faults.push(active);
        self.count.store(faults.len(), Ordering::Release);
        Ok(id)
    }

    pub(crate) fn clear(&self, wanted: impl Fn(FaultId) -> bool) {
        let mut faults = self.faults.write();
        faults.retain(|active| {
            let cleared = wanted(active.id);
            if cleared {
                active.lifted.lift();
            }
            !cleared
        });
        self.count.store(faults.len(), Ordering::Release);
    }

    /// What a request of this kind meets on this node; none if no fault fires.
    pub(crate) fn meet(&self, node: usize, kind: CommandKind) -> Option<Verdict> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut verdict = Verdict::default();
        for active in self.faults.read().iter() {
            if active.kind.covers(kind) && active.fires(node) {
                active.add_to(&mut verdict, node);
            }
        }
        (verdict.fired > 0).then_some(verdict)
    }

    /// Whether a connection just accepted on this node is closed at once.
    pub(crate) fn refuses_connection(&self, node: usize) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let faults = self.faults.read();
        let mut refusals = faults.iter().filter(|active| {
            active.kind == CommandKind::Any && active.fault.action == Action::Refuse
        });
        refusals.any(|active| active.fires(node))
    }
}

impl ActiveFault {
    fn fires(&self, node: usize) -> bool {
        if self.node.is_some_and(|only| only != node) {
            return false;
        }
        let Some(random) = self.random.get(node) else {
            return false;
        };
        if self.fault.probability < 1.0 && random.next() >= self.fault.probability {
            return false;
        }
        let Some(times) = self.fault.times else {
            return true;
        };
        self.fired
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |fired| {
                (fired < times).then_some(fired + 1)
            })
            .is_ok()
    }

    fn add_to(&self, verdict: &mut Verdict, node: usize) {
        verdict.fired += 1;
        match self.fault.action {
            Action::Delay(shape) => {
                let random = &self.random[node];
                verdict.delay += shape.sample(random.next(), random.next());
            }
            Action::Dribble { piece, gap } => verdict.dribble = Some((piece, gap)),
            Action::Stall => verdict.stall = Some(Arc::clone(&self.lifted)),
            Action::Reset => verdict.end = Some(End::Reset),
            Action::ResetMidReply => verdict.end = Some(End::ResetMidReply),
            Action::Refuse => verdict.end = Some(End::Refuse),
            Action::Error(code) => verdict.error = Some(code),
        }
    }
}

/// SplitMix64 with its state in an atomic: threads share one stream without a lock.
struct RandomStream(AtomicU64);

const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl RandomStream {
    fn new(seed: u64, fault: u64, node: u64) -> Self {
        RandomStream(AtomicU64::new(mix(seed ^ mix(fault ^ mix(node)))))
    }

    /// The next number in `[0, 1)`.
    fn next(&self) -> f64 {
        let state = self.0.fetch_add(GOLDEN_GAMMA, Ordering::Relaxed);
        (mix(state.wrapping_add(GOLDEN_GAMMA)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn outcomes(seed: u64, node: usize) -> Vec<bool> {
        let table = FaultTable::new(seed, 2);
        table
            .set(None, CommandKind::Read, "error=9@0.3".parse().unwrap())
            .unwrap();
        (0..2000)
            .map(|_| table.meet(node, CommandKind::Read).is_some())
            .collect()
    }

    #[test]
    fn decisions_repeat_with_the_seed_and_differ_between_nodes_and_seeds() {
        assert_eq!(outcomes(7, 0), outcomes(7, 0));
        assert_ne!(outcomes(7, 0), outcomes(7, 1));
        assert_ne!(outcomes(7, 0), outcomes(8, 0));
        let fired = outcomes(7, 0).into_iter().filter(|fired| *fired).count();
        assert!((500..700).contains(&fired), "{fired} of 2000 at 0.3");
    }

    #[test]
    fn faults_meet_only_their_node_kind_and_number_of_times() {
        let table = FaultTable::new(0, 2);
        let id = table
            .set(Some(1), CommandKind::Write, "reset x2".parse().unwrap())
            .unwrap();
        assert!(table.meet(0, CommandKind::Write).is_none());
        assert!(table.meet(1, CommandKind::Read).is_none());
        assert_eq!(
            table.meet(1, CommandKind::Write).unwrap().end,
            Some(End::Reset)
        );
        assert!(table.meet(1, CommandKind::Write).is_some());
        assert!(table.meet(1, CommandKind::Write).is_none());
        table.clear(|known| known == id);
        assert_eq!(table.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn faults_on_the_same_request_add_up() {
        let table = FaultTable::new(0, 1);
        for spec in ["delay=2ms", "delay=3ms", "dribble=4,1ms", "error=11"] {
            table
                .set(None, CommandKind::Any, spec.parse().unwrap())
                .unwrap();
        }
        let verdict = table.meet(0, CommandKind::Scan).unwrap();
        assert_eq!(verdict.delay, Duration::from_millis(5));
        assert_eq!(verdict.dribble, Some((4, Duration::from_millis(1))));
        assert_eq!((verdict.error, verdict.fired), (Some(11), 4));
    }

    #[test]
    fn a_node_that_is_not_there_is_named() {
        let error = FaultTable::new(0, 3)
            .set(Some(3), CommandKind::Any, "stall".parse().unwrap())
            .unwrap_err();
        assert!(error.to_string().contains("0 to 2"), "{error}");
    }
}
