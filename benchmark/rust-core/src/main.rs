//! The bare driver as a client of `make bench-lanes`: `aerospike-core` on its stock runtime shim, default policies.
//!
//! Speaks the protocol of `benchmark/lanes/serving.py` and follows the order of `benchmark/lanes/records.py`. What an
//! operation is lives in `operations`, closed loops and their figures in `rounds`, system calls for figures in `usage`.

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

const USAGE: &str = "usage: aerospike-lanes-core [--own-runtimes] JOB";

fn main() -> Fallible<()> {
    let mut own_runtimes = false;
    let mut job = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--own-runtimes" => own_runtimes = true,
            _ => job = Some(argument),
        }
    }
    let job: Json = serde_json::from_str(&job.ok_or(USAGE)?)?;
    let mut lane = match lane(&job, own_runtimes) {
        Ok(lane) => lane,
        Err(error) => {
            reply(&json!({ "error": error.to_string() }))?;
            return Err(error);
        }
    };
    for line in stdin().lines() {
        let request: Json = serde_json::from_str(&line?)?;
        match answer(&request, &mut lane) {
            Ok(answer) => reply(&answer)?,
            Err(error) => reply(&json!({ "error": error.to_string() }))?,
        }
        if request["call"] == "end" {
            break;
        }
    }
    Ok(())
}

fn lane(job: &Json, own_runtimes: bool) -> Fallible<Lane> {
    let hosts: Vec<String> = job["hosts"]
        .as_array()
        .ok_or("the job names no hosts")?
        .iter()
        .map(|pair| format!("{}:{}", pair[0].as_str().unwrap_or_default(), pair[1]))
        .collect();
    let mut server = Server {
        hosts: hosts.join(","),
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

fn answer(request: &Json, lane: &mut Lane) -> Fallible<Json> {
    match request["call"].as_str() {
        Some("hello") => Ok(json!({
            "client": "aerospike-core",
            "version": "3.0.0",
            "python": "", "build": "", "compiler": env!("CARGO_PKG_RUST_VERSION"),
            "free_threaded": true, "gil": false,
            "loop": lane.name(),
            "pid": std::process::id(),
        })),
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

fn reply(answer: &Json) -> Fallible<()> {
    let mut out = stdout().lock();
    writeln!(out, "{answer}")?;
    out.flush()?;
    Ok(())
}
