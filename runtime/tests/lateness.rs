//! A thread that drives operations among other things: what it comes to late has waited for the thread, and
//! what it comes to at once for the network.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::future::Future;
use std::io::{Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use aerospike_rt::direct::Step;
use aerospike_rt::net::TcpStream;
use aerospike_stages::{
    clock, collector, Lane, Observed, Operation, Outcome, Recorder, Stage, Summary,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

/// Waits shorter than this are not looked into.
const PROMPT: Duration = Duration::from_micros(50);

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

/// A connection whose stream is driven in steps.
struct Pair {
    runtime: Runtime,
    near: Option<TcpStream>,
    far: std::net::TcpStream,
}

impl Pair {
    fn new() -> Self {
        collector::set_enabled(true);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let near = runtime.block_on(TcpStream::connect(address)).unwrap();
        Pair {
            runtime,
            near: Some(near),
            far: listener.accept().unwrap().0,
        }
    }

    /// A question and its reply, which the thread comes to after a while.
    fn exchange(&mut self, late: Duration) -> Summary {
        let mut near = self.near.take().unwrap();
        let asking = async move {
            near.write_all(b"question").await.unwrap();
            let mut reply = [0; 5];
            near.read_exact(&mut reply).await.unwrap();
            near
        };
        let recorder = Recorder::start(Operation::Get, Lane::Asyncio, clock::now_ns());
        let mut asking = Box::pin(Observed::new(asking, Some(Box::new(recorder))));
        let waker = Waker::from(Arc::new(Nobody));
        let mut step = Step::default();
        step.date_arrivals(true);
        let handle = self.runtime.handle().clone();
        let mut go_on = || {
            let mut cx = Context::from_waker(&waker);
            step.take(&handle, 0, || asking.as_mut().poll(&mut cx))
        };
        assert!(go_on().is_pending());
        self.far.write_all(b"reply").unwrap();
        if !late.is_zero() {
            std::thread::sleep(late);
        }
        let Poll::Ready(observation) = go_on() else {
            panic!("the reply is there");
        };
        self.near = Some(observation.value);
        let mut question = [0; 8];
        self.far.read_exact(&mut question).unwrap();
        let summary = observation
            .recorder
            .unwrap()
            .finish(Outcome::Ok, clock::now_ns());
        aerospike_stages::invariants::check(&summary).unwrap();
        summary
    }
}

#[test]
fn what_the_thread_was_late_for_is_no_fault_of_the_network() {
    let mut pair = Pair::new();
    let late = Duration::from_millis(20);
    // The kernel may need a moment before it dates what arrives.
    let told = (0..100).any(|_| {
        let summary = pair.exchange(late);
        Duration::from_nanos(summary.stage(Stage::LoopWait)) >= late - Duration::from_millis(1)
    });
    assert!(told || aerospike_rt::net::arrivals_are_unknown());
}

#[test]
fn what_the_thread_came_to_at_once_is_the_networks() {
    let mut pair = Pair::new();
    let waited = |summary: &Summary| {
        Duration::from_nanos(summary.stage(Stage::LoopWait) + summary.stage(Stage::NetworkWait))
    };
    let mut exchanges = (0..10_000).map(|_| pair.exchange(Duration::ZERO));
    let prompt = exchanges
        .find(|summary| waited(summary) < PROMPT)
        .expect("one of them is not disturbed");
    assert_eq!(prompt.stage(Stage::LoopWait), 0);
    assert!(prompt.stage(Stage::NetworkWait) > 0);
}
