//! What the kernel says of this process.

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// What it uses.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Process {
    /// Processor time of all its threads.
    pub cpu_seconds: f64,
    /// Memory in RAM.
    pub resident_bytes: Option<u64>,
    /// Open descriptors.
    pub open_fds: Option<u64>,
    /// As many may be open.
    pub max_fds: Option<u64>,
}

impl Process {
    /// This one. Reads files of /proc, so it may take milliseconds where many
    /// descriptors are open.
    pub fn look() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        // One of them is the one that lists them.
        let listed =
            std::fs::read_dir("/proc/self/fd").map(|fds| (fds.count() as u64).saturating_sub(1));
        Process {
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            resident_bytes: resident(&status),
            open_fds: listed.ok(),
            max_fds: getrlimit(Resource::Nofile).current,
        }
    }
}

/// From the text of `/proc/self/status`.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let _one_more = std::fs::File::open("/dev/null").expect("opened");
        let seen = Process::look();
        assert!(seen.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{seen:?}");
        assert!(seen.open_fds.is_some_and(|fds| fds >= 4), "{seen:?}");
        assert!(seen.cpu_seconds > 0.0, "{seen:?}");
        assert_eq!(resident("VmRSS:\t   12 kB\n"), Some(12 * 1024));
        assert_eq!(resident("VmRSS: lots\n"), None);
    }
}
