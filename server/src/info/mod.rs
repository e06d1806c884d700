//! The text protocol: requests by name, one per line, answered as `name<TAB>value` lines.

mod stats;
mod topology;
mod truncate;

use crate::server::Server;

/// The server version reported to clients.
const BUILD: &str = "8.1.0.0";

/// What this server can do, in the terms clients look for.
const FEATURES: &str = "batch-any;batch-index;blob-bits;cluster-stable;float;peers;pipelining;pquery;pscans;\
                        query-show;relaxed-sc;replicas;replicas-all;replicas-master;replicas-max;truncate-namespace";

/// Most requests in one frame.
const MAX_REQUESTS: usize = 1000;

/// Whether a frame holds more requests than any client has use for: short requests may have long answers.
pub(crate) fn asks_too_much(body: &[u8]) -> bool {
    let lines = body.split(|&byte| byte == b'\n');
    lines.filter(|line| !line.is_empty()).count() > MAX_REQUESTS
}

/// Appends the answers to every request in `body`; an empty body asks for nothing and gets nothing.
pub(crate) fn respond(server: &Server, node: usize, body: &[u8], out: &mut Vec<u8>) {
    for_each_request(body, |request| {
        let value = answer(server, node, request);
        put_line(out, request, &value);
    });
}

/// Appends an error answer to every request in `body`.
pub(crate) fn refuse(body: &[u8], result: u8, out: &mut Vec<u8>) {
    let value = format!("ERROR:{result}:refused on demand");
    for_each_request(body, |request| put_line(out, request, &value));
}

fn for_each_request(body: &[u8], mut each: impl FnMut(&str)) {
    let lines = body.split(|&byte| byte == b'\n');
    for line in lines.filter(|line| !line.is_empty()) {
        each(&String::from_utf8_lossy(line));
    }
}

fn put_line(out: &mut Vec<u8>, request: &str, value: &str) {
    out.extend_from_slice(request.as_bytes());
    out.push(b'\t');
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// The value of one request.
fn answer(server: &Server, node: usize, request: &str) -> String {
    let (name, parameters) = match request.split_once([':', '/']) {
        Some((name, parameters)) => (name, Parameters(parameters)),
        None => (request, Parameters("")),
    };
    match name {
        "node" => server.nodes[node].name.clone(),
        "build" | "release" => BUILD.to_owned(),
        "edition" => "Aerospike Community Edition".to_owned(),
        "version" => format!("Aerospike Community Edition build {BUILD}"),
        "build_os" => std::env::consts::OS.to_owned(),
        "features" => FEATURES.to_owned(),
        "status" => "ok".to_owned(),
        "cluster-name" => server
            .options
            .cluster_name
            .clone()
            .unwrap_or_else(|| "null".to_owned()),
        // Truly empty: nothing is unhealthy, indexed, registered or running.
        "health-outliers" | "health-stats" | "sindex-list" | "udf-list" | "query-show" => {
            String::new()
        }
        "best-practices" => "failed_best_practices=none".to_owned(),
        "user-agent-set" => "ok".to_owned(),
        "sindex-create"
        | "sindex-delete"
        | "sindex-exists"
        | "sindex-stat"
        | "udf-put"
        | "udf-remove"
        | "truncate-undo"
        | "truncate-namespace-undo" => "ERROR:16:not supported by this server".to_owned(),
        "get-config" => stats::config(server, &parameters),
        "namespaces" => stats::namespaces(server),
        "namespace" => stats::namespace(server, node, parameters.0),
        "sets" => stats::sets(server, parameters.0),
        "statistics" => stats::statistics(server, node),
        "truncate" | "truncate-namespace" => truncate::truncate(server, name, &parameters),
        _ => topology::answer(server, node, name, &parameters)
            .unwrap_or_else(|| "ERROR:4:unrecognized command".to_owned()),
    }
}

/// `key=value` pairs separated by semicolons.
struct Parameters<'a>(&'a str);

impl<'a> Parameters<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0
            .split(';')
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }
}

/// The answer to a request about a namespace that does not exist.
fn unknown_namespace() -> String {
    "ERROR:20:unknown namespace".to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::options::Options;

    fn server(nodes: u16) -> Server {
        let addresses: Vec<_> = (0..nodes)
            .map(|node| format!("127.0.0.1:{}", 3000 + node).parse().unwrap())
            .collect();
        Server::new(Options::default(), &addresses)
    }

    #[test]
    fn several_requests_are_answered_in_order() {
        let mut out = Vec::new();
        respond(
            &server(1),
            0,
            b"build\npartition-generation\nno-such-thing\n",
            &mut out,
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "build\t8.1.0.0\npartition-generation\t1\nno-such-thing\tERROR:4:unrecognized command\n"
        );
    }

    #[test]
    fn peers_are_the_other_nodes_that_are_up() {
        let server = server(3);
        assert_eq!(
            answer(&server, 0, "peers-clear-std"),
            "1,3000,[[BB9020000000002,,[127.0.0.1:3001]],[BB9020000000003,,[127.0.0.1:3002]]]"
        );
        server.topology.write().set_up(1, false);
        assert_eq!(
            answer(&server, 0, "peers-clear-std"),
            "2,3000,[[BB9020000000003,,[127.0.0.1:3002]]]"
        );
        assert_eq!(answer(&server, 2, "services"), "127.0.0.1:3000");
    }

    #[test]
    fn replicas_name_every_namespace_with_one_bitmap_per_copy() {
        let text = answer(&server(3), 0, "replicas");
        let (namespace, rest) = text.split_once(':').unwrap();
        let parts: Vec<&str> = rest.split(',').collect();
        assert_eq!(
            (namespace, parts[0], parts[1], parts.len()),
            ("test", "0", "2", 4)
        );
        assert_eq!(parts[2].len(), 684);
    }

    #[test]
    fn wrong_namespaces_get_an_error() {
        let server = server(1);
        for request in [
            "namespace/nope",
            "sets/nope",
            "truncate:namespace=nope",
            "get-config:context=namespace;id=nope",
        ] {
            assert!(
                answer(&server, 0, request).starts_with("ERROR:"),
                "{request}"
            );
        }
    }
}
