//! The servers that are compared: the daemon, and this program again as a
//! baseline, each a process of its own in a folder of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::bare::Rows;
use super::call;
use super::client::{CALLER_TOKEN, OPERATOR_TOKEN};
use super::ground::{Folder, Ground};
use super::part::Part;
use super::process::{Process, command};
use super::trouble::{During as _, Trouble};
use crate::config::token::TokenHash;

/// From its start until a server has to serve.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// Between two attempts to reach it: a good daemon starts in a few milliseconds.
const LOOK: Duration = Duration::from_micros(500);

/// Which server, and how it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bare tonic: echoes and holds, writes nothing.
    Tonic,
    /// Bare tonic and a bare group-commit writer.
    Minimal(Rows),
    /// The daemon. Its mail server takes connections and stays silent, so that
    /// after the first few letters no work is done for mail.
    Daemon,
    /// The daemon, writing each mail as a file.
    DaemonWithMail,
    /// The daemon with its pages and metrics, its operator an auditor too who
    /// gets no mail.
    DaemonWithPages,
    /// The daemon in local mode, with nothing set.
    Local,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    process: Process,
    /// From its start until it said that it serves.
    pub served_after: Duration,
    dir: PathBuf,
    _silent: Option<TcpListener>,
    /// Its folder, if it goes with it. Last: what is in it is in use until then.
    _folder: Option<Folder>,
}

impl std::ops::Deref for Running {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Running {
    /// Starts it in a fresh folder.
    pub async fn start(ground: &Ground, kind: Kind) -> Result<Running, Trouble> {
        let folder = ground.fresh()?;
        let mut running = Running::on(ground.program(), folder.path(), kind).await?;
        running._folder = Some(folder);
        Ok(running)
    }

    /// Starts it in a folder that stays.
    pub async fn on(program: &Path, dir: &Path, kind: Kind) -> Result<Running, Trouble> {
        let silent = (kind == Kind::Daemon).then(|| TcpListener::bind("127.0.0.1:0"));
        let silent = silent.transpose().during("opening a port for a silent mail server")?;
        let command = match kind {
            Kind::Tonic => Part::Tonic.command(program, dir),
            Kind::Minimal(Rows::Few) => Part::Few.command(program, dir),
            Kind::Minimal(Rows::Same) => Part::Same.command(program, dir),
            Kind::Daemon | Kind::DaemonWithMail | Kind::DaemonWithPages | Kind::Local => {
                let mut command = command(program);
                command.arg("serve").arg("--state-dir").arg(dir);
                if kind != Kind::Local {
                    let path = dir.join("holdpoint.toml");
                    fs::write(&path, configuration(kind, silent.as_ref()))
                        .during("writing a configuration")?;
                    command.arg("--config").arg(path);
                }
                command
            }
        };
        let start = Instant::now();
        let mut process = Process::start(command, &dir.join("log"))?;
        serves(&mut process, dir, start).await?;
        let served_after = start.elapsed();
        Ok(Running { process, served_after, dir: dir.to_owned(), _silent: silent, _folder: None })
    }

    /// Its state directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends it in good order, so that its log is folded into its database.
    pub fn end(self) {
        self.process.end();
    }

    /// As by a crash; its folder, if it was to go, is left to be started on again.
    pub fn kill(self) -> Option<Folder> {
        self._folder
    }

    /// Where its pages or its metrics are, as its log says, which is written a little
    /// after it serves.
    pub async fn address(&self, of: &str) -> Result<String, Trouble> {
        let start = Instant::now();
        while start.elapsed() < STARTS_WITHIN {
            let log = self.log();
            let after = log.split(&format!("\"{of}\":\"http://")).nth(1);
            if let Some(address) = after.and_then(|after| after.split(['/', '"']).next()) {
                return Ok(address.to_owned());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(Trouble::new(format!("looking for its {of}"), self.last_words()))
    }

    /// A number that it counts.
    pub async fn metric(&self, name: &str) -> Result<f64, Trouble> {
        let address = self.address("metrics").await?;
        let request =
            format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let read = async {
            let mut stream = TcpStream::connect(&address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = read.await.during("reading its metrics")?;
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).during(&format!("looking for {name}"))
    }
}

/// Waits until it says that it serves.
async fn serves(process: &mut Process, dir: &Path, start: Instant) -> Result<(), Trouble> {
    let address = format!("unix:{}", dir.join("holdpoint.sock").display());
    let endpoint = Endpoint::from_shared(address).during("naming its socket")?;
    while start.elapsed() < STARTS_WITHIN && !process.ended() {
        if let Ok(channel) = endpoint.connect().await {
            let asked = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
            if asked.is_ok_and(|answer| answer.get_ref().status() == ServingStatus::Serving) {
                return Ok(());
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Trouble::new("starting a server", process.last_words()))
}

/// One caller, and one operator who decides.
fn configuration(kind: Kind, silent: Option<&TcpListener>) -> String {
    let smtp = silent.and_then(|listener| listener.local_addr().ok()).map(|address| {
        format!("smtp_url = \"smtp://{address}\"\nfrom = \"holdpoint@example.com\"\n")
    });
    let (doors, rest) = if kind == Kind::DaemonWithPages {
        (
            "web_listen = \"127.0.0.1:0\"\nmetrics_listen = \"127.0.0.1:0\"\n",
            "roles = [\"operator\", \"auditor\"]",
        )
    } else {
        ("", "email = \"alice@example.com\"")
    };
    format!(
        "{}{doors}\
         [limits]\n\
         max_pending_per_caller = 1000000\n\
         max_pending_per_client = 1000000\n\
         [[callers]]\n\
         name = \"{}\"\n\
         tokens = [{{ sha256 = \"{}\" }}]\n\
         [[operators]]\n\
         name = \"{}\"\n\
         {rest}\n\
         tokens = [{{ sha256 = \"{}\" }}]\n",
        smtp.unwrap_or_default(),
        call::CALLER,
        TokenHash::of(CALLER_TOKEN),
        call::OPERATOR,
        TokenHash::of(OPERATOR_TOKEN),
    )
}
