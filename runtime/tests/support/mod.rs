//! Drives the unmodified driver through this crate against the embedded server and hands out
//! what was recorded.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use aerospike_core::{as_bin, as_key, Bins, Client, ClientPolicy, Key, ReadPolicy, WritePolicy};
use aerospike_embedded::{Cluster, Options};
use aerospike_rt::direct::{drive, Interruptions, Uninterrupted};
use aerospike_stages::event::Stamped;
use aerospike_stages::invariants::check;
use aerospike_stages::{
    clock, collector, Event, Lane, Observed, Operation, Outcome, Recorder, Stage, Summary,
};

/// Who polls the operations of a bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// The runtime's own executor.
    Runtime,
    /// The calling thread.
    Direct,
}

/// A cluster with a connected client, on a runtime of its own.
pub struct Bench {
    pub driver: Driver,
    pub cluster: Cluster,
    pub client: Client,
    pub runtime: tokio::runtime::Runtime,
}

/// What one recorded operation left behind.
pub struct Recorded<T> {
    pub value: T,
    pub summary: Summary,
    pub events: Vec<Event>,
    pub track_events: Vec<Vec<Event>>,
    /// Wall time by a clock that the recorder does not use.
    pub outside: Duration,
}

impl Bench {
    /// Runs a test once for each driver.
    pub fn each(nodes: usize, test: impl Fn(&Bench)) {
        Self::each_with_policy(nodes, &ClientPolicy::default(), test);
    }

    pub fn each_with_policy(nodes: usize, policy: &ClientPolicy, test: impl Fn(&Bench)) {
        for driver in [Driver::Runtime, Driver::Direct] {
            test(&Self::start(driver, nodes, policy.clone()));
        }
    }

    fn start(driver: Driver, nodes: usize, policy: ClientPolicy) -> Self {
        collector::set_enabled(true);
        let cluster = Cluster::start(Options {
            nodes,
            ..Options::default()
        })
        .unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let hosts = cluster
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",");
        let client = runtime.block_on(async {
            let client = Client::new(&policy, &hosts).await.unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            while client.node_names().len() < nodes {
                assert!(
                    Instant::now() < deadline,
                    "the client has found {:?}",
                    client.node_names()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            client
        });
        let bench = Bench {
            driver,
            cluster,
            client,
            runtime,
        };
        for i in 0..200 {
            bench.put(i);
        }
        bench
    }

    /// Drives a future to its end.
    pub fn drive<F: Future>(&self, future: F) -> F::Output {
        match self.driver {
            Driver::Runtime => self.runtime.block_on(future),
            Driver::Direct => {
                let driven = drive(self.runtime.handle(), future, Uninterrupted);
                driven.unwrap_or_else(|never| match never {})
            }
        }
    }

    pub fn put(&self, i: i64) {
        let bins = [as_bin!("number", i), as_bin!("text", format!("value {i}"))];
        self.drive(self.client.put(&WritePolicy::default(), &key(i), &bins))
            .unwrap();
    }

    pub fn get(
        &self,
        i: i64,
        policy: &ReadPolicy,
    ) -> Recorded<aerospike_core::Result<aerospike_core::Record>> {
        self.record(Operation::Get, self.client.get(policy, &key(i), Bins::All))
    }

    /// Starts an operation and gives it up after a while.
    pub fn record_until<T>(
        &self,
        patience: Duration,
        operation: Operation,
        future: impl Future<Output = T>,
    ) -> Summary {
        let recorder = Box::new(Recorder::start(operation, Lane::Sync, clock::now_ns()));
        let mut observed = Box::pin(Observed::new(future, Some(recorder)));
        let given_up = match self.driver {
            Driver::Runtime => self.runtime.block_on(async {
                tokio::time::timeout(patience, observed.as_mut())
                    .await
                    .is_err()
            }),
            Driver::Direct => {
                let handle = self.runtime.handle();
                drive(handle, observed.as_mut(), Impatient(patience)).is_err()
            }
        };
        assert!(given_up, "the operation was too quick to be given up");
        let mut recorder = observed.as_mut().take_recorder().unwrap();
        let summary = recorder.finish(Outcome::Cancelled, clock::now_ns());
        check(&summary).unwrap();
        summary
    }

    /// Runs an operation with a recorder that keeps its events, on the calling thread.
    pub fn record<T, E>(
        &self,
        operation: Operation,
        future: impl Future<Output = Result<T, E>>,
    ) -> Recorded<Result<T, E>> {
        let outside = Instant::now();
        let mut recorder = Box::new(Recorder::start(operation, Lane::Sync, clock::now_ns()));
        recorder.keep_events();
        let observation = self.drive(Observed::new(future, Some(recorder)));
        let mut recorder = observation.recorder.unwrap();
        let outcome = if observation.value.is_ok() {
            Outcome::Ok
        } else {
            Outcome::ServerError
        };
        let summary = recorder.finish(outcome, clock::now_ns());
        let outside = outside.elapsed();
        check(&summary).unwrap();
        let plain = |stamped: &[Stamped]| {
            stamped
                .iter()
                .map(|stamped| stamped.event)
                .collect::<Vec<_>>()
        };
        Recorded {
            value: observation.value,
            summary,
            events: plain(recorder.events()),
            track_events: recorder
                .tracks()
                .iter()
                .map(|track| plain(track.events()))
                .collect(),
            outside,
        }
    }
}

/// Gives up at the first look.
struct Impatient(Duration);

impl<F> Interruptions<F> for Impatient {
    type Error = ();

    fn patience(&self) -> Option<Duration> {
        Some(self.0)
    }

    fn look(&mut self, _future: Pin<&mut F>) -> Result<u64, ()> {
        Err(())
    }
}

pub fn key(i: i64) -> Key {
    as_key!("test", "contract", i)
}

pub fn stage(summary: &Summary, stage: Stage) -> Duration {
    Duration::from_nanos(summary.stage(stage))
}

/// The events without those whose number depends on scheduling: pending polls and timer calls.
pub fn milestones(events: &[Event]) -> Vec<Event> {
    events
        .iter()
        .copied()
        .filter(|event| {
            !matches!(
                event,
                Event::ReadPending { .. }
                    | Event::WritePending
                    | Event::TimerBegin
                    | Event::TimerEnd
                    | Event::JoinPending
            )
        })
        .map(|event| match event {
            Event::ReadEnd { .. } => Event::ReadEnd { bytes: 0 },
            Event::WriteEnd { complete, .. } => Event::WriteEnd { bytes: 0, complete },
            other => other,
        })
        .collect()
}

/// The largest stage of an operation, the one a report would name.
pub fn largest(summary: &Summary) -> Stage {
    Stage::ALL
        .into_iter()
        .max_by_key(|stage| summary.stage(*stage))
        .unwrap()
}
