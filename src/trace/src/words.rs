//! Words for the small numbers of the recorder, looked up once per batch and not once per row.

use aerospike_stages::target::{Place, Set};
use aerospike_stages::{NodeId, Target};

/// Names of nodes and targets that have been asked for, each at the place of its number.
#[derive(Default)]
pub struct Words {
    nodes: Vec<Option<Node>>,
    places: Vec<Option<Place>>,
}

/// The element at a place; there are as many as it takes.
fn at<T>(all: &mut Vec<Option<T>>, place: usize) -> &mut Option<T> {
    if all.len() <= place {
        all.resize_with(place + 1, || None);
    }
    &mut all[place]
}

/// A node's address and its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `host:port`.
    pub address: String,
    /// The host alone.
    pub host: String,
    /// The port, if the address has one.
    pub port: Option<u16>,
}

impl Node {
    fn of(address: String) -> Node {
        let parts = address.rsplit_once(':');
        let port = parts.and_then(|(_, port)| port.parse().ok());
        let host = match (parts, port) {
            (Some((host, _)), Some(_)) => host.trim_matches(['[', ']']).to_owned(),
            _ => address.clone(),
        };
        Node {
            address,
            host,
            port,
        }
    }
}

impl Words {
    /// A node, unless it is none.
    pub fn node(&mut self, node: NodeId) -> Option<&Node> {
        if node == NodeId::NONE {
            return None;
        }
        let known = at(&mut self.nodes, node.index());
        Some(known.get_or_insert_with(|| Node::of(node.name())))
    }

    /// The namespace of a target, and its set if there is exactly one.
    pub fn place(&mut self, target: Target) -> (Option<&str>, Option<&str>) {
        if target == Target::NONE || target == Target::OVERFLOW {
            return (None, None);
        }
        let known = at(&mut self.places, usize::from(target.index()));
        if known.is_none() {
            *known = target.place();
        }
        let Some(place) = known else {
            return (None, None);
        };
        let namespace = Some(place.namespace.as_str()).filter(|name| !name.is_empty());
        match &place.set {
            Set::One(set) => (namespace, Some(set)),
            Set::None | Set::Several => (namespace, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let parts = |address: &str| {
            let node = Node::of(address.to_owned());
            (node.host, node.port)
        };
        assert_eq!(parts("10.0.0.1:3000"), ("10.0.0.1".to_owned(), Some(3000)));
        assert_eq!(parts("[::1]:3000"), ("::1".to_owned(), Some(3000)));
        assert_eq!(parts("other"), ("other".to_owned(), None));
    }

    #[test]
    fn nothing_has_no_words() {
        let mut words = Words::default();
        assert_eq!(words.node(NodeId::NONE), None);
        assert_eq!(words.place(Target::NONE), (None, None));
        let target = Target::of("words-test", "users");
        assert_eq!(words.place(target), (Some("words-test"), Some("users")));
        let several = Target::of_several("words-test");
        assert_eq!(words.place(several), (Some("words-test"), None));
    }
}
