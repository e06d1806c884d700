//! A client of a few lines that speaks the protocol byte by byte, so that tests owe nothing to the code under test.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use aerospike_embedded::{Cluster, Options};

pub const READ: u8 = 1;
pub const GET_ALL: u8 = 2;
pub const NO_BIN_DATA: u8 = 0x20;
pub const COMPRESS: u8 = 0x80;
pub const WRITE: u8 = 1;
pub const DELETE: u8 = 2;
pub const GENERATION: u8 = 4;
pub const GENERATION_GT: u8 = 8;
pub const DURABLE: u8 = 0x10;
pub const CREATE_ONLY: u8 = 0x20;
pub const RESPOND_ALL: u8 = 0x80;
pub const LAST: u8 = 1;
pub const PARTITION_DONE: u8 = 4;
pub const UPDATE_ONLY: u8 = 8;
pub const CREATE_OR_REPLACE: u8 = 0x10;
pub const REPLACE_ONLY: u8 = 0x20;

pub const INTEGER: u8 = 1;
pub const FLOAT: u8 = 2;
pub const STRING: u8 = 3;

pub const OP_READ: u8 = 1;
pub const OP_WRITE: u8 = 2;
pub const OP_INCR: u8 = 5;
pub const OP_APPEND: u8 = 9;
pub const OP_PREPEND: u8 = 10;
pub const OP_TOUCH: u8 = 11;
pub const OP_DELETE_ALL: u8 = 14;

pub const EPOCH: u64 = 1_262_304_000;

pub fn one_node() -> Cluster {
    nodes(1)
}

pub fn nodes(nodes: usize) -> Cluster {
    Cluster::start(Options {
        nodes,
        ..Options::default()
    })
    .unwrap()
}

/// The digest of record number `n`, in partition `n % 4096`.
pub fn digest(n: u32) -> [u8; 20] {
    let mut digest = [0u8; 20];
    digest[..2].copy_from_slice(&((n % 4096) as u16).to_le_bytes());
    digest[4..8].copy_from_slice(&n.to_be_bytes());
    digest[8..16].copy_from_slice(
        &u64::from(n)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .to_be_bytes(),
    );
    digest
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    pub op: u8,
    pub kind: u8,
    pub name: String,
    pub value: Vec<u8>,
}

impl Op {
    pub fn new(op: u8, kind: u8, name: &str, value: &[u8]) -> Op {
        Op {
            op,
            kind,
            name: name.to_owned(),
            value: value.to_vec(),
        }
    }

    pub fn read(name: &str) -> Op {
        Op::new(OP_READ, 0, name, &[])
    }

    pub fn int(op: u8, name: &str, value: i64) -> Op {
        Op::new(op, INTEGER, name, &value.to_be_bytes())
    }

    pub fn text(op: u8, name: &str, value: &str) -> Op {
        Op::new(op, STRING, name, value.as_bytes())
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&((4 + self.name.len() + self.value.len()) as u32).to_be_bytes());
        out.extend_from_slice(&[self.op, self.kind, 0, self.name.len() as u8]);
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&self.value);
    }
}

pub fn encode_field(kind: u8, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&((value.len() + 1) as u32).to_be_bytes());
    out.push(kind);
    out.extend_from_slice(value);
}

#[derive(Debug, Clone, Default)]
pub struct Command {
    pub info1: u8,
    pub info2: u8,
    pub info3: u8,
    pub generation: u32,
    pub ttl: u32,
    pub fields: Vec<(u8, Vec<u8>)>,
    pub ops: Vec<Op>,
}

impl Command {
    pub fn on(n: u32) -> Command {
        Command::default()
            .field(0, b"test")
            .field(1, b"demo")
            .field(4, &digest(n))
    }

    pub fn get(n: u32) -> Command {
        let mut command = Command::on(n);
        command.info1 = READ | GET_ALL;
        command
    }

    pub fn write(n: u32, ops: &[Op]) -> Command {
        let mut command = Command::on(n).ops(ops);
        command.info2 = WRITE;
        command
    }

    pub fn put(n: u32, value: i64) -> Command {
        Command::write(n, &[Op::int(OP_WRITE, "a", value)])
    }

    pub fn delete(n: u32) -> Command {
        let mut command = Command::on(n);
        command.info2 = WRITE | DELETE;
        command
    }

    pub fn scan() -> Command {
        let mut command = Command::default().field(0, b"test");
        command.info1 = READ;
        command.info3 = PARTITION_DONE;
        command
    }

    pub fn field(mut self, kind: u8, value: &[u8]) -> Command {
        self.fields.push((kind, value.to_vec()));
        self
    }

    pub fn ops(mut self, ops: &[Op]) -> Command {
        self.ops.extend_from_slice(ops);
        self
    }

    pub fn info1(mut self, bits: u8) -> Command {
        self.info1 |= bits;
        self
    }

    pub fn info2(mut self, bits: u8) -> Command {
        self.info2 |= bits;
        self
    }

    pub fn info3(mut self, bits: u8) -> Command {
        self.info3 |= bits;
        self
    }

    pub fn generation(mut self, generation: u32) -> Command {
        self.generation = generation;
        self
    }

    pub fn ttl(mut self, ttl: u32) -> Command {
        self.ttl = ttl;
        self
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut body = vec![22, self.info1, self.info2, self.info3, 0, 0];
        body.extend_from_slice(&self.generation.to_be_bytes());
        body.extend_from_slice(&self.ttl.to_be_bytes());
        body.extend_from_slice(&1000u32.to_be_bytes());
        body.extend_from_slice(&(self.fields.len() as u16).to_be_bytes());
        body.extend_from_slice(&(self.ops.len() as u16).to_be_bytes());
        for (kind, value) in &self.fields {
            encode_field(*kind, value, &mut body);
        }
        for op in &self.ops {
            op.encode(&mut body);
        }
        frame(3, &body)
    }
}

/// A frame of the given type.
pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u64).to_be_bytes().to_vec();
    out[0] = 2;
    out[1] = kind;
    out.extend_from_slice(body);
    out
}

/// One row of a batch: attributes are written only if they are given.
pub struct Row {
    pub digest: [u8; 20],
    pub attributes: Option<Attributes>,
}

#[derive(Default, Clone)]
pub struct Attributes {
    pub info1: u8,
    pub info2: u8,
    pub info3: u8,
    pub generation: Option<u16>,
    pub ttl: Option<u32>,
    /// The older form has one byte of flags only.
    pub legacy: bool,
    pub fields: Vec<(u8, Vec<u8>)>,
    pub ops: Vec<Op>,
}

impl Attributes {
    pub fn new(info1: u8, info2: u8) -> Attributes {
        Attributes {
            info1,
            info2,
            fields: vec![(0, b"test".to_vec()), (1, b"demo".to_vec())],
            ..Attributes::default()
        }
    }

    pub fn read_all() -> Attributes {
        Attributes::new(READ | GET_ALL, 0)
    }

    pub fn write(ops: &[Op]) -> Attributes {
        Attributes {
            ops: ops.to_vec(),
            ..Attributes::new(0, WRITE | RESPOND_ALL)
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let generation = if self.generation.is_some() { 4 } else { 0 };
        let ttl = if self.ttl.is_some() { 8 } else { 0 };
        if self.legacy {
            out.extend_from_slice(&[0, self.info1]);
        } else {
            out.extend_from_slice(&[2 | generation | ttl, self.info1, self.info2, self.info3]);
        }
        if let Some(generation) = self.generation {
            out.extend_from_slice(&generation.to_be_bytes());
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(&ttl.to_be_bytes());
        }
        out.extend_from_slice(&(self.fields.len() as u16).to_be_bytes());
        out.extend_from_slice(&(self.ops.len() as u16).to_be_bytes());
        for (kind, value) in &self.fields {
            encode_field(*kind, value, out);
        }
        for op in &self.ops {
            op.encode(out);
        }
    }
}

pub fn row(n: u32, attributes: Attributes) -> Row {
    Row {
        digest: digest(n),
        attributes: Some(attributes),
    }
}

/// A row with the attributes of the row before it.
pub fn repeat(n: u32) -> Row {
    Row {
        digest: digest(n),
        attributes: None,
    }
}

pub const RESPOND_ALL_KEYS: u8 = 4;

pub fn batch(flags: u8, rows: &[Row]) -> Command {
    let mut value = (rows.len() as u32).to_be_bytes().to_vec();
    value.push(flags);
    for (index, row) in rows.iter().enumerate() {
        value.extend_from_slice(&(index as u32).to_be_bytes());
        value.extend_from_slice(&row.digest);
        match &row.attributes {
            Some(attributes) => attributes.encode(&mut value),
            None => value.push(1),
        }
    }
    let mut command = Command::default().field(41, &value);
    command.info1 = 8;
    command
}

#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub info3: u8,
    pub result: u8,
    pub generation: u32,
    pub void_time: u32,
    pub index: u32,
    pub fields: Vec<(u8, Vec<u8>)>,
    pub ops: Vec<Op>,
}

impl Reply {
    fn parse(rest: &mut &[u8]) -> Reply {
        let u32_at =
            |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let (header, mut after) = rest.split_at(22);
        assert_eq!(header[0], 22);
        let mut reply = Reply {
            info3: header[3],
            result: header[5],
            generation: u32_at(header, 6),
            void_time: u32_at(header, 10),
            index: u32_at(header, 14),
            ..Reply::default()
        };
        for _ in 0..u16::from_be_bytes([header[18], header[19]]) {
            let size = u32_at(after, 0) as usize;
            reply.fields.push((after[4], after[5..4 + size].to_vec()));
            after = &after[4 + size..];
        }
        for _ in 0..u16::from_be_bytes([header[20], header[21]]) {
            let size = u32_at(after, 0) as usize;
            let body = &after[4..4 + size];
            let name_end = 4 + usize::from(body[3]);
            reply.ops.push(Op {
                op: body[0],
                kind: body[1],
                name: String::from_utf8(body[4..name_end].to_vec()).unwrap(),
                value: body[name_end..].to_vec(),
            });
            after = &after[4 + size..];
        }
        *rest = after;
        reply
    }

    pub fn is_last(&self) -> bool {
        self.info3 & LAST != 0
    }

    pub fn names(&self) -> Vec<&str> {
        self.ops.iter().map(|op| op.name.as_str()).collect()
    }

    pub fn field(&self, kind: u8) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|(known, _)| *known == kind)
            .map(|(_, value)| value.as_slice())
    }

    pub fn value(&self, name: &str) -> &[u8] {
        &self
            .ops
            .iter()
            .find(|op| op.name == name)
            .expect("bin")
            .value
    }

    pub fn int(&self, name: &str) -> i64 {
        i64::from_be_bytes(self.value(name).try_into().unwrap())
    }

    pub fn text(&self, name: &str) -> &str {
        std::str::from_utf8(self.value(name)).unwrap()
    }
}

pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).unwrap()
    }

    pub fn try_connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Client { stream })
    }

    pub fn to(cluster: &Cluster) -> Client {
        Client::connect(cluster.addresses()[0])
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0u8; 8];
        self.stream.read_exact(&mut header)?;
        assert_eq!(header[0], 2);
        let kind = header[1];
        header[..2].fill(0);
        let mut body = vec![0; u64::from_be_bytes(header) as usize];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }

    pub fn try_call(&mut self, command: &Command) -> io::Result<Reply> {
        self.stream.write_all(&command.encode())?;
        let (kind, body) = self.frame()?;
        assert_eq!(kind, 3);
        let mut rest = body.as_slice();
        let reply = Reply::parse(&mut rest);
        assert!(rest.is_empty());
        Ok(reply)
    }

    pub fn call(&mut self, command: &Command) -> Reply {
        self.try_call(command).unwrap()
    }

    /// All messages of a reply up to and without the last one, the last one, and the number of frames they came in.
    pub fn stream_of(&mut self, command: &Command) -> (Vec<Reply>, Reply, usize) {
        self.send(&command.encode());
        let mut replies = Vec::new();
        for frames in 1.. {
            let (kind, body) = self.frame().unwrap();
            assert_eq!(kind, 3);
            let mut rest = body.as_slice();
            while !rest.is_empty() {
                let reply = Reply::parse(&mut rest);
                if reply.is_last() {
                    assert!(rest.is_empty());
                    return (replies, reply, frames);
                }
                replies.push(reply);
            }
        }
        unreachable!("a reply ends with its last message")
    }

    pub fn info(&mut self, names: &str) -> Vec<(String, String)> {
        self.send(&frame(1, names.as_bytes()));
        let (kind, body) = self.frame().unwrap();
        assert_eq!(kind, 1);
        let text = String::from_utf8(body).unwrap();
        text.lines()
            .map(|line| line.split_once('\t').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    pub fn info_value(&mut self, name: &str) -> String {
        let mut lines = self.info(&format!("{name}\n"));
        assert_eq!(lines.len(), 1);
        lines.remove(0).1
    }

    /// How the connection ends: orderly or with a reset. Panics if it does not end.
    pub fn end(&mut self) -> End {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => End::Closed,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => End::Reset,
            Err(error) => panic!("the connection did not end: {error}"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
}
