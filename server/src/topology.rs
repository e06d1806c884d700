//! Who owns which partition, and the generations that tell clients to ask again.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;

use crate::wire::PARTITIONS;

/// The state of the cluster that its nodes agree on.
#[derive(Debug)]
pub(crate) struct Topology {
    up: Vec<bool>,
    replication_factor: usize,
    rotation: usize,
    partition_generation: u64,
    peers_generation: u64,
}

impl Topology {
    pub(crate) fn new(nodes: usize, replication_factor: usize) -> Self {
        Topology {
            up: vec![true; nodes],
            replication_factor,
            rotation: 0,
            partition_generation: 1,
            peers_generation: 1,
        }
    }

    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.up.get(node).copied().unwrap_or(false)
    }

    /// Takes a node out of the cluster or back into it; the others own its partitions meanwhile.
    pub(crate) fn set_up(&mut self, node: usize, up: bool) {
        if let Some(state) = self.up.get_mut(node) {
            if *state != up {
                *state = up;
                self.partition_generation += 1;
                self.peers_generation += 1;
            }
        }
    }

    /// Hands every partition to the next node.
    pub(crate) fn rotate(&mut self) {
        self.rotation += 1;
        self.partition_generation += 1;
    }

    pub(crate) fn partition_generation(&self) -> u64 {
        self.partition_generation
    }

    pub(crate) fn peers_generation(&self) -> u64 {
        self.peers_generation
    }

    /// Nodes that are up.
    pub(crate) fn members(&self) -> Vec<usize> {
        (0..self.up.len()).filter(|&node| self.up[node]).collect()
    }

    /// Copies each partition has now.
    pub(crate) fn replicas(&self) -> usize {
        self.replication_factor
            .clamp(1, self.members().len().max(1))
    }

    /// Which copy of each partition a node holds: zero is the master's; none if it holds none.
    pub(crate) fn holdings(&self, node: usize) -> Vec<Option<usize>> {
        let members = self.members();
        let replicas = self.replicas();
        let Some(place) = members.iter().position(|&member| member == node) else {
            return vec![None; PARTITIONS];
        };
        let count = members.len();
        (0..PARTITIONS)
            .map(|partition| {
                let master = (partition + self.rotation) % count;
                let copy = (place + count - master) % count;
                (copy < replicas).then_some(copy)
            })
            .collect()
    }

    /// A node's partitions as clients read them: one base64 bitmap for each copy.
    pub(crate) fn bitmaps(&self, node: usize) -> Vec<String> {
        let holdings = self.holdings(node);
        (0..self.replicas())
            .map(|copy| {
                let mut bits = [0u8; PARTITIONS / 8];
                for (partition, held) in holdings.iter().enumerate() {
                    if *held == Some(copy) {
                        bits[partition / 8] |= 0x80 >> (partition % 8);
                    }
                }
                STANDARD.encode(bits)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For every partition: which node holds which copy.
    fn owners(topology: &Topology, nodes: usize) -> Vec<Vec<(usize, usize)>> {
        let holdings: Vec<_> = (0..nodes).map(|node| topology.holdings(node)).collect();
        (0..PARTITIONS)
            .map(|partition| {
                let mut held: Vec<(usize, usize)> = (0..nodes)
                    .filter_map(|node| holdings[node][partition].map(|copy| (copy, node)))
                    .collect();
                held.sort_unstable();
                held
            })
            .collect()
    }

    #[test]
    fn every_partition_has_each_copy_exactly_once() {
        for nodes in 1..=5 {
            for factor in 1..=6 {
                let topology = Topology::new(nodes, factor);
                for held in owners(&topology, nodes) {
                    let copies: Vec<usize> = held.iter().map(|&(copy, _)| copy).collect();
                    let expected: Vec<usize> = (0..factor.min(nodes)).collect();
                    assert_eq!(copies, expected, "{nodes} nodes, factor {factor}");
                }
            }
        }
    }

    #[test]
    fn a_node_that_goes_down_hands_over_and_gets_back_what_it_had() {
        let mut topology = Topology::new(3, 2);
        let before = owners(&topology, 3);
        topology.set_up(1, false);
        let during = owners(&topology, 3);
        assert!(during.iter().all(|held| held.len() == 2));
        assert!(during.iter().flatten().all(|&(_, node)| node != 1));
        topology.set_up(1, true);
        assert_eq!(owners(&topology, 3), before);
        assert_eq!(
            (topology.partition_generation(), topology.peers_generation()),
            (3, 3)
        );
    }

    #[test]
    fn rotation_moves_every_master() {
        let mut topology = Topology::new(3, 1);
        let before = owners(&topology, 3);
        topology.rotate();
        let after = owners(&topology, 3);
        assert!(before
            .iter()
            .zip(&after)
            .all(|(old, new)| old[0].1 != new[0].1));
        assert_eq!(
            (topology.partition_generation(), topology.peers_generation()),
            (2, 1)
        );
    }

    #[test]
    fn bitmaps_set_the_bit_of_each_partition_held() {
        let topology = Topology::new(1, 2);
        assert_eq!(topology.bitmaps(0), [STANDARD.encode([0xFF; 512])]);
        let topology = Topology::new(2, 1);
        assert_eq!(topology.bitmaps(0), [STANDARD.encode([0xAA; 512])]);
        assert_eq!(topology.bitmaps(1), [STANDARD.encode([0x55; 512])]);
    }
}
