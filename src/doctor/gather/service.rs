//! Processes and units.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use super::text;
use crate::doctor::facts::{Identity, Opening, Owner, Process, Rights, Service, Socket};
use crate::doctor::{Subject, Unit, proc};

/// Finds whose the sockets are that have a port of the configuration, as far as this user may see.
pub(super) fn name_owners(sockets: &mut [Socket], openings: &[Opening]) {
    let is_wanted = |socket: &&mut Socket| {
        let mut openings = openings.iter();
        openings.any(|opening| opening.address.port() == socket.address.port())
    };
    let wanted = sockets.iter_mut().filter(is_wanted);
    let mut wanted: HashMap<u64, &mut Socket> = wanted.map(|s| (s.inode, s)).collect();
    if wanted.is_empty() {
        return;
    }
    for pid in processes() {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            continue;
        };
        for descriptor in open.flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else {
                continue;
            };
            let inode = target.to_str().and_then(|target| {
                target
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .parse()
                    .ok()
            });
            let socket = inode.and_then(|inode: u64| wanted.get_mut(&inode));
            if let Some(socket) = socket.filter(|socket| socket.owner.is_none()) {
                socket.owner = owner(pid);
            }
        }
    }
}

fn processes() -> Vec<u32> {
    let listed = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut all: Vec<u32> = listed
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    all.sort_unstable();
    all
}

fn owner(pid: u32) -> Option<Owner> {
    Some(Owner {
        pid,
        program: text(&format!("/proc/{pid}/comm"))?.trim().to_owned(),
        unit: text(&format!("/proc/{pid}/cgroup")).and_then(|text| proc::unit(&text)),
    })
}

pub(super) fn service(
    subject: Option<&Subject<'_>>,
    sockets: &[Socket],
    openings: &[Opening],
) -> Service {
    let is_opening = |socket: &&Socket| {
        openings.iter().any(|opening| {
            opening.protocol == socket.protocol && opening.address.port() == socket.address.port()
        })
    };
    let owners = sockets
        .iter()
        .filter(is_opening)
        .filter_map(|socket| socket.owner.as_ref());
    let ours = owners
        .filter(|owner| owner.program == "uturn")
        .map(|owner| owner.pid)
        .next();
    let running = ours
        .or_else(|| serving(subject?.file.to_str()?))
        .and_then(process);
    let unit = unit();
    let user = unit.as_ref().and_then(|unit| {
        let (passwd, group) = (text("/etc/passwd")?, text("/etc/group")?);
        let (uid, gids) = proc::user(&passwd, &group, unit.user.as_ref()?)?;
        Some(Identity { uid, gids })
    });
    Service {
        running,
        unit,
        own: process(std::process::id())
            .map(|own| own.rights)
            .unwrap_or_default(),
        user,
    }
}

/// A `uturn serve` with this configuration.
fn serving(file: &str) -> Option<u32> {
    processes().into_iter().find(|pid| {
        let is_uturn =
            text(&format!("/proc/{pid}/comm")).is_some_and(|name| name.trim() == "uturn");
        let arguments = is_uturn
            .then(|| text(&format!("/proc/{pid}/cmdline")))
            .flatten();
        let arguments = arguments.unwrap_or_default();
        let mut words = arguments.split('\0').skip(1);
        words.clone().any(|word| word == "serve") && words.any(|word| word == file)
    })
}

fn process(pid: u32) -> Option<Process> {
    const NET_BIND_SERVICE: u32 = 10;
    const NET_ADMIN: u32 = 12;
    let status = text(&format!("/proc/{pid}/status"))?;
    let numbers = |field: &str| {
        let words = proc::status(&status, field)
            .unwrap_or_default()
            .split_whitespace();
        words
            .filter_map(|word| word.parse().ok())
            .collect::<Vec<u32>>()
    };
    // The second one is effective.
    let uid = *numbers("Uid").get(1)?;
    let gid = numbers("Gid").get(1).copied();
    Some(Process {
        pid,
        rights: Rights {
            descriptors: text(&format!("/proc/{pid}/limits"))
                .and_then(|text| proc::descriptors(&text)),
            low_ports: proc::is_capable(&status, NET_BIND_SERVICE),
            large_buffers: proc::is_capable(&status, NET_ADMIN),
        },
        identity: Identity {
            uid,
            gids: gid.into_iter().chain(numbers("Groups")).collect(),
        },
    })
}

/// The unit with its drop-ins, as the service manager would find them.
fn unit() -> Option<Unit> {
    const FOLDERS: [&str; 5] = [
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ];
    let mut texts = vec![
        FOLDERS
            .iter()
            .find_map(|folder| text(&format!("{folder}/uturn.service")))?,
    ];
    let mut more: Vec<PathBuf> = FOLDERS
        .iter()
        .flat_map(|folder| fs::read_dir(format!("{folder}/uturn.service.d")))
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "conf")
        })
        .collect();
    more.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    texts.extend(more.iter().filter_map(|path| fs::read_to_string(path).ok()));
    Some(Unit::parse(texts.iter().map(String::as_str)))
}
