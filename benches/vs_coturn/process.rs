//! Processes that do not outlive this one, each on the cores that it is given.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A process that ends with this value, and with the program, however that ends.
pub struct Process(Child);

impl Process {
    /// Starts it on `cores`.
    pub fn start(command: &mut Command, cores: &[usize]) -> io::Result<Self> {
        let cores = cores.to_vec();
        let before_it_runs = move || {
            end_with_parent()?;
            pin(&cores)
        };
        // SAFETY: between fork and exec the closure makes two system calls, and neither allocates nor locks.
        unsafe { command.pre_exec(before_it_runs) };
        command.spawn().map(Self)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// What it writes into its pipes until it ends; `None` if it takes longer than `limit` or all is stopped. What it
    /// writes has to fit into a pipe.
    pub fn output(mut self, limit: Duration) -> Option<Output> {
        let end = Instant::now() + limit;
        let status = loop {
            match self.ended() {
                Some(status) => break status,
                None if is_stopped() || Instant::now() > end => return None,
                None => thread::sleep(LOOK),
            }
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        // What cannot be read is missed by who looks at it.
        if let Some(pipe) = &mut self.0.stdout {
            let _ = pipe.read_to_end(&mut stdout);
        }
        if let Some(pipe) = &mut self.0.stderr {
            let _ = pipe.read_to_end(&mut stderr);
        }
        Some(Output {
            status,
            stdout,
            stderr,
        })
    }
}

/// How often it is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(10);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has the kernel end this process with its parent, even if that is killed.
fn end_with_parent() -> io::Result<()> {
    // SAFETY: it takes numbers alone, and changes nothing but what happens at the parent's end.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets this process run on `cores` alone.
fn pin(cores: &[usize]) -> io::Result<()> {
    // SAFETY: a cpu_set_t is an array of bits, of which zeroes are an empty one; CPU_SET checks its bounds; the call reads
    // as many bytes as it is told.
    let pinned = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for &core in cores {
            libc::CPU_SET(core, &mut set);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    match pinned {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The cores that this program may use.
pub fn cores() -> Vec<usize> {
    // SAFETY: a cpu_set_t is an array of bits, of which zeroes are an empty one; the call writes no more bytes than it is
    // told; CPU_ISSET checks its bounds.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
        let all = 0..libc::CPU_SETSIZE as usize;
        all.filter(|core| libc::CPU_ISSET(*core, &set)).collect()
    }
}

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Whether a signal has asked for the end.
pub fn is_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// Has the signals that end a program end this one in order: what it started ends, what it wrote is removed.
pub fn end_children_on_signal() {
    extern "C" fn stop(_: libc::c_int) {
        STOPPED.store(true, Ordering::Relaxed);
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler stores into an atomic and does nothing else.
        unsafe { libc::signal(signal, stop as *const () as libc::sighandler_t) };
    }
}
