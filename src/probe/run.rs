//! All attempts at once, and what is known when they have ended.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::attempt::{Course, attempt};
use super::plan::{Door, Plan};
use super::report::{Attempt, Findings, Lookup, Nat, Report, Throughput};
use super::throughput;
use super::tls::Tls;
use super::transport::Transport;
use super::verdict::verdict;

/// Probes a server, and tells on the way how far it is. The error is one sentence: nothing could be tried.
pub fn run(plan: &Plan, progress: &mut dyn FnMut(&str)) -> Result<Report, String> {
    let needs_tls = plan
        .target
        .doors
        .iter()
        .any(|d| matches!(d.transport, Transport::Tls | Transport::Dtls));
    let tls = needs_tls.then(|| Tls::new(&plan.target.host, &plan.trust));
    let course = Arc::new(Course::new(plan, tls.transpose()?));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot wait for the network: {error}"))?;
    let started = Instant::now();
    let findings = runtime.block_on(find(&course, progress));
    // A lookup that still waits for a DNS server is not waited for.
    runtime.shutdown_background();
    Ok(Report {
        target: plan.target.text.clone(),
        seconds: started.elapsed().as_secs_f64(),
        verdict: verdict(&findings),
        findings,
    })
}

async fn find(course: &Arc<Course>, progress: &mut dyn FnMut(&str)) -> Findings {
    let plan = &course.plan;
    progress(&format!("looking up {}", plan.target.host));
    let lookup = look_up(plan).await;
    let mut work = Work::begin(course, &one_of_each_family(&lookup.addresses, plan.source));
    let (mut attempts, mut nat) = (Vec::new(), Vec::new());
    let all = work.tasks.len();
    let mut done = 0;
    progress(&format!("{all} ways at once"));
    while let Some(ended) = work.tasks.join_next().await {
        done += 1;
        match ended {
            Ok(Ended::Attempt(number, found)) => {
                progress(&format!(
                    "{done} of {all}: {} to {} has ended",
                    found.transport, found.server
                ));
                // Who does not answer tells nothing of a NAT either, and is not waited for again.
                if found.transport == Transport::Udp && !found.answers() {
                    work.give_up(found.server);
                }
                attempts.push((number, *found));
            }
            Ok(Ended::Nat(found)) => nat.extend(found.map(|nat| *nat)),
            // One that was given up; or a task that panics, a mistake of the probe: the others are still told.
            Err(_) => {}
        }
        let of_dtls = |(_, found): &&(u32, Attempt)| found.transport == Transport::Dtls;
        let dtls = work.dtls - attempts.iter().filter(of_dtls).count();
        course.is_over.send_replace(work.tasks.len() <= dtls);
    }
    course.is_over.send_replace(false);
    attempts.sort_by_key(|(number, _)| *number);
    let attempts: Vec<_> = attempts.into_iter().map(|(_, attempt)| attempt).collect();
    nat.sort_by_key(|nat: &Nat| nat.server);
    for nat in &mut nat {
        nat.complete(&attempts);
    }
    let throughput = push(course, &attempts, progress).await;
    let host = &plan.target.host;
    Findings {
        host: host.parse::<IpAddr>().is_err().then(|| host.clone()),
        relay_expected: plan.target.relays,
        has_credential: plan.credentials.is_some(),
        is_bare: plan.target.is_bare,
        lookup,
        attempts,
        nat,
        throughput,
    }
}

/// What is under way.
struct Work {
    tasks: JoinSet<Ended>,
    nat: Vec<(SocketAddr, AbortHandle)>,
    /// Attempts over DTLS.
    dtls: usize,
}

enum Ended {
    Attempt(u32, Box<Attempt>),
    Nat(Option<Box<Nat>>),
}

impl Work {
    fn begin(course: &Arc<Course>, addresses: &[IpAddr]) -> Self {
        let mut tasks = JoinSet::new();
        let mut nat = Vec::new();
        let (mut number, mut dtls) = (0, 0);
        for &door in &course.plan.target.doors {
            for &address in addresses {
                let Door { transport, port } = door;
                let server = SocketAddr::new(address, port);
                let of_attempt = Arc::clone(course);
                tasks.spawn(async move {
                    let found = attempt(&of_attempt, number, door, server).await;
                    Ended::Attempt(number, Box::new(found))
                });
                number += 1;
                dtls += usize::from(transport == Transport::Dtls);
                if transport == Transport::Udp {
                    let of_nat = Arc::clone(course);
                    let handle = tasks.spawn(async move {
                        Ended::Nat(
                            super::nat::discover(&of_nat.plan, server)
                                .await
                                .map(Box::new),
                        )
                    });
                    nat.push((server, handle));
                }
            }
        }
        Self { tasks, nat, dtls }
    }

    /// Ends what is to be found out about the NAT towards a server.
    fn give_up(&self, server: SocketAddr) {
        for (_, task) in self.nat.iter().filter(|(of, _)| *of == server) {
            task.abort();
        }
    }
}

async fn look_up(plan: &Plan) -> Lookup {
    let started = Instant::now();
    let host = plan.target.host.clone();
    let found = match host.parse::<IpAddr>() {
        Ok(address) => Ok(vec![address]),
        Err(_) => match timeout(plan.timeout, tokio::net::lookup_host((host, 0))).await {
            Ok(Ok(found)) => Ok(found.map(|address| address.ip()).collect()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other("no DNS server answers in time")),
        },
    };
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let (mut addresses, error) = match found {
        Ok(addresses) if addresses.is_empty() => (addresses, Some("it has no address".to_owned())),
        Ok(addresses) => (addresses, None),
        Err(error) => (
            Vec::new(),
            Some(super::text::printable(error.to_string().as_bytes())),
        ),
    };
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
    Lookup {
        ms,
        addresses,
        error,
    }
}

fn one_of_each_family(addresses: &[IpAddr], source: Option<IpAddr>) -> Vec<IpAddr> {
    let first = |v4: bool| {
        let fits = source.is_none_or(|source| source.is_ipv4() == v4);
        let mut all = addresses.iter();
        all.find(|address| fits && address.is_ipv4() == v4).copied()
    };
    first(true).into_iter().chain(first(false)).collect()
}

async fn push(
    course: &Course,
    attempts: &[Attempt],
    progress: &mut dyn FnMut(&str),
) -> Option<Throughput> {
    let push = course.plan.push?;
    let of = attempts.iter().find(|attempt| attempt.relays())?;
    let seconds = push.duration.as_secs_f64();
    progress(&format!("pushing through {} for {seconds} s", of.transport));
    Some(throughput::push(course, of, push).await)
}

/// Addresses of a name that are told.
const MAX_ADDRESSES: usize = 16;
