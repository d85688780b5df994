//! `[api]`: the HTTP interface.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::api_keys;
use super::problem::Problem;
use super::raw;
use super::relay::is_private;
use super::surroundings::Surroundings;
use super::text::{Name, Realm as RealmName};
use super::value::{At, Reader};
use crate::api::{
    Settings, Signer, Signers, is_everyone, is_open_to_strangers, offers_relay, repeated,
};
use crate::auth;
use crate::net::{Listener, ListenerTransport, Realm, RelayAddress};
use crate::wire::uri::{Host, Scheme, ServerUri, UriTransport};

/// What `[api]` takes from the other tables.
pub(super) struct Served<'a> {
    pub auth: &'a auth::Settings,
    /// The realms beside that one.
    pub realms: &'a [Realm],
    pub listeners: &'a [At<Listener>],
    pub relays: &'a [RelayAddress],
    /// A name in the certificate.
    pub name: Option<String>,
    /// Whether connections may come by a proxy that says whose they are.
    pub is_proxied: bool,
}

impl<'a> Served<'a> {
    /// The listeners at which HTTP is served beside TURN.
    fn shared(&self) -> impl Iterator<Item = &'a At<Listener>> + use<'a> {
        let is_shared = |at: &&At<Listener>| at.value.transport == ListenerTransport::Shared;
        self.listeners.iter().filter(is_shared)
    }
}

/// Turns `[api]` into settings.
pub(super) fn check(
    api: &At<raw::Api>,
    served: &Served<'_>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Settings {
    let raw = &api.value;
    report_open(api, served, reader);
    report_names(raw, reader);
    report_lifetimes(raw, reader);
    let signers = signers(raw, served, reader);
    let signs_for_none = signers.keys.is_empty() && signers.tokens.is_empty();
    let no_secret = served.auth.shared_secrets.is_empty() && !served.auth.static_users.is_empty();
    if no_secret && signs_for_none {
        let wrong = "[api] can issue no credentials without a shared secret";
        reader.report(Problem::warning(api.span.clone(), wrong).help(
            "add shared_secret_files to [auth]; until then [api] answers health checks alone",
        ));
    }
    let api_key = |reader: &mut Reader, key| api_keys::key(key, host, reader);
    let token = |reader: &mut Reader, key| api_keys::token(key, host, reader);
    Settings {
        listen: raw.listen.value.iter().map(|at| at.value).collect(),
        shared: served.shared().map(|at| at.value.address).collect(),
        is_proxied: served.is_proxied,
        trusted_proxies: trusted_proxies(raw, reader),
        keys: collect(&raw.keys, reader, api_key),
        tokens: collect(&raw.tokens, reader, token),
        origins: raw
            .origins
            .value
            .iter()
            .map(|at| at.value.0.clone())
            .collect(),
        allow_loopback_origins: false,
        uris: uris(api, served, reader),
        signing_secret: served.auth.shared_secrets.first().cloned(),
        separator: served.auth.separator,
        signers,
        default_ttl: raw.ttl.value.0,
        max_ttl: raw.max_ttl.value.0,
        per_key_per_minute: raw.requests_per_key_per_minute.value.0,
        per_address_per_minute: raw.requests_per_address_per_minute.value.0,
    }
}

fn collect<'a, T, U>(
    list: &'a At<Vec<At<T>>>,
    reader: &mut Reader,
    check: impl Fn(&mut Reader, &'a At<T>) -> Option<U>,
) -> Vec<U> {
    list.value
        .iter()
        .filter_map(|item| check(reader, item))
        .collect()
}

/// What signs for the keys that name a realm.
fn signers(api: &raw::Api, served: &Served<'_>, reader: &mut Reader) -> Signers {
    let keys = api.keys.value.iter();
    let keys = keys.map(|key| (&key.value.name, &key.value.realm));
    let tokens = api.tokens.value.iter();
    let tokens = tokens.map(|key| (&key.value.name, &key.value.realm));
    let mut signers =
        |named: &mut dyn Iterator<Item = (&Option<At<Name>>, &Option<At<RealmName>>)>| {
            let mut found = HashMap::new();
            for (name, realm) in named {
                if let (Some(name), Some(realm)) = (name, realm)
                    && let Some(signer) = signer_of(realm, served, reader)
                {
                    found.insert(name.value.0.clone(), signer);
                }
            }
            found
        };
    Signers {
        keys: signers(&mut keys.into_iter()),
        tokens: signers(&mut tokens.into_iter()),
    }
}

fn signer_of(name: &At<RealmName>, served: &Served<'_>, reader: &mut Reader) -> Option<Signer> {
    let others = served.realms.iter().map(|realm| &realm.auth);
    let mut all = std::iter::once(served.auth).chain(others);
    let named = &name.value.0;
    let Some(auth) = all.find(|auth| auth.realm == *named) else {
        let problem = Problem::error(name.span.clone(), format!("there is no realm `{named}`"));
        reader.report(problem.help("name one of [[realms]], or the `realm` of [auth]"));
        return None;
    };
    let Some(secret) = auth.shared_secrets.first() else {
        let wrong = format!("the realm `{named}` has no shared secret to sign credentials with");
        let problem = Problem::error(name.span.clone(), wrong);
        reader.report(problem.help("add shared_secret_files to its [realms.auth]"));
        return None;
    };
    Some(Signer {
        secret: secret.clone(),
        separator: auth.separator,
    })
}

fn report_lifetimes(api: &raw::Api, reader: &mut Reader) {
    if api.ttl.value.0 <= api.max_ttl.value.0 {
        return;
    }
    let (place, other) = match &api.ttl.span {
        Some(_) => (api.ttl.span.clone(), api.max_ttl.span.clone()),
        None => (api.max_ttl.span.clone(), None),
    };
    reader.report(
        Problem::error(place, "`ttl` is longer than `max_ttl`")
            .also(other, "max_ttl")
            .help("shorten `ttl` or raise `max_ttl`; they are 24h and 48h unless written"),
    );
}

/// Without keys anyone who reaches the interface gets a credential: on loopback alone.
fn report_open(table: &At<raw::Api>, served: &Served<'_>, reader: &mut Reader) {
    let api = &table.value;
    let is_nowhere = api.listen.value.is_empty() && served.shared().next().is_none();
    if is_nowhere && !reader.is_flawed(&table.span) {
        reader.report(
            Problem::error(api.listen.span.clone(), "[api] listens nowhere")
                .help("add an address, or remove [api]"),
        );
    }
    if !api.keys.value.is_empty() || !api.tokens.value.is_empty() {
        return;
    }
    let listen = api.listen.value.iter();
    for at in listen.filter(|at| is_open_to_strangers(at.value)) {
        let wrong = format!("{} would issue credentials to anyone", at.value);
        reader.report(
            Problem::error(at.span.clone(), wrong)
                .label("beyond loopback, without [[api.keys]] or [[api.tokens]]")
                .help("add [[api.keys]], or listen on 127.0.0.1 behind a web server that authenticates"),
        );
    }
    for at in served.shared() {
        let address = at.value.address;
        let wrong = format!("{address} would issue credentials to anyone");
        let label = match (is_open_to_strangers(address), served.is_proxied) {
            (true, _) => {
                "a shared listener beyond loopback, and [api] without [[api.keys]] or [[api.tokens]]"
            }
            (false, true) => {
                "a shared listener behind a proxy, and [api] without [[api.keys]] or [[api.tokens]]"
            }
            (false, false) => continue,
        };
        reader.report(
            Problem::error(at.span.clone(), wrong)
                .label(label)
                .help("add [[api.keys]], or a `tls` listener in its place"),
        );
    }
}

fn trusted_proxies(api: &raw::Api, reader: &mut Reader) -> Vec<RangeInclusive<IpAddr>> {
    let proxies = &api.trusted_proxies;
    let is_open = api.keys.value.is_empty() && api.tokens.value.is_empty();
    if is_open && !proxies.value.is_empty() {
        let wrong = "anyone whom these proxies let through would get credentials";
        reader.report(
            Problem::error(proxies.span.clone(), wrong)
                .label("without [[api.keys]] or [[api.tokens]]")
                .help("add [[api.keys]], or remove `trusted_proxies`"),
        );
    }
    let ranges = proxies.value.iter().map(|at| at.with(at.value.addresses()));
    let ranges: Vec<_> = ranges.collect();
    for at in ranges.iter().filter(|at| is_everyone(&at.value)) {
        reader.report(
            Problem::error(at.span.clone(), "this trusts everyone to say who they are")
                .help("name the addresses of your own web servers alone"),
        );
    }
    ranges.into_iter().map(|at| at.value).collect()
}

fn report_names(api: &raw::Api, reader: &mut Reader) {
    let keys: Vec<_> = api
        .keys
        .value
        .iter()
        .filter_map(|key| key.value.name.as_ref())
        .collect();
    let tokens: Vec<_> = api
        .tokens
        .value
        .iter()
        .filter_map(|key| key.value.name.as_ref())
        .collect();
    for names in [keys, tokens] {
        let texts: Vec<_> = names.iter().map(|name| name.value.0.as_str()).collect();
        for (first, again) in repeated(&texts) {
            let wrong = format!("the name `{}` is there twice", texts[again]);
            reader.report(
                Problem::error(names[again].span.clone(), wrong)
                    .also(names[first].span.clone(), "first here")
                    .help("give each its own, so that logs tell them apart"),
            );
        }
    }
}

fn uris(api: &At<raw::Api>, served: &Served<'_>, reader: &mut Reader) -> Vec<String> {
    let uris = match &api.value.uris {
        Some(written) => written_uris(written, reader),
        None => derived_uris(api, served, reader),
    };
    let signs = !served.auth.shared_secrets.is_empty();
    let may_be_misspelt = reader.is_flawed(&api.span);
    match &api.value.uris {
        Some(written) if uris.is_empty() && !may_be_misspelt => reader.report(
            Problem::error(written.span.clone(), "there is no URI to hand out")
                .help("add one, or remove `uris` to derive them from the listeners"),
        ),
        Some(written) if signs && !may_be_misspelt && !offers_relay(&uris) => reader.report(
            Problem::error(written.span.clone(), "there is no TURN URI to hand out")
                .help("add one such as \"turn:turn.example.org:3478?transport=udp\""),
        ),
        // Without an address to relay from there is no public one either: one problem, not two.
        None if signs && !served.relays.is_empty() && !offers_relay(&uris) => reader.report(
            Problem::error(api.span.clone(), "no listener's public address is known")
                .help("set `uris` in [api] to what clients shall use, such as \"turn:turn.example.org:3478?transport=udp\""),
        ),
        _ => {}
    }
    uris
}

fn written_uris(uris: &At<Vec<At<ServerUri>>>, reader: &mut Reader) -> Vec<String> {
    for at in uris.value.iter().filter(|at| at.value.port == Some(53)) {
        reader.report(
            Problem::warning(at.span.clone(), "browsers refuse port 53")
                .help("use 3478, 5349 or 443"),
        );
    }
    uris.value.iter().map(|at| at.value.to_string()).collect()
}

/// One URI per listener: UDP, then TCP at the public address, then TLS and DTLS at the certificate's name.
fn derived_uris(api: &At<raw::Api>, served: &Served<'_>, reader: &mut Reader) -> Vec<String> {
    let mut uris = Vec::new();
    // Browsers take a URI for DTLS for one for TLS, or refuse the list that it is in.
    let for_all = |at: &&At<Listener>| at.value.transport != ListenerTransport::Dtls;
    for listener in served.listeners.iter().filter(for_all) {
        let Listener { transport, address } = listener.value;
        let host = match (transport, &served.name) {
            (ListenerTransport::Tls | ListenerTransport::Shared, name) => {
                name.clone().map(Host::Name)
            }
            _ => public(address, served.relays).map(Host::Address),
        };
        let uri = host.map(|host| uri(transport, host, address.port()).to_string());
        uris.extend(uri.filter(|uri| !uris.contains(uri)));
    }
    let private = served
        .relays
        .iter()
        .any(|relay| relay.external.is_none() && is_private(relay.bind));
    if private {
        reader.report(
            Problem::warning(api.span.clone(), "clients will be told a private address of this server")
                .help("set `uris` in [api] to what clients shall use, such as \"turn:turn.example.org:3478?transport=udp\""),
        );
    }
    uris
}

/// The URI of a listener (RFC 7065).
pub fn uri(transport: ListenerTransport, host: Host, port: u16) -> ServerUri {
    let (scheme, transport) = match transport {
        ListenerTransport::Udp => (Scheme::Turn, UriTransport::Udp),
        ListenerTransport::Tcp => (Scheme::Turn, UriTransport::Tcp),
        ListenerTransport::Tls | ListenerTransport::Shared => (Scheme::Turns, UriTransport::Tcp),
        ListenerTransport::Dtls => (Scheme::Turns, UriTransport::Udp),
    };
    ServerUri {
        scheme,
        host,
        port: Some(port),
        transport: Some(transport),
    }
}

/// The address that clients reach a listener by, if it is known.
pub fn public(listener: SocketAddr, relays: &[RelayAddress]) -> Option<IpAddr> {
    let relay = relays.iter().find(|relay| match listener.ip() {
        ip if ip.is_unspecified() => relay.bind.is_ipv4() == ip.is_ipv4(),
        ip => relay.bind == ip,
    });
    match relay {
        Some(relay) => Some(relay.external.unwrap_or(relay.bind)),
        None => Some(listener.ip()).filter(|ip| !ip.is_unspecified()),
    }
}
