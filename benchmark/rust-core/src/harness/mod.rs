//! The bare driver as a client of `python -m benchmark`: the calls of `benchmark/harness/serving.py`.
//!
//! The data lives in `data`, operations in `work`, loops in `rounds`, figures in `tally` and `histogram`.

mod data;
mod histogram;
mod rounds;
mod tally;
mod work;

use std::sync::Arc;

use aerospike_core::{Client, ClientPolicy};
use serde_json::{json, Value as Json};
use tokio::runtime::{Builder, Runtime};

use crate::operations::{plain_map, plain_record};
use crate::{Answer, Fallible};
use rounds::Load;
use work::{Found, Operations, Work};

/// Connections that are enough for every caller there may be.
const LIFTED_CONNECTIONS: usize = 1_024;

/// Where to connect to, and how.
#[derive(Clone)]
pub struct Server {
    hosts: String,
    /// Whether time-outs and the limit of connections are lifted.
    lifted: bool,
}

impl Server {
    pub async fn connect(&self) -> Fallible<Client> {
        let mut policy = ClientPolicy::default();
        if self.lifted {
            policy.max_conns_per_node = LIFTED_CONNECTIONS;
        }
        Ok(Client::new(&policy, &self.hosts).await?)
    }
}

/// One thread or task.
pub struct Worker {
    client: Arc<Client>,
    operations: Operations,
}

/// A connected lane.
pub struct Lane {
    runtime: Runtime,
    client: Arc<Client>,
    workers: Vec<Arc<Worker>>,
    work: Work,
    server: Server,
    on_threads: bool,
}

impl Lane {
    pub fn connect(job: &Json, hosts: String, lifted: bool) -> Fallible<Self> {
        let server = Server { hosts, lifted };
        let work = Work::parse(&job["work"])?;
        let slots = job["concurrency"]
            .as_u64()
            .ok_or("the job has no concurrency")?;
        let on_threads = match job["lane"].as_str() {
            Some("sync") => true,
            Some("async") => false,
            _ => return Err("no such lane here".into()),
        };
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        let client = Arc::new(runtime.block_on(server.connect())?);
        let workers = (0..slots)
            .map(|slot| {
                let operations = Operations::prepare(&work, &server, slot, slots)?;
                Ok(Arc::new(Worker {
                    client: Arc::clone(&client),
                    operations,
                }))
            })
            .collect::<Fallible<Vec<_>>>()?;
        Ok(Self {
            runtime,
            client,
            workers,
            work,
            server,
            on_threads,
        })
    }

    /// The results of the first operations of the first thread or task.
    fn verify(&self, operations: u64) -> Fallible<Vec<Json>> {
        let first = Operations::prepare(&self.work, &self.server, 0, self.workers.len() as u64)?;
        self.runtime.block_on(async {
            let mut results = Vec::new();
            for _ in 0..operations {
                results.push(plain(&first.next(&self.client).await?));
            }
            Ok(results)
        })
    }
}

impl Answer for Lane {
    fn answer(&mut self, request: &Json) -> Fallible<Json> {
        match request["call"].as_str() {
            Some("hello") => Ok(crate::hello(if self.on_threads {
                "threads that block on one shared runtime"
            } else {
                "tasks on one shared runtime"
            })),
            Some("verify") => {
                let operations = request["operations"].as_u64().ok_or("how many?")?;
                Ok(json!({ "results": self.verify(operations)? }))
            }
            Some("round") => rounds::run(self, &Load::parse(request, self.workers.len() as u64)?),
            Some("end") => {
                self.runtime.block_on(self.client.close())?;
                Ok(json!({ "ended": true }))
            }
            _ => Err(format!("{} is no call of this protocol", request["call"]).into()),
        }
    }
}

/// A result as the JSON that says what kind every value is.
fn plain(found: &Found) -> Json {
    match found {
        Found::Written => Json::Null,
        Found::Missing => json!("nothing found"),
        Found::Record(record) => plain_record(record),
        Found::Batch(rows) => plain_map(rows.iter().filter_map(|row| {
            let name = row
                .batch_record()
                .key
                .user_key()
                .map(crate::operations::plain_value)?;
            Some((name, row.record().map_or(Json::Null, plain_record)))
        })),
    }
}
