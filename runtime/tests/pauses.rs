//! Waiting in the middle of a poll: when the driving thread does, and when it leaves the wait to the executor.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use aerospike_rt::direct::{drive, Interruptions, Sequential, Uninterrupted};
use aerospike_rt::net::TcpStream;
use aerospike_rt::spawn;
use aerospike_rt::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// Drives a future to its end, and says how often it was polled.
fn run<F: Future>(runtime: &Runtime, future: F) -> (F::Output, usize) {
    let (mut future, mut polls) = (Box::pin(future), 0);
    let counted = poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    });
    let output = drive(runtime.handle(), counted, Uninterrupted);
    (output.unwrap_or_else(|never| match never {}), polls)
}

/// Two ends of a connection: one of this crate, and a plain one.
fn connection(runtime: &Runtime) -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = run(runtime, TcpStream::connect(address)).0.unwrap();
    // The reactor lets go of the waker that connecting left with it when it has a turn the next time.
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    (stream, listener.accept().unwrap().0)
}

async fn ask(stream: &mut TcpStream) -> [u8; 6] {
    stream.write_all(b"question").await.unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

#[test]
fn what_waits_for_one_thing_at_a_time_waits_within_its_poll() {
    let runtime = runtime();
    let (mut stream, mut peer) = connection(&runtime);
    for sequential in [true, false, true] {
        // A machine that stops for longer than a pause makes it two polls in either case.
        let in_one_poll = (0..20).any(|_| {
            peer.write_all(b"answer").unwrap();
            let (answer, polls) = run(&runtime, Sequential::new(ask(&mut stream), sequential));
            assert_eq!(answer, *b"answer");
            polls == 1
        });
        assert_eq!(in_one_poll, sequential);
    }
}

#[test]
fn an_answer_that_comes_late_arrives_all_the_same() {
    let runtime = runtime();
    let (mut stream, mut peer) = connection(&runtime);
    let answering = std::thread::spawn(move || {
        let mut question = [0; 8];
        peer.read_exact(&mut question).unwrap();
        std::thread::sleep(Duration::from_millis(40));
        peer.write_all(b"ans").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        peer.write_all(b"wer").unwrap();
        peer
    });
    let (answer, _) = run(&runtime, Sequential::new(ask(&mut stream), true));
    assert_eq!(answer, *b"answer");
    drop(answering.join().unwrap());
}

#[test]
fn nothing_else_is_kept_from_going_on() {
    let runtime = runtime();
    let (mut stream, mut peer) = connection(&runtime);
    // A task that has just been spawned.
    peer.write_all(b"answer").unwrap();
    let beside = async {
        let task = spawn(async { 7 });
        (ask(&mut stream).await, task.await.unwrap())
    };
    let asked = run(&runtime, Sequential::new(beside, true));
    assert_eq!(asked.0, (*b"answer", 7));
    assert!(asked.1 > 1);
    // Somebody who may wake the operation.
    peer.write_all(b"answer").unwrap();
    let mut kept = None::<Waker>;
    let awaited = async {
        poll_fn(|cx| {
            kept = Some(cx.waker().clone());
            Poll::Ready(())
        })
        .await;
        ask(&mut stream).await
    };
    assert_eq!(
        run(&runtime, Sequential::new(awaited, true)),
        (*b"answer", 2)
    );
    drop(kept);
    // Two exchanges at once.
    let (mut other, mut other_peer) = connection(&runtime);
    peer.write_all(b"answer").unwrap();
    other_peer.write_all(b"answer").unwrap();
    let both = async { tokio::join!(ask(&mut stream), ask(&mut other)) };
    assert_eq!(run(&runtime, both), ((*b"answer", *b"answer"), 2));
}

#[test]
fn a_deadline_ends_the_wait() {
    let runtime = runtime();
    let (mut stream, _peer) = connection(&runtime);
    let asked = async {
        let mut deadline = Box::pin(aerospike_rt::tokio::time::sleep(Duration::from_secs(3600)));
        deadline
            .as_mut()
            .reset(Instant::now() + Duration::from_millis(2));
        tokio::select! {
            biased;
            answer = ask(&mut stream) => Some(answer),
            () = deadline => None,
        }
    };
    assert_eq!(run(&runtime, Sequential::new(asked, true)).0, None);
}

struct AfterSignal<'a>(&'a Cell<usize>);

impl<F> Interruptions<F> for AfterSignal<'_> {
    type Error = ();

    fn patience(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }

    fn look(&mut self, _future: Pin<&mut F>) -> Result<u64, ()> {
        self.0.set(self.0.get() + 1);
        Err(())
    }
}

extern "C" fn ignore(_signal: libc::c_int) {}

#[test]
fn a_signal_ends_the_wait() {
    // SAFETY: the handler does nothing; `action` is fully initialised and outlives the call.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
        assert_eq!(
            libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()),
            0
        );
    }
    let runtime = runtime();
    let (mut stream, mut peer) = connection(&runtime);
    // SAFETY: asks for the calling thread's own handle.
    let thread = unsafe { libc::pthread_self() };
    let done = Arc::new(AtomicBool::new(false));
    let signalling = std::thread::spawn({
        let done = done.clone();
        move || {
            let mut question = [0; 8];
            peer.read_exact(&mut question).unwrap();
            // The first one may come before the wait begins.
            while !done.load(Ordering::SeqCst) {
                // SAFETY: the thread is alive until `done` has been set and this one joined.
                unsafe { libc::pthread_kill(thread, libc::SIGUSR2) };
                std::thread::sleep(Duration::from_millis(1));
            }
            peer
        }
    });
    let looks = Cell::new(0);
    let asked = Sequential::new(ask(&mut stream), true);
    let given_up = drive(runtime.handle(), asked, AfterSignal(&looks));
    done.store(true, Ordering::SeqCst);
    drop(signalling.join().unwrap());
    assert_eq!((given_up, looks.get()), (Err(()), 1));
}

#[test]
fn whoever_waits_for_the_time_to_pass_sees_it_pass() {
    let runtime = runtime();
    let passed = run(&runtime, async {
        let until = Instant::now() + Duration::from_millis(3);
        let mut looks = 0_u64;
        while Instant::now() < until {
            looks += 1;
        }
        looks
    });
    assert!(passed.0 > 0);
}
