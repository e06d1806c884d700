//! Weighted stacks, merged into a tree, and the folded text form of it.

use std::collections::HashMap;
use std::fmt;

use crate::frame::clean;

/// Stacks of frames with the nanoseconds spent in each; equal stacks are merged.
///
/// Siblings keep the order in which they were first added, so stages that are added as they happen are drawn as they
/// happen. Frame names are kept clean: `;`, line breaks and control characters are replaced, and `node 3` becomes
/// `node_3`, because a trailing number is a weight in folded text.
#[derive(Debug, Clone)]
pub struct Folded {
    /// The first node is the root: it has no name and no weight.
    nodes: Vec<Node>,
    /// Finds a child by its parent and its name.
    children: HashMap<(usize, String), usize>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    name: String,
    /// Spent in this very stack, not in stacks that continue it.
    own_ns: u64,
    children: Vec<usize>,
}

const ROOT: usize = 0;

impl Default for Folded {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            children: HashMap::new(),
        }
    }
}

impl PartialEq for Folded {
    fn eq(&self, other: &Self) -> bool {
        self.stacks() == other.stacks()
    }
}

impl Eq for Folded {}

impl Folded {
    /// No stacks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds time to the stack that these frames form, outermost first. No time adds no stack; sums saturate.
    pub fn add<'a>(&mut self, frames: impl IntoIterator<Item = &'a str>, weight_ns: u64) {
        if weight_ns == 0 {
            return;
        }
        let mut frames = frames.into_iter().peekable();
        let mut at = ROOT;
        if frames.peek().is_none() {
            at = self.child(at, "");
        }
        for frame in frames {
            at = self.child(at, frame);
        }
        let own_ns = &mut self.nodes[at].own_ns;
        *own_ns = own_ns.saturating_add(weight_ns);
    }

    /// Adds all stacks of another set to this one.
    pub fn merge(&mut self, other: &Folded) {
        for (frames, weight_ns) in other.stacks() {
            self.add(frames, weight_ns);
        }
    }

    /// Whether there is nothing to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// The time of all stacks together.
    #[must_use]
    pub fn total_ns(&self) -> u64 {
        self.nodes
            .iter()
            .fold(0, |total, node| total.saturating_add(node.own_ns))
    }

    /// Every stack that has time of its own: its frames, outermost first, and that time.
    #[must_use]
    pub fn stacks(&self) -> Vec<(Vec<&str>, u64)> {
        let mut stacks = Vec::new();
        let mut path: Vec<&str> = Vec::new();
        let mut pending: Vec<(usize, usize)> = self.pending_children(ROOT, 0);
        while let Some((at, depth)) = pending.pop() {
            let node = &self.nodes[at];
            path.truncate(depth);
            path.push(&node.name);
            if node.own_ns > 0 {
                stacks.push((path.clone(), node.own_ns));
            }
            pending.extend(self.pending_children(at, depth + 1));
        }
        stacks
    }

    /// The time of exactly this stack.
    #[must_use]
    pub fn own_ns<'a>(&self, frames: impl IntoIterator<Item = &'a str>) -> u64 {
        let mut at = ROOT;
        for frame in frames {
            match self.children.get(&(at, clean(frame).into_owned())) {
                Some(&child) => at = child,
                None => return 0,
            }
        }
        self.nodes[at].own_ns
    }

    /// One line per stack: its frames joined with `;`, a blank, its nanoseconds. Flamegraph tools read this.
    #[must_use]
    pub fn to_folded_text(&self) -> String {
        let mut text = String::new();
        for (frames, weight_ns) in self.stacks() {
            text.push_str(&frames.join(";"));
            text.push(' ');
            text.push_str(&weight_ns.to_string());
            text.push('\n');
        }
        text
    }

    /// Reads folded text. Empty lines and lines that start with `# ` are skipped.
    ///
    /// # Errors
    ///
    /// The first line that is not a stack with whole nanoseconds, by number.
    pub fn from_folded_text(text: &str) -> Result<Self, FoldedTextError> {
        let mut folded = Self::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with("# ") {
                continue;
            }
            let error = |problem| FoldedTextError {
                line: index + 1,
                problem,
            };
            let (stack, weight) = line
                .rsplit_once(' ')
                .ok_or_else(|| error(FoldedTextProblem::NoWeight))?;
            let weight_ns = weight
                .parse::<u64>()
                .map_err(|_| error(FoldedTextProblem::BadWeight(weight.to_owned())))?;
            if stack.split(';').any(|frame| frame.trim().is_empty()) {
                return Err(error(FoldedTextProblem::EmptyFrame));
            }
            folded.add(stack.split(';'), weight_ns);
        }
        Ok(folded)
    }

    fn child(&mut self, parent: usize, frame: &str) -> usize {
        let name = clean(frame).into_owned();
        let next = self.nodes.len();
        let child = *self.children.entry((parent, name.clone())).or_insert(next);
        if child == next {
            self.nodes.push(Node {
                name,
                ..Node::default()
            });
            self.nodes[parent].children.push(next);
        }
        child
    }

    /// The children of a node in the order in which a stack has to hold them to visit the first one first.
    fn pending_children(&self, parent: usize, depth: usize) -> Vec<(usize, usize)> {
        self.nodes[parent]
            .children
            .iter()
            .rev()
            .map(|&child| (child, depth))
            .collect()
    }
}

/// A line of folded text that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedTextError {
    /// The line's number, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: FoldedTextProblem,
}

/// What can be wrong with a line of folded text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoldedTextProblem {
    /// There is no blank, hence no weight after it.
    NoWeight,
    /// What follows the last blank is not a whole number of nanoseconds.
    BadWeight(String),
    /// Two `;` with nothing between them, or one at an end.
    EmptyFrame,
}

impl fmt::Display for FoldedTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.problem {
            FoldedTextProblem::NoWeight => {
                f.write_str("no weight; expected frames joined with `;`, a blank, nanoseconds")
            }
            FoldedTextProblem::BadWeight(weight) => {
                write!(f, "`{weight}` is not a whole number of nanoseconds")
            }
            FoldedTextProblem::EmptyFrame => f.write_str("a frame without a name"),
        }
    }
}

impl std::error::Error for FoldedTextError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_stacks_merge_and_siblings_stay_in_order() {
        let mut folded = Folded::new();
        folded.add(["get", "to_dict"], 5);
        folded.add(["get", "encode"], 1);
        folded.add(["get", "to_dict"], 2);
        folded.add(["get"], 3);
        assert_eq!(
            folded.to_folded_text(),
            "get 3\nget;to_dict 7\nget;encode 1\n"
        );
        assert_eq!(folded.total_ns(), 11);
        assert_eq!(folded.own_ns(["get", "to_dict"]), 7);
        assert_eq!(folded.own_ns(["put"]), 0);
    }

    #[test]
    fn frames_of_one_parent_stay_together_whatever_their_names() {
        let mut folded = Folded::new();
        folded.add(["a", "x"], 1);
        folded.add(["a b", "y"], 1);
        folded.add(["a"], 1);
        assert_eq!(folded.to_folded_text(), "a 1\na;x 1\na b;y 1\n");
    }

    #[test]
    fn no_time_is_no_stack_and_no_frame_is_a_stack_without_a_name() {
        let mut folded = Folded::new();
        folded.add(["get"], 0);
        assert!(folded.is_empty());
        folded.add([], 4);
        assert_eq!(folded.to_folded_text(), "(unnamed) 4\n");
    }

    #[test]
    fn sums_saturate() {
        let mut folded = Folded::new();
        folded.add(["get"], u64::MAX);
        folded.add(["get"], 1);
        folded.add(["put"], 1);
        assert_eq!(folded.own_ns(["get"]), u64::MAX);
        assert_eq!(folded.total_ns(), u64::MAX);
    }

    #[test]
    fn merging_adds_stack_by_stack() {
        let mut one = Folded::new();
        one.add(["get", "encode"], 1);
        let mut two = Folded::new();
        two.add(["put"], 2);
        two.add(["get", "encode"], 3);
        one.merge(&two);
        assert_eq!(one.to_folded_text(), "get;encode 4\nput 2\n");
    }

    #[test]
    fn comments_and_empty_lines_are_skipped() {
        let folded = Folded::from_folded_text("# from a test\n\nget;encode 4\r\n  put 1  \n");
        assert_eq!(
            folded.map(|f| f.to_folded_text()),
            Ok("get;encode 4\nput 1\n".to_owned())
        );
    }

    #[test]
    fn unreadable_lines_are_named() {
        for (text, message) in [
            (
                "get 1\nput",
                "line 2: no weight; expected frames joined with `;`, a blank, nanoseconds",
            ),
            (
                "get 1.5",
                "line 1: `1.5` is not a whole number of nanoseconds",
            ),
            (
                "get -1",
                "line 1: `-1` is not a whole number of nanoseconds",
            ),
            ("\nget;;encode 1", "line 2: a frame without a name"),
            ("get; 1", "line 1: a frame without a name"),
        ] {
            let error = Folded::from_folded_text(text).expect_err(text);
            assert_eq!(error.to_string(), message);
        }
    }
}
