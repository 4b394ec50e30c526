//! Calls over stdio.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::stage::Stage;
use super::{AT_ONCE, Measured, SETTINGS, Way, http, parts, rows};
use crate::bench::part::{COMMAND, Part};
use crate::bench::process::Process;
use crate::bench::table::Table;
use crate::bench::trouble::{During as _, Trouble};

/// One round of all ways.
pub async fn round(stage: &Stage<'_>, table: &mut Table, calls: usize) -> Result<(), Trouble> {
    let direct = measure(stage, Way::Direct, calls).await?;
    let relayed = measure(stage, Way::Relay, calls).await?;
    let mut proxied = Vec::new();
    for setting in SETTINGS {
        proxied.push((setting, measure(stage, Way::Proxy(setting), calls).await?));
    }
    rows(table, super::STDIO, &direct, &relayed, &proxied);
    Ok(())
}

fn command(stage: &Stage<'_>, way: Way) -> Command {
    let program = stage.ground.program();
    match way {
        Way::Direct => Part::StdioServer.command(program, ""),
        Way::Relay => Part::StdioRelay.command(program, ""),
        Way::Proxy(setting) => {
            let mut proxy = stage.proxy();
            proxy.arg("--policy").arg(stage.path(setting.policy));
            proxy.args(["--record", setting.record, "--name", "bench", "--"]);
            proxy.arg(program).args([COMMAND, "stdio-server"]);
            proxy
        }
    }
}

/// One way. The lines are written and read by a thread, without a runtime between;
/// the process stays here, so that the thread ends when this is dropped.
async fn measure(stage: &Stage<'_>, way: Way, calls: usize) -> Result<Measured, Trouble> {
    let mut command = command(stage, way);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::start(command, &stage.path("stdio.log"))?;
    let (to, from) = (process.child().stdin.take(), process.child().stdout.take());
    let to = to.during("writing to it")?;
    let from = BufReader::new(from.during("reading from it")?);
    let line = Line { to, from, answer: String::new() };
    let line = by_thread(line, Line::begin).await?.0;
    let before = process.cpu_exact();
    let measured = by_thread(line, move |line| line.measure(calls)).await;
    let (line, (alone, rates)) = match measured {
        Ok(measured) => measured,
        Err(trouble) => return Err(Trouble::new(trouble.to_string(), process.last_words())),
    };
    let made = u32::try_from(calls * (1 + AT_ONCE.len())).unwrap_or(u32::MAX);
    let cpu = process.cpu_exact().saturating_sub(before) / made;
    let resident_mib = process.resident_mib();
    drop(line);
    Ok(Measured { alone, rates, cpu, resident_mib })
}

async fn by_thread<T: Send + 'static>(
    mut line: Line,
    what: impl FnOnce(&mut Line) -> Result<T, Trouble> + Send + 'static,
) -> Result<(Line, T), Trouble> {
    let done = tokio::task::spawn_blocking(move || what(&mut line).map(|done| (line, done)));
    done.await.during("calling")?
}

/// The pipes of what is in between, or of the server itself.
struct Line {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    answer: String,
}

impl Line {
    fn begin(&mut self) -> Result<(), Trouble> {
        self.write(r#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#)?;
        self.hear()?;
        self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)?;
        for at_once in AT_ONCE {
            self.together(at_once * 4, at_once)?;
        }
        Ok(())
    }

    fn measure(&mut self, calls: usize) -> Result<(Vec<Duration>, [f64; AT_ONCE.len()]), Trouble> {
        let mut alone = Vec::with_capacity(calls);
        for id in 0..calls {
            let start = Instant::now();
            self.send(id)?;
            self.receive()?;
            alone.push(start.elapsed());
        }
        alone.sort();
        let mut rates = [0.0; AT_ONCE.len()];
        for (rate, at_once) in rates.iter_mut().zip(AT_ONCE) {
            *rate = calls as f64 / self.together(calls, at_once)?.as_secs_f64();
        }
        Ok((alone, rates))
    }

    fn write(&mut self, message: &str) -> Result<(), Trouble> {
        self.to.write_all(format!("{message}\n").as_bytes()).during("writing a line")
    }

    fn send(&mut self, id: usize) -> Result<(), Trouble> {
        self.write(&http::call(id, ""))
    }

    fn hear(&mut self) -> Result<(), Trouble> {
        self.answer.clear();
        let read = self.from.read_line(&mut self.answer).during("reading a line")?;
        (read > 0).then_some(()).during("reading a line")
    }

    fn receive(&mut self) -> Result<(), Trouble> {
        self.hear()?;
        if self.answer.contains(parts::DONE) {
            return Ok(());
        }
        Err(Trouble::new("calling", format!("answered with {}", self.answer.trim_end())))
    }

    /// So many calls, so many under way at a time; how long all took.
    fn together(&mut self, calls: usize, at_once: usize) -> Result<Duration, Trouble> {
        let start = Instant::now();
        for id in 0..calls + at_once {
            if id >= at_once {
                self.receive()?;
            }
            if id < calls {
                self.send(id)?;
            }
        }
        Ok(start.elapsed())
    }
}
