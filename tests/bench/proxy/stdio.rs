//! Calls over stdio.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::parts::Part;
use super::place::{Place, cpu, resident};
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
        Way::Proxy(setting) => {
            let mut proxy = place.proxy();
            proxy.arg("--policy").arg(place.path(setting.policy));
            proxy.args(["--record", setting.record, "--name", "bench", "--"]);
            proxy.args(Part::StdioServer.words());
            proxy
        }
    });
    line.hello();
    for at_once in AT_ONCE {
        line.together(at_once * 4, at_once);
    }
    let before = cpu(&line.process);
    let alone = (0..calls)
        .map(|id| {
            let start = Instant::now();
            line.send(id);
            line.receive();
            start.elapsed()
        })
        .collect();
    let rates = AT_ONCE.map(|at_once| calls as f64 / line.together(calls, at_once).as_secs_f64());
    let made = u32::try_from(calls * (1 + AT_ONCE.len())).unwrap_or(u32::MAX);
    let spent = cpu(&line.process).zip(before).map(|(after, before)| (after - before) / made);
    let resident = resident(&line.process);
    line.end();
    let between = way != Way::Direct;
    let (cpu, resident) = (spent.filter(|_| between), resident.filter(|_| between));
    Measured { alone, rates, cpu, resident }
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
        self.hear();
        self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }

    fn write(&mut self, message: &str) {
        let line = format!("{message}\n");
        self.to.write_all(line.as_bytes()).expect("it reads");
    }

    fn send(&mut self, id: usize) {
        self.write(&super::http::call(id, ""));
    }

    fn hear(&mut self) {
        self.answer.clear();
        self.from.read_line(&mut self.answer).expect("it answers");
    }

    fn receive(&mut self) {
        self.hear();
        assert!(self.answer.contains(super::parts::DONE), "{}", self.answer);
    }

    /// So many calls, so many under way at a time; how long all took.
    fn together(&mut self, calls: usize, at_once: usize) -> Duration {
        let start = Instant::now();
        for id in 0..calls + at_once {
            if id >= at_once {
                self.receive();
            }
            if id < calls {
                self.send(id);
            }
        }
        start.elapsed()
    }

    fn end(self) {
        let Line { mut process, to, .. } = self;
        drop(to);
        let _ = process.wait();
    }
}
