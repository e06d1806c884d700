//! The bare driver as a client of the benchmarks: `aerospike-core` on its stock runtime shim, default policies.
//!
//! For `make bench-lanes` it speaks the protocol of `benchmark/lanes/serving.py` and follows the order of
//! `benchmark/lanes/records.py`: what an operation is lives in `operations`, closed loops and their figures in `rounds`,
//! system calls for figures in `usage`. With `--harness` it does the same for `python -m benchmark`; that is `harness`.

mod harness;
mod operations;
mod rounds;
mod usage;

use std::error::Error;
use std::io::{stdin, stdout, Write};

use aerospike_core::ClientPolicy;
use serde_json::{json, Value as Json};

use operations::{plain, Kind};
use rounds::{Lane, Limit, Server};

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: aerospike-lanes-core [--own-runtimes] JOB, or --harness [--lifted] JOB";

/// Who answers the requests of the parent.
pub trait Answer {
    fn answer(&mut self, request: &Json) -> Fallible<Json>;
}

impl Answer for Lane {
    fn answer(&mut self, request: &Json) -> Fallible<Json> {
        answer(request, self)
    }
}

fn main() -> Fallible<()> {
    let (mut own_runtimes, mut for_harness, mut lifted) = (false, false, false);
    let mut job = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--own-runtimes" => own_runtimes = true,
            "--harness" => for_harness = true,
            "--lifted" => lifted = true,
            _ => job = Some(argument),
        }
    }
    let job: Json = serde_json::from_str(&job.ok_or(USAGE)?)?;
    let connected: Fallible<Box<dyn Answer>> = if for_harness {
        hosts(&job)
            .and_then(|hosts| harness::Lane::connect(&job, hosts, lifted))
            .map(|lane| Box::new(lane) as _)
    } else {
        lane(&job, own_runtimes).map(|lane| Box::new(lane) as _)
    };
    let mut lane = match connected {
        Ok(lane) => lane,
        Err(error) => {
            reply(&json!({ "error": error.to_string() }))?;
            return Err(error);
        }
    };
    for line in stdin().lines() {
        let request: Json = serde_json::from_str(&line?)?;
        match lane.answer(&request) {
            Ok(answer) => reply(&answer)?,
            Err(error) => reply(&json!({ "error": error.to_string() }))?,
        }
        if request["call"] == "end" {
            break;
        }
    }
    Ok(())
}

fn hosts(job: &Json) -> Fallible<String> {
    let hosts: Vec<String> = job["hosts"]
        .as_array()
        .ok_or("the job names no hosts")?
        .iter()
        .map(|pair| format!("{}:{}", pair[0].as_str().unwrap_or_default(), pair[1]))
        .collect();
    Ok(hosts.join(","))
}

fn lane(job: &Json, own_runtimes: bool) -> Fallible<Lane> {
    let mut server = Server {
        hosts: hosts(job)?,
        policy: ClientPolicy::default(),
    };
    if let Some(interval) = job["tend_interval_ms"].as_u64() {
        server.policy.tend_interval = u32::try_from(interval)?;
    }
    let kind = Kind::parse(job["kind"].as_str().unwrap_or_default())?;
    let workers = usize::try_from(
        job["concurrency"]
            .as_u64()
            .ok_or("the job has no concurrency")?,
    )?;
    match (job["lane"].as_str(), own_runtimes) {
        (Some("sync"), false) => Lane::threads(&server, kind, workers),
        (Some("sync"), true) => Lane::threads_with_runtimes(&server, kind, workers),
        (Some("async"), false) => Lane::tasks(&server, kind, workers),
        _ => Err("no such lane here".into()),
    }
}

/// Who answers.
pub fn hello(threads: &str) -> Json {
    json!({
        "client": "aerospike-core",
        "version": "3.0.0",
        "python": "", "build": "", "compiler": env!("CARGO_PKG_RUST_VERSION"),
        "free_threaded": true, "gil": false,
        "loop": threads,
        "pid": std::process::id(),
    })
}

fn answer(request: &Json, lane: &mut Lane) -> Fallible<Json> {
    match request["call"].as_str() {
        Some("hello") => Ok(hello(lane.name())),
        Some("verify") => {
            let operations = request["operations"].as_u64().ok_or("how many?")?;
            let results = lane.verify(operations)?;
            Ok(json!({ "results": results.iter().map(plain).collect::<Vec<_>>() }))
        }
        Some("round") => lane.round(Limit {
            seconds: request["seconds"].as_f64(),
            operations: request["operations"].as_u64(),
        }),
        Some("end") => {
            lane.close()?;
            Ok(json!({ "ended": true }))
        }
        _ => Err(format!("{} is no call of this protocol", request["call"]).into()),
    }
}

/// Writes one line to the parent.
pub fn reply(answer: &Json) -> Fallible<()> {
    let mut out = stdout().lock();
    writeln!(out, "{answer}")?;
    out.flush()?;
    Ok(())
}
