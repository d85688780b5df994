//! `[[realms]]`: realms beside the default one, what chooses them, and what each has for itself.

use std::hash::Hash;
use std::net::IpAddr;

use super::problem::Problem;
use super::raw;
use super::surroundings::Surroundings;
use super::value::{At, Reader};
use super::{checked, credentials};
use crate::net::{Listener, ListenerTransport, Realm};
use crate::turn::{ChosenBy, ServerAddress};

/// How many realms there may be beside the default one.
const MAX_REALMS: usize = 1000;

/// What `[[realms]]` is checked against.
pub(super) struct Beside<'a> {
    pub listeners: &'a [At<Listener>],
    pub own_addresses: &'a [IpAddr],
    pub host: &'a Surroundings,
}

/// Turns `[[realms]]` into settings.
pub(super) fn check(
    document: &raw::Document,
    beside: &Beside<'_>,
    reader: &mut Reader,
) -> Vec<Realm> {
    let realms = &document.realms.value;
    if realms.len() > MAX_REALMS {
        let wrong = format!("there are more than {MAX_REALMS} realms");
        let problem = Problem::error(document.realms.span.clone(), wrong);
        reader.report(problem.help("run another server for some of them"));
    }
    report_names(document, reader);
    report_claims(realms, reader);
    realms
        .iter()
        .filter_map(|realm| read(realm, document, beside, reader))
        .collect()
}

fn read(
    realm: &At<raw::RealmTable>,
    document: &raw::Document,
    beside: &Beside<'_>,
    reader: &mut Reader,
) -> Option<Realm> {
    let raw = &realm.value;
    let Some(name) = &raw.name else {
        if !reader.is_flawed(&realm.span) {
            let problem = Problem::error(realm.span.clone(), "this realm has no name");
            reader.report(problem.help("add name = \"example.org\", which its clients are told"));
        }
        return None;
    };
    let claims = [
        listed(&raw.origins).is_empty(),
        listed(&raw.server_names).is_empty(),
        listed(&raw.listen).is_empty(),
    ];
    if !claims.contains(&false) && !reader.is_flawed(&realm.span) {
        let wrong = format!("nothing chooses the realm `{}`", name.value.0);
        reader.report(
            Problem::error(realm.span.clone(), wrong)
                .label("every client would get the default one")
                .help("add origins, server_names or listen"),
        );
    }
    report_ways(raw, beside, reader);
    let auth = auth(raw, document);
    let (peers, names_rule) = peers(raw, document);
    let limits = limits(raw, document);
    Some(Realm {
        chosen_by: ChosenBy {
            origins: texts(&raw.origins, |origin| origin.0.clone()),
            server_names: texts(&raw.server_names, |name| name.0.clone()),
            addresses: texts(&raw.listen, |arrival| arrival.0),
        },
        auth: credentials::check(&auth, "[realms.auth]", beside.host, reader),
        peers: checked::peers(&peers, beside.own_addresses),
        quotas: checked::quotas(&limits),
        bandwidth: checked::bandwidth(&limits),
        name_rule_in_reply: names_rule,
    })
}

fn listed<T>(list: &Option<At<Vec<At<T>>>>) -> &[At<T>] {
    list.as_ref().map_or(&[], |at| &at.value)
}

fn texts<T, U>(list: &Option<At<Vec<At<T>>>>, of: impl Fn(&T) -> U) -> Vec<U> {
    listed(list).iter().map(|at| of(&at.value)).collect()
}

/// `[realms.auth]`: who is known is the realm's own; how they are judged is that of `[auth]` unless written.
pub(super) fn auth(realm: &raw::RealmTable, document: &raw::Document) -> At<raw::Auth> {
    let (own, top) = (&realm.auth.value, &document.auth.value);
    let name = realm.name.clone().unwrap_or_else(|| top.realm.clone());
    // What is inherited is not written here: a problem with it is told of [auth].
    let auth = raw::Auth {
        realm: name,
        shared_secrets: own.shared_secrets.clone(),
        shared_secret_files: own.shared_secret_files.clone(),
        shared_secret_env: own.shared_secret_env.clone(),
        separator: own
            .separator
            .clone()
            .unwrap_or_else(|| unwritten(&top.separator)),
        after_expiry: (own.after_expiry.clone()).unwrap_or_else(|| unwritten(&top.after_expiry)),
        refresh_past_expiry: (own.refresh_past_expiry.clone())
            .unwrap_or_else(|| unwritten(&top.refresh_past_expiry)),
        users: own.users.clone(),
        token_server_name: own.token_server_name.clone(),
        token_integrity: (own.token_integrity.clone())
            .unwrap_or_else(|| unwritten(&top.token_integrity)),
        token_keys: own.token_keys.clone(),
    };
    At {
        value: auth,
        span: realm.auth.span.clone().or_else(|| {
            // Where the table is missing, the realm itself is the place that lacks it.
            realm.name.as_ref().and_then(|name| name.span.clone())
        }),
    }
}

fn unwritten<T: Clone>(inherited: &At<T>) -> At<T> {
    At {
        value: inherited.value.clone(),
        span: None,
    }
}

/// `[realms.peers]`, and whether a 403 names its rule.
pub(super) fn peers(realm: &raw::RealmTable, document: &raw::Document) -> (raw::Peers, bool) {
    let (own, top) = (&realm.peers.value, &document.peers.value);
    let or = |own: &Option<At<bool>>, top: &At<bool>| own.clone().unwrap_or_else(|| top.clone());
    let peers = raw::Peers {
        deny_special_purpose: or(&own.deny_special_purpose, &top.deny_special_purpose),
        deny_own_addresses: or(&own.deny_own_addresses, &top.deny_own_addresses),
        deny: own.deny.clone().unwrap_or_else(|| top.deny.clone()),
        allow: own.allow.clone().unwrap_or_else(|| top.allow.clone()),
        name_rule_in_reply: or(&own.name_rule_in_reply, &top.name_rule_in_reply),
    };
    let names_rule = peers.name_rule_in_reply.value;
    (peers, names_rule)
}

/// `[realms.limits]`.
pub(super) fn limits(realm: &raw::RealmTable, document: &raw::Document) -> raw::Limits {
    let mut limits = document.limits.value.clone();
    let raw::RealmLimits {
        allocations_per_user,
        allocations_per_client_address,
        allocations_total,
        bandwidth_per_allocation,
        bandwidth_per_user,
        bandwidth_total,
    } = realm.limits.value.clone();
    set(&mut limits.allocations_per_user, allocations_per_user);
    set(
        &mut limits.allocations_per_client_address,
        allocations_per_client_address,
    );
    set(&mut limits.allocations_total, allocations_total);
    set(
        &mut limits.bandwidth_per_allocation,
        bandwidth_per_allocation,
    );
    set(&mut limits.bandwidth_per_user, bandwidth_per_user);
    set(&mut limits.bandwidth_total, bandwidth_total);
    limits
}

fn set<T>(inherited: &mut At<T>, own: Option<At<T>>) {
    if let Some(own) = own {
        *inherited = own;
    }
}

fn report_names(document: &raw::Document, reader: &mut Reader) {
    let default = &document.auth.value.realm;
    let named = document.realms.value.iter();
    let names: Vec<_> = std::iter::once(default)
        .chain(named.filter_map(|realm| realm.value.name.as_ref()))
        .collect();
    for (index, name) in names.iter().enumerate() {
        let mut before = names[..index].iter();
        let Some(first) = before.find(|first| first.value.0 == name.value.0) else {
            continue;
        };
        let help = match first.is_written() {
            true => "give each a name of its own",
            false => {
                "give each a name of its own; the default realm is called so unless [auth] has `realm`"
            }
        };
        let wrong = format!("the realm `{}` is there twice", name.value.0);
        let problem = Problem::error(name.span.clone(), wrong);
        reader.report(problem.also(first.span.clone(), "first here").help(help));
    }
}

/// Reports whatever would choose two realms.
fn report_claims(realms: &[At<raw::RealmTable>], reader: &mut Reader) {
    let all = |list: fn(&raw::RealmTable) -> Vec<At<String>>| {
        realms.iter().flat_map(move |realm| list(&realm.value))
    };
    let origins = |realm: &raw::RealmTable| {
        let origins = listed(&realm.origins).iter();
        origins.map(|at| at.with(at.value.0.clone())).collect()
    };
    let names = |realm: &raw::RealmTable| {
        let names = listed(&realm.server_names).iter();
        names.map(|at| at.with(at.value.0.clone())).collect()
    };
    report_twice("origin", all(origins), reader);
    report_twice("server name", all(names), reader);
    let arrivals = realms.iter().flat_map(|realm| listed(&realm.value.listen));
    let shown = arrivals.map(|at| at.with(shown(at.value.0)));
    report_twice("address", shown, reader);
}

fn report_twice<T: Eq + Hash + Clone + std::fmt::Display>(
    what: &str,
    claims: impl Iterator<Item = At<T>>,
    reader: &mut Reader,
) {
    let mut first = std::collections::HashMap::new();
    for claim in claims {
        match first.get(&claim.value) {
            None => {
                first.insert(claim.value.clone(), claim.span.clone());
            }
            Some(span) => {
                let wrong = format!("the {what} {} chooses a realm twice", claim.value);
                let problem = Problem::error(claim.span.clone(), wrong);
                let problem = problem.also(Option::clone(span), "first here");
                reader.report(problem.help("leave it with one realm"));
            }
        }
    }
}

fn shown(address: ServerAddress) -> String {
    match address {
        ServerAddress::Ip(ip) => ip.to_string(),
        ServerAddress::Port(address) => address.to_string(),
    }
}

/// Reports ways to choose a realm that no client can go.
fn report_ways(realm: &raw::RealmTable, beside: &Beside<'_>, reader: &mut Reader) {
    let mut listeners = beside.listeners.iter();
    let has_tls = listeners.any(|at| at.value.transport == ListenerTransport::Tls);
    if let (Some(name), false) = (listed(&realm.server_names).first(), has_tls) {
        let wrong = "no client names a server where there is no TLS listener";
        let problem = Problem::error(name.span.clone(), wrong);
        reader.report(problem.help("add [tls] with a certificate, or remove `server_names`"));
    }
    for arrival in listed(&realm.listen) {
        let address = arrival.value.0;
        if let ServerAddress::Ip(ip) = address
            && ip.is_unspecified()
        {
            let wrong = format!("{ip} is every address");
            let problem = Problem::error(arrival.span.clone(), wrong);
            reader
                .report(problem.help("name one address, or add a port, such as \"0.0.0.0:3479\""));
        } else if !beside
            .listeners
            .iter()
            .any(|at| hears(&at.value, address, beside.host))
        {
            let wrong = format!("no client arrives at {}", shown(address));
            let problem = Problem::error(arrival.span.clone(), wrong);
            reader.report(problem.help("name an address out of [listen], or add it there"));
        }
    }
}

/// Whether clients that come to an address meet this listener.
fn hears(listener: &Listener, address: ServerAddress, host: &Surroundings) -> bool {
    let (ip, port) = match address {
        ServerAddress::Ip(ip) => (ip, None),
        ServerAddress::Port(address) => (address.ip(), Some(address.port())),
    };
    let bound = listener.address.ip();
    let has_ip = bound == ip
        || bound.is_ipv4() == ip.is_ipv4()
            && (ip.is_unspecified() || bound.is_unspecified() && (host.can_bind)(ip).is_ok());
    has_ip && port.is_none_or(|port| port == listener.address.port())
}
