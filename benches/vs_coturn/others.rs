//! What other programs use while the generator searches: it tells that of its last trial alone, and one that was disturbed
//! before misleads the whole search.

use std::fs;
use std::time::Instant;

/// CPU time until now, in hundredths of a second as the files of Linux count.
pub struct Reading {
    machine: u64,
    ours: u64,
    at: Instant,
}

impl Reading {
    /// Of the machine, and of what is ours: a server, and the children that have ended.
    pub fn take(server: u32) -> Option<Self> {
        let machine = fs::read_to_string("/proc/stat").ok()?;
        let server = fs::read_to_string(format!("/proc/{server}/stat")).ok()?;
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        Some(Self {
            machine: machine_of(&machine)?,
            ours: times(&server)?[..2].iter().chain(&times(&own)?[2..]).sum(),
            at: Instant::now(),
        })
    }

    /// What others have used until now, in percent of one core.
    pub fn others_since(self, server: u32) -> Option<f64> {
        let now = Self::take(server)?;
        let others = now
            .machine
            .saturating_sub(self.machine)
            .saturating_sub(now.ours.saturating_sub(self.ours));
        Some(others as f64 / (now.at - self.at).as_secs_f64())
    }
}

/// What all cores have been used for, but idling and waiting.
pub fn machine_of(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _, _, interrupts, soft_interrupts, ..] = fields[..] else {
        return None;
    };
    Some(user + nice + system + interrupts + soft_interrupts)
}

/// `utime`, `stime`, `cutime` and `cstime` of a process; the name before them may hold anything.
pub fn times(stat: &str) -> Option<[u64; 4]> {
    let (_, behind) = stat.rsplit_once(')')?;
    let fields: Vec<u64> = behind
        .split_whitespace()
        .skip(11)
        .map_while(|field| field.parse().ok())
        .take(4)
        .collect();
    fields.try_into().ok()
}
