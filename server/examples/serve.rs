//! Starts an embedded cluster and keeps it until standard input ends or the process is interrupted.
//!
//! `cargo run -p aerospike-embedded --example serve -- --nodes 3 --port 3000 --fault 0:read:delay=5ms`
//!
//! Lines on standard input change it meanwhile: `down 1`, `up 1`, `move`, `fault all:read:delay=5ms`, `clear`, `stats`.

use std::error::Error;
use std::io::stdin;

use aerospike_embedded::{Cluster, CommandKind, Fault, NamespaceOptions, Options};

const USAGE: &str =
    "serve [--nodes N] [--port P] [--workers N] [--namespaces a,b] [--replication N] [--seed N] \
                     [--fault NODE|all:KIND:SPEC]...";

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = Options {
        port: 3000,
        ..Options::default()
    };
    let mut faults: Vec<(Option<usize>, CommandKind, Fault)> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
        match name.as_str() {
            "--nodes" => options.nodes = value.parse()?,
            "--port" => options.port = value.parse()?,
            "--workers" => options.worker_threads = value.parse()?,
            "--replication" => options.replication_factor = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            "--namespaces" => {
                let named = |name: &str| NamespaceOptions {
                    name: name.to_owned(),
                    ..NamespaceOptions::default()
                };
                options.namespaces = value.split(',').map(named).collect();
            }
            "--fault" => faults.push(parse_fault(&value)?),
            _ => return Err(format!("unknown option {name}\n{USAGE}").into()),
        }
    }
    let cluster = Cluster::start(options)?;
    for (node, kind, fault) in faults {
        cluster.set_fault(node, kind, fault)?;
    }
    for (name, address) in cluster.node_names().iter().zip(cluster.addresses()) {
        println!("{name} {address}");
    }
    for line in stdin().lines() {
        if let Err(error) = obey(&cluster, &line?) {
            eprintln!("{error}");
        }
    }
    Ok(())
}

fn obey(cluster: &Cluster, line: &str) -> Result<(), Box<dyn Error>> {
    match line.trim().split_once(' ').unwrap_or((line.trim(), "")) {
        ("down", node) => cluster.node_down(node.parse()?)?,
        ("up", node) => cluster.node_up(node.parse()?)?,
        ("move", "") => cluster.move_partitions(),
        ("fault", spec) => {
            let (node, kind, fault) = parse_fault(spec)?;
            cluster.set_fault(node, kind, fault)?;
        }
        ("clear", "") => cluster.clear_faults(),
        ("stats", "") => (0..cluster.addresses().len())
            .for_each(|node| println!("{node}: {:?}", cluster.stats(node))),
        ("", "") => {}
        _ => return Err("unknown line: use down N, up N, move, fault SPEC, clear or stats".into()),
    }
    Ok(())
}

fn parse_fault(text: &str) -> Result<(Option<usize>, CommandKind, Fault), Box<dyn Error>> {
    let mut parts = text.splitn(3, ':');
    let (Some(node), Some(kind), Some(spec)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!(
            "{text:?} is no fault: give node (or all), kind and spec, such as 0:read:delay=5ms"
        )
        .into());
    };
    let node = match node {
        "all" => None,
        number => Some(number.parse()?),
    };
    Ok((node, kind.parse()?, spec.parse()?))
}
