//! Driving on the calling thread: what it waits for, who wakes it, and where leftover tasks go.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::cell::Cell;
use std::future::{pending, poll_fn, Future};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use aerospike_rt::direct::{drive, Interruptions, Uninterrupted};
use aerospike_rt::net::TcpStream;
use aerospike_rt::{sleep, spawn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn run<F: Future>(runtime: &Runtime, future: F) -> F::Output {
    drive(runtime.handle(), future, Uninterrupted).unwrap_or_else(|never| match never {})
}

fn here() -> ThreadId {
    std::thread::current().id()
}

/// Two ends of a connection: one of this crate, and a plain one.
fn connection(runtime: &Runtime) -> (TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = run(runtime, TcpStream::connect(address)).unwrap();
    (stream, listener.accept().unwrap().0)
}

#[test]
fn a_task_that_is_waited_for_runs_here_and_its_result_arrives() {
    let runtime = runtime();
    let (at, value) = run(&runtime, async {
        spawn(async { (here(), 7) }).await.unwrap()
    });
    assert_eq!((at, value), (here(), 7));
}

#[test]
fn a_task_that_nobody_waits_for_runs_on_the_runtime() {
    let runtime = runtime();
    let (sender, receiver) = mpsc::channel();
    run(&runtime, async move {
        drop(spawn(async move { sender.send(here()).unwrap() }));
        sleep(Duration::from_millis(5)).await;
    });
    assert_ne!(receiver.recv().unwrap(), here());
}

#[test]
fn what_is_left_when_the_operation_ends_goes_on_on_the_runtime() {
    let runtime = runtime();
    let (stream, mut other) = connection(&runtime);
    let (sender, receiver) = mpsc::channel();
    let started = Arc::new(AtomicBool::new(false));
    let mut left = None;
    run(&runtime, {
        let (started, left) = (started.clone(), &mut left);
        async move {
            let mut stream = stream;
            let handle = left.insert(spawn(async move {
                started.store(true, Ordering::SeqCst);
                let mut byte = [0];
                stream.read_exact(&mut byte).await.unwrap();
                sender.send((here(), byte[0])).unwrap();
            }));
            let mut handle = Pin::new(handle);
            // Waited for once, so that it starts here, and then given up.
            let once = poll_fn(|cx| Poll::Ready(handle.as_mut().poll(cx).is_pending()));
            assert!(once.await);
            sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(started.load(Ordering::SeqCst));
    other.write_all(b"x").unwrap();
    let (at, byte) = receiver.recv().unwrap();
    assert_ne!(at, here());
    assert_eq!(byte, b'x');
}

#[test]
fn a_waker_that_is_rung_and_let_go_at_any_moment_wakes() {
    const ROUNDS: usize = 100_000;
    let runtime = runtime();
    let handed = Arc::new(Mutex::new(None::<Waker>));
    let ringing = std::thread::spawn({
        let handed = handed.clone();
        move || {
            let mut rung = 0;
            while rung < ROUNDS {
                let waker = handed.lock().unwrap().take();
                if let Some(waker) = waker {
                    // Now sooner, now later, so that it meets the driving thread at every step on its way to sleep.
                    (0..rung % 1_000).for_each(|_| std::hint::spin_loop());
                    waker.wake();
                    rung += 1;
                }
                std::hint::spin_loop();
            }
        }
    });
    for _ in 0..ROUNDS {
        let mut waits = false;
        run(
            &runtime,
            poll_fn(|cx| {
                if std::mem::replace(&mut waits, true) {
                    return Poll::Ready(());
                }
                *handed.lock().unwrap() = Some(cx.waker().clone());
                Poll::Pending
            }),
        );
    }
    ringing.join().unwrap();
}

#[test]
fn a_panic_in_a_task_is_its_result() {
    let runtime = runtime();
    let joined = run(&runtime, async {
        spawn(async { panic!("planted") as u32 }).await
    });
    assert_eq!(joined.unwrap_err().to_string(), "a task panicked: planted");
}

#[test]
fn an_aborted_task_ends() {
    let runtime = runtime();
    let joined = run(&runtime, async {
        let task = spawn(pending::<()>());
        sleep(Duration::from_millis(2)).await;
        assert!(!task.is_finished());
        task.abort();
        task.await
    });
    assert_eq!(joined.unwrap_err().to_string(), "a task was aborted");
}

#[test]
fn another_thread_can_wake_it() {
    let runtime = runtime();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let waking = std::thread::spawn(move || {
        for i in 0..1000 {
            sender.blocking_send(i).unwrap();
        }
    });
    let received = run(&runtime, async move {
        let mut received = Vec::new();
        while let Some(i) = receiver.recv().await {
            received.push(i);
        }
        received
    });
    waking.join().unwrap();
    assert_eq!(received, (0..1000).collect::<Vec<_>>());
}

#[test]
fn sockets_are_waited_for_together() {
    let runtime = runtime();
    let (first, mut first_peer) = connection(&runtime);
    let (second, mut second_peer) = connection(&runtime);
    let echo = |mut stream: TcpStream| async move {
        stream.write_all(b"question").await.unwrap();
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).await.unwrap();
        answer
    };
    // The peers answer in the opposite order, each only after both have been asked.
    let answering = std::thread::spawn(move || {
        let mut question = [0; 8];
        first_peer.read_exact(&mut question).unwrap();
        second_peer.read_exact(&mut question).unwrap();
        second_peer.write_all(b"second").unwrap();
        first_peer.write_all(b"first!").unwrap();
    });
    let answers = run(&runtime, async {
        let (first, second) = (spawn(echo(first)), spawn(echo(second)));
        (first.await.unwrap(), second.await.unwrap())
    });
    answering.join().unwrap();
    assert_eq!(answers, (*b"first!", *b"second"));
}

#[test]
fn a_stream_can_be_used_here_and_on_the_runtime_in_turn() {
    let runtime = runtime();
    let (mut stream, mut peer) = connection(&runtime);
    let serving = std::thread::spawn(move || {
        let mut question = [0; 4];
        while peer.read_exact(&mut question).is_ok() {
            peer.write_all(&question).unwrap();
        }
    });
    for round in 0..6_u32 {
        let ask = async {
            let mut answer = [0; 4];
            stream.write_all(&round.to_be_bytes()).await.unwrap();
            stream.read_exact(&mut answer).await.unwrap();
            u32::from_be_bytes(answer)
        };
        let answer = if round % 2 == 0 {
            run(&runtime, ask)
        } else {
            runtime.block_on(ask)
        };
        assert_eq!(answer, round);
    }
    drop(stream);
    serving.join().unwrap();
}

#[test]
fn bytes_that_were_read_ahead_make_a_connection_look_closed() {
    let runtime = runtime();
    let (mut stream, mut peer) = connection(&runtime);
    assert_eq!(peek(&stream), Err(std::io::ErrorKind::WouldBlock));
    peer.write_all(b"answer, and something that nobody asked for")
        .unwrap();
    run(&runtime, async {
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
    });
    assert_eq!(peek(&stream), Ok(0));
    run(&runtime, async {
        let mut rest = [0; 37];
        stream.read_exact(&mut rest).await.unwrap();
    });
    assert_eq!(peek(&stream), Err(std::io::ErrorKind::WouldBlock));
}

/// What the driver does to find out whether a pooled connection is alive.
fn peek(stream: &TcpStream) -> Result<usize, std::io::ErrorKind> {
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
    let mut byte = [0; 1];
    rustix::net::recv(stream.as_fd(), &mut byte, flags)
        .map(|(bytes, _)| bytes)
        .map_err(|error| std::io::Error::from(error).kind())
}

/// A future that counts its polls.
fn counted<'a, F: Future + 'a>(
    polls: &'a AtomicUsize,
    future: F,
) -> impl Future<Output = F::Output> + 'a {
    let mut future = Box::pin(future);
    poll_fn(move |cx| {
        polls.fetch_add(1, Ordering::SeqCst);
        future.as_mut().poll(cx)
    })
}

#[test]
fn late_wakes_of_a_finished_task_neither_spin_nor_delay_a_deadline() {
    let runtime = runtime();
    let polls = AtomicUsize::new(0);
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel::<Waker>();
    let waking = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let waker = receiver.recv().unwrap();
            while !stop.load(Ordering::SeqCst) {
                waker.wake_by_ref();
                std::thread::yield_now();
            }
        }
    });
    let before = Instant::now();
    run(
        &runtime,
        counted(&polls, async {
            spawn(poll_fn(move |cx| {
                sender.send(cx.waker().clone()).unwrap();
                Poll::Ready(())
            }))
            .await
            .unwrap();
            sleep(Duration::from_millis(50)).await;
        }),
    );
    stop.store(true, Ordering::SeqCst);
    waking.join().unwrap();
    assert!(before.elapsed() >= Duration::from_millis(50));
    // Started, told that the task has ended, and woken by the deadline.
    let polls = polls.load(Ordering::SeqCst);
    assert!(polls <= 4, "{polls} polls");
}

#[test]
fn a_wake_from_an_earlier_drive_does_no_harm() {
    let runtime = runtime();
    let mut kept = None;
    run(
        &runtime,
        poll_fn(|cx| {
            kept = Some(cx.waker().clone());
            Poll::Ready(())
        }),
    );
    kept.unwrap().wake();
    let polls = AtomicUsize::new(0);
    run(
        &runtime,
        counted(&polls, async { sleep(Duration::from_millis(5)).await }),
    );
    assert!(polls.load(Ordering::SeqCst) <= 3);
}

/// Looks after a while, and gives up at the second look.
struct Looks<'a> {
    runtime: &'a Runtime,
    seen: &'a Cell<usize>,
}

impl<F> Interruptions<F> for Looks<'_> {
    type Error = &'static str;

    fn patience(&self) -> Option<Duration> {
        Some(Duration::from_millis(5))
    }

    fn look(&mut self, _future: Pin<&mut F>) -> Result<u64, Self::Error> {
        self.seen.set(self.seen.get() + 1);
        // A signal handler may use the client: a drive within the drive.
        let nested = run(self.runtime, async {
            sleep(Duration::from_millis(1)).await;
            spawn(async { 3 }).await.unwrap()
        });
        assert_eq!(nested, 3);
        match self.seen.get() {
            1 => Ok(0),
            _ => Err("given up"),
        }
    }
}

#[test]
fn an_interruption_ends_the_drive_and_may_drive_itself() {
    let runtime = runtime();
    let seen = Cell::new(0);
    let looks = Looks {
        runtime: &runtime,
        seen: &seen,
    };
    let given_up = drive(runtime.handle(), pending::<()>(), looks);
    assert_eq!(given_up, Err("given up"));
    assert_eq!(seen.get(), 2);
}

struct AfterSignal(Arc<AtomicUsize>);

impl<F> Interruptions<F> for AfterSignal {
    type Error = ();

    fn patience(&self) -> Option<Duration> {
        Some(Duration::from_secs(3600))
    }

    fn look(&mut self, _future: Pin<&mut F>) -> Result<u64, ()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(())
    }
}

extern "C" fn ignore(_signal: libc::c_int) {}

#[test]
fn a_signal_to_the_waiting_thread_is_looked_at() {
    // SAFETY: the handler does nothing; `action` is fully initialised and outlives the call.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()),
            0
        );
    }
    let runtime = runtime();
    let looks = Arc::new(AtomicUsize::new(0));
    // SAFETY: asks for the calling thread's own handle.
    let thread = unsafe { libc::pthread_self() };
    let done = Arc::new(AtomicBool::new(false));
    let signalling = std::thread::spawn({
        let done = done.clone();
        move || {
            while !done.load(Ordering::SeqCst) {
                // SAFETY: the thread is alive until `done` has been set and this one joined.
                unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let given_up = drive(
        runtime.handle(),
        pending::<()>(),
        AfterSignal(looks.clone()),
    );
    done.store(true, Ordering::SeqCst);
    signalling.join().unwrap();
    assert_eq!(given_up, Err(()));
    assert_eq!(looks.load(Ordering::SeqCst), 1);
}
