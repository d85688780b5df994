//! CPU time and memory, of the server and of everybody else, as Linux tells them.

use std::collections::BTreeMap;
use std::fs;

use super::LoadError;

/// Reads what the server's processes, this process and the whole machine have used.
pub(super) struct Meter {
    server: Vec<u32>,
    /// Whether the server is among those others, as it runs here and its processes are not known.
    is_blind: bool,
}

/// A reading; `None` for what this system does not tell.
pub(super) struct Reading {
    server: Option<Threads>,
    own: Option<Threads>,
    machine: Option<u64>,
    at: std::time::Instant,
}

impl Used {
    /// This and another time together.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
        };
        Self {
            server: sum(self.server, other.server),
            own: sum(self.own, other.own),
            others: sum(self.others, other.others),
            elapsed: self.elapsed + other.elapsed,
        }
    }
}

/// Nanoseconds of each thread: threads come and go.
type Threads = BTreeMap<(u32, u32), u64>;

/// What was used between two readings, in nanoseconds of CPU time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// By the server's processes.
    pub(super) server: Option<u64>,
    /// By this process.
    pub(super) own: Option<u64>,
    /// By all others.
    pub(super) others: Option<u64>,
    /// The time between the readings.
    pub(super) elapsed: u64,
}

impl Meter {
    /// A meter for the server's processes, if any are known, and whether it runs on this machine.
    pub(super) fn new(server: &[u32], is_here: bool) -> Result<Self, LoadError> {
        let meter = Self {
            server: server.to_vec(),
            is_blind: is_here && server.is_empty(),
        };
        meter.read()?;
        Ok(meter)
    }

    /// Reads all.
    pub(super) fn read(&self) -> Result<Reading, LoadError> {
        let server = match self.server.is_empty() {
            true => None,
            false => Some(self.server_threads()?),
        };
        Ok(Reading {
            server,
            own: threads(std::process::id()),
            machine: machine().filter(|_| !self.is_blind),
            at: std::time::Instant::now(),
        })
    }

    fn server_threads(&self) -> Result<Threads, LoadError> {
        let mut all = Threads::new();
        for &process in &self.server {
            let found = threads(process).filter(|threads| !threads.is_empty());
            all.extend(found.ok_or_else(|| {
                LoadError::new(format!(
                    "there is no process {process} on this machine, or its CPU time cannot be read"
                ))
            })?);
        }
        Ok(all)
    }

    /// The memory that the server's processes hold, in bytes.
    pub(super) fn server_memory(&self) -> Option<u64> {
        let each = self.server.iter().map(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            kilobytes(&status, "VmRSS:")
        });
        let total: Option<u64> = each.sum();
        total.filter(|_| !self.server.is_empty())
    }

    /// The memory of the kernel's objects, sockets among them, of the whole machine, in bytes.
    pub(super) fn kernel_memory(&self) -> Option<u64> {
        kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "Slab:")
    }
}

impl Reading {
    /// What was used since an earlier reading.
    pub(super) fn since(&self, earlier: &Self) -> Used {
        let server = used(self.server.as_ref(), earlier.server.as_ref());
        let own = used(self.own.as_ref(), earlier.own.as_ref());
        let machine = self.machine.zip(earlier.machine);
        let ours = own.unwrap_or(0) + server.unwrap_or(0);
        Used {
            server,
            own,
            others: machine.map(|(now, then)| now.saturating_sub(then).saturating_sub(ours)),
            elapsed: (self.at - earlier.at).as_nanos() as u64,
        }
    }
}

fn used(now: Option<&Threads>, then: Option<&Threads>) -> Option<u64> {
    let (now, then) = (now?, then?);
    let each = now.iter().map(|(thread, time)| {
        let before = then.get(thread).copied().unwrap_or(0);
        time.saturating_sub(before)
    });
    Some(each.sum())
}

/// CPU time of the threads of a process.
fn threads(process: u32) -> Option<Threads> {
    let mut all = Threads::new();
    for entry in fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let path = entry.ok()?.path();
        let Some(thread) = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok())
        else {
            continue;
        };
        // A thread may end at any moment.
        let precise = fs::read_to_string(path.join("schedstat"));
        let time = match precise.as_deref().map(first_number) {
            Ok(Some(nanoseconds)) if nanoseconds > 0 => Some(nanoseconds),
            _ => fs::read_to_string(path.join("stat"))
                .ok()
                .and_then(|stat| ticks_of(&stat))
                .map(|ticks| ticks * TICK),
        };
        if let Some(time) = time {
            all.insert((process, thread), time);
        }
    }
    Some(all)
}

/// The first number of `schedstat`: nanoseconds on a core.
fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// `utime` and `stime` of a `stat` line; the name before them may hold anything.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let utime: u64 = fields.next()?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    Some(utime + stime)
}

/// What all cores have been used for, but idling, waiting for a disk, and what a hypervisor took.
fn machine() -> Option<u64> {
    machine_of(&fs::read_to_string("/proc/stat").ok()?)
}

fn machine_of(stat: &str) -> Option<u64> {
    let mut fields = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_whitespace();
    let mut next = || -> Option<u64> { fields.next()?.parse().ok() };
    let (user, nice, system) = (next()?, next()?, next()?);
    let (_idle, _waiting) = (next()?, next()?);
    let (interrupts, soft_interrupts) = (next()?, next()?);
    Some((user + nice + system + interrupts + soft_interrupts) * TICK)
}

/// A field of `/proc/PID/status` or `/proc/meminfo`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(first_number(line)? * 1024)
}

/// Nanoseconds of a tick as these files count them: USER_HZ is 100 on every architecture that we meet.
const TICK: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_linux_are_read() {
        let stat = "7 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20";
        assert_eq!(ticks_of(stat), Some(175));
        let machine = "cpu  1 2 3 1000 1000 4 5 99 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
        assert_eq!(machine_of(machine), Some(15 * TICK));
        assert_eq!(
            kilobytes("A: 1 kB\nVmRSS:\t  20 kB\n", "VmRSS:"),
            Some(20480)
        );
        assert_eq!(kilobytes("A: 1 kB\n", "VmRSS:"), None);
    }

    #[test]
    fn threads_that_came_count_from_nothing_and_those_that_went_do_not() {
        let threads = |list: &[(u32, u64)]| -> Threads {
            list.iter()
                .map(|(thread, time)| ((1, *thread), *time))
                .collect()
        };
        let then = threads(&[(1, 100), (2, 100)]);
        let now = threads(&[(1, 150), (3, 7)]);
        assert_eq!(used(Some(&now), Some(&then)), Some(57));
        assert_eq!(used(Some(&now), None), None);
    }
}
