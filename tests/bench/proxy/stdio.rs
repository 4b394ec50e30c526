//! Calls over stdio.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use super::parts::Part;
use super::place::{Place, resident};
use super::{AT_ONCE, Measured, Way};

/// What is in between, or the server itself, and its pipes.
struct Line {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    answer: String,
}

/// One round of one way.
pub fn measure(place: &Place, way: Way, calls: usize) -> Measured {
    let mut line = Line::start(match way {
        Way::Direct => Part::StdioServer.command(),
        Way::Relay => Part::StdioRelay.command(),
        Way::Proxy => {
            let mut proxy = place.proxy();
            proxy.arg("--policy").arg(place.path("policy.yaml")).args(["--name", "bench", "--"]);
            proxy.args(Part::StdioServer.words());
            proxy
        }
    });
    line.hello();
    for id in 0..AT_ONCE {
        line.send(id);
        line.receive();
    }
    let alone = (0..calls)
        .map(|id| {
            let start = Instant::now();
            line.send(id);
            line.receive();
            start.elapsed()
        })
        .collect();
    let start = Instant::now();
    for id in 0..calls + AT_ONCE {
        if id >= AT_ONCE {
            line.receive();
        }
        if id < calls {
            line.send(id);
        }
    }
    let together = start.elapsed();
    let resident = if way == Way::Direct { None } else { resident(&line.process) };
    line.end();
    Measured { alone, together, resident }
}

impl Line {
    fn start(mut command: Command) -> Line {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let to = process.stdin.take().expect("its stdin");
        let from = BufReader::new(process.stdout.take().expect("its stdout"));
        Line { process, to, from, answer: String::new() }
    }

    fn hello(&mut self) {
        let hello = r#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
        self.write(hello);
        self.receive();
        self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }

    fn write(&mut self, message: &str) {
        let line = format!("{message}\n");
        self.to.write_all(line.as_bytes()).expect("it reads");
    }

    fn send(&mut self, id: usize) {
        self.write(&super::http::call(id, ""));
    }

    fn receive(&mut self) {
        self.answer.clear();
        self.from.read_line(&mut self.answer).expect("it answers");
        assert!(self.answer.contains(r#""result""#), "{}", self.answer);
    }

    fn end(self) {
        let Line { mut process, to, .. } = self;
        drop(to);
        let _ = process.wait();
    }
}
