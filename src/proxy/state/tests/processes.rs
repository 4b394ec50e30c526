//! Real processes on one file: this test binary, started again and again. Some are
//! killed, between two instructions or in the middle of a transaction.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::super::{StateError, Why, sql};
use super::*;

const FOLDER: &str = "HOLDPOINT_TEST_STATE_FOLDER";
const DIES_AT: &str = "HOLDPOINT_TEST_DIES_AT";

/// Not a test of its own: what each process of the tests below does. It takes until
/// the limit is reached, and says `took` after each time.
#[test]
#[ignore = "started by other tests, as a process of its own"]
fn a_process_that_takes() {
    let folder = std::env::var_os(FOLDER).expect("a folder");
    let dies_at: Option<u32> = std::env::var(DIES_AT).ok().map(|n| n.parse().expect("a number"));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_time().build().expect("a runtime");
    eprintln!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("told to begin");
    runtime.block_on(async {
        let state = patiently(async || State::open(folder.as_ref())).await;
        for n in 0.. {
            if dies_at == Some(n) {
                die_while_writing(&state).await;
            }
            let takes = vec![sliding("shared", LIMIT, HOUR), amount(Window::Day, 1, None)];
            match patiently(async || take(&state, now(), takes.clone()).await).await {
                // Nobody may read any more.
                Some(_) => drop(writeln!(std::io::stderr(), "took")),
                None => break,
            }
        }
    });
}

/// Tries again where others kept the file for too long: ten processes that do nothing
/// else may, on a machine that has more to do. A call would be refused then.
async fn patiently<T>(work: impl AsyncFn() -> Result<T, StateError>) -> T {
    loop {
        match work().await {
            Ok(done) => return done,
            Err(StateError { why: Why::Locked, .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Of this machine, on a day that has no midnight.
fn now() -> Clocks {
    Clocks { wall: Machine::new().clocks.wall, ..Clocks::now() }
}

/// Has written a place that is not committed, and is gone.
async fn die_while_writing(state: &State) {
    let die = |conn: &rusqlite::Connection| {
        let _tx = sql::write(conn)?;
        let head = sql::head(conn)?;
        let limit = sql::limit(conn, "limit shared")?.expect("others were here");
        sql::add_place(conn, limit.id, (head.anchor.now, head.next))?;
        conn.cache_flush()?;
        let this = rustix::process::getpid();
        rustix::process::kill_process(this, rustix::process::Signal::KILL).expect("killed");
        Ok(())
    };
    let _ = state.turn(die).await;
    unreachable!("it was killed");
}

/// How many places there are for all.
const LIMIT: u32 = 1500;

struct Process {
    child: Child,
    begin: ChildStdin,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Process {
    fn start(folder: &TempDir, dies_at: Option<u32>) -> Process {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["proxy::state::tests::processes::a_process_that_takes", "--exact"]);
        command.args(["--ignored", "--nocapture"]).env(FOLDER, folder.path());
        if let Some(n) = dies_at {
            command.env(DIES_AT, n.to_string());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let begin = child.stdin.take().expect("a pipe");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        assert_eq!(lines.next().expect("a line").expect("read"), "ready");
        Process { child, begin, lines }
    }

    /// How often it took, and whether it came to a good end.
    fn finish(mut self, kill_after: Option<usize>) -> (u32, bool) {
        let mut took = 0;
        for line in self.lines {
            assert_eq!(line.expect("read"), "took");
            took += 1;
            if kill_after == Some(took as usize) {
                self.child.kill().expect("killed");
            }
        }
        (took, self.child.wait().expect("ended").success())
    }
}

/// Starts these processes at once and waits for all: how often each took.
fn race(
    folder: &TempDir,
    processes: impl IntoIterator<Item = (Option<u32>, Option<usize>)>,
) -> Vec<(u32, bool)> {
    let start = |(dies_at, kill_after)| (Process::start(folder, dies_at), kill_after);
    let mut started: Vec<_> = processes.into_iter().map(start).collect();
    started.iter_mut().for_each(|(process, _)| writeln!(process.begin, "go").expect("begun"));
    let finish = |(process, kill): (Process, _)| std::thread::spawn(move || process.finish(kill));
    let waiting: Vec<_> = started.into_iter().map(finish).collect();
    waiting.into_iter().map(|thread| thread.join().expect("no panic")).collect()
}

async fn counted(folder: &TempDir) -> (u32, u32) {
    let state = State::open(folder.path()).expect("opened");
    let look = |counters: &dyn Counters| {
        let limit = counters.recent(&key("shared"), LIMIT * 2, HOUR).expect("told").count;
        let counter = counters.value(&counter(Window::Day)).expect("told");
        ((limit, counter as u32), Vec::new())
    };
    let ok = state.turn(|conn| {
        Ok(conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))?)
    });
    assert_eq!(ok.await.expect("read"), "ok");
    state.count(now(), false, look).await.expect("read").0
}

#[tokio::test]
async fn ten_processes_make_one_file_and_take_what_there_is_and_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let took = race(&folder, [(None, None); 10]);
    assert!(took.iter().all(|(_, well)| *well), "{took:?}");
    assert_eq!(took.iter().map(|(n, _)| n).sum::<u32>(), LIMIT, "{took:?}");
    assert_eq!(counted(&folder).await, (LIMIT, LIMIT));
}

/// Of each that is killed at most the one is lost that it had no time to tell of.
#[tokio::test]
async fn processes_that_are_killed_lose_nothing_and_open_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let took = race(&folder, (0..10).map(|n| (None, (n < 4).then_some(10 * n + 1))));
    let told = took.iter().map(|(n, _)| n).sum::<u32>();
    let killed = took.iter().filter(|(_, well)| !*well).count() as u32;
    assert_eq!(killed, 4, "{took:?}");
    let (limit, counter) = counted(&folder).await;
    assert_eq!(limit, LIMIT);
    assert_eq!(counter, limit);
    assert!((limit - killed..=limit).contains(&told), "{told} told of {limit}: {took:?}");
}

#[tokio::test]
async fn a_process_that_dies_in_the_middle_of_a_transaction_has_taken_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let took = race(&folder, (0..10).map(|n| ((n == 0).then_some(20), None)));
    let dead = took.iter().filter(|(_, well)| !*well).count();
    let told = took.iter().map(|(n, _)| n).sum::<u32>();
    assert_eq!((dead, took[0].0, told), (1, 20, LIMIT), "{took:?}");
    assert_eq!(counted(&folder).await, (LIMIT, LIMIT));
}
