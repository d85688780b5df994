//! `[api]`: the HTTP interface.

use std::net::{IpAddr, SocketAddr};

use super::credentials::one_of;
use super::problem::Problem;
use super::raw;
use super::relay::is_private;
use super::secrets::{Source, Use};
use super::surroundings::{Surroundings, read_file, why};
use super::text::{Algorithm, Name};
use super::value::{At, Reader};
use crate::api::{ApiKey, Settings, TokenAlgorithm, TokenKey};
use crate::auth;
use crate::net::{Listener, ListenerTransport, RelayAddress};

/// What `[api]` takes from the other tables.
pub(super) struct Served<'a> {
    pub auth: &'a auth::Settings,
    pub listeners: &'a [At<Listener>],
    pub relays: &'a [RelayAddress],
    /// A name in the certificate.
    pub name: Option<String>,
}

/// Turns `[api]` into settings.
pub(super) fn check(
    api: &At<raw::Api>,
    served: &Served<'_>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Settings {
    let raw = &api.value;
    report_open(api, reader);
    report_names(raw, reader);
    let (ttl, max_ttl) = (&raw.ttl, &raw.max_ttl);
    if ttl.value.0 > max_ttl.value.0 {
        let place = if ttl.is_written() {
            ttl
        } else {
            &max_ttl.with(ttl.value)
        };
        reader.report(
            Problem::error(place.span.clone(), "`ttl` is longer than `max_ttl`")
                .also(max_ttl.span.clone().filter(|_| ttl.is_written()), "max_ttl")
                .help("shorten `ttl` or raise `max_ttl`; they are 24h and 48h unless written"),
        );
    }
    if served.auth.shared_secrets.is_empty() && !served.auth.static_users.is_empty() {
        reader.report(
            Problem::warning(
                api.span.clone(),
                "[api] can issue no credentials without a shared secret",
            )
            .help(
                "add shared_secret_files to [auth]; until then [api] answers health checks alone",
            ),
        );
    }
    Settings {
        listen: raw.listen.value.iter().map(|at| at.value).collect(),
        keys: raw
            .keys
            .value
            .iter()
            .filter_map(|key| api_key(key, host, reader))
            .collect(),
        tokens: raw
            .tokens
            .value
            .iter()
            .filter_map(|key| token(key, host, reader))
            .collect(),
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
        default_ttl: ttl.value.0,
        max_ttl: max_ttl.value.0,
        per_key_per_minute: raw.requests_per_key_per_minute.value.0,
        per_address_per_minute: raw.requests_per_address_per_minute.value.0,
    }
}

/// Without keys anyone who reaches the interface gets a credential: on loopback alone.
fn report_open(table: &At<raw::Api>, reader: &mut Reader) {
    let api = &table.value;
    if !api.keys.value.is_empty() || !api.tokens.value.is_empty() {
        return;
    }
    for at in api
        .listen
        .value
        .iter()
        .filter(|at| !at.value.ip().is_loopback())
    {
        let wrong = format!("{} would issue credentials to anyone", at.value);
        reader.report(
            Problem::error(at.span.clone(), wrong)
                .label("beyond loopback, without [[api.keys]] or [[api.tokens]]")
                .help("add [[api.keys]], or listen on 127.0.0.1 behind a web server that authenticates"),
        );
    }
    if api.listen.value.is_empty() && !reader.is_flawed(&table.span) {
        reader.report(
            Problem::error(api.listen.span.clone(), "[api] listens nowhere")
                .help("add an address, or remove [api]"),
        );
    }
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
        for (index, name) in names.iter().enumerate() {
            let same = |first: &&&At<Name>| first.value.0 == name.value.0;
            if let Some(first) = names[..index].iter().find(same) {
                let wrong = format!("the name `{}` is there twice", name.value.0);
                reader.report(
                    Problem::error(name.span.clone(), wrong)
                        .also(first.span.clone(), "first here")
                        .help("give each its own, so that logs tell them apart"),
                );
            }
        }
    }
}

fn api_key(key: &At<raw::ApiKey>, host: &Surroundings, reader: &mut Reader) -> Option<ApiKey> {
    let raw::ApiKey {
        name,
        secret,
        secret_file,
        secret_env,
    } = &key.value;
    let written = [
        secret.is_some(),
        secret_file.is_some(),
        secret_env.is_some(),
    ];
    let name = one_of(
        name.as_ref(),
        key,
        &written,
        "secret, secret_file, secret_env",
        reader,
    )?;
    let source = source(secret, secret_file, secret_env)?;
    Some(ApiKey {
        name: name.value.0.clone(),
        secret: source.read(Use::Machine, host, reader)?,
    })
}

fn source(
    secret: &Option<At<super::text::SecretText>>,
    file: &Option<At<std::path::PathBuf>>,
    variable: &Option<At<String>>,
) -> Option<Source> {
    let inline = secret.clone().map(Source::Inline);
    let file = || file.clone().map(Source::File);
    let variable = || variable.clone().map(Source::Environment);
    inline.or_else(file).or_else(variable)
}

fn token(key: &At<raw::Token>, host: &Surroundings, reader: &mut Reader) -> Option<TokenKey> {
    let raw = &key.value;
    let Some(algorithm) = raw.algorithm.as_ref() else {
        if !reader.is_flawed(&key.span) {
            let problem = Problem::error(key.span.clone(), "this has no algorithm");
            reader.report(problem.help("add algorithm = \"HS256\", \"RS256\" or \"EdDSA\""));
        }
        return None;
    };
    let secrets = [
        raw.secret.is_some(),
        raw.secret_file.is_some(),
        raw.secret_env.is_some(),
    ];
    let public_key = [raw.public_key_file.is_some()];
    let (wanted, unwanted, keys) = match algorithm.value {
        Algorithm::Hs256 => (
            &secrets[..],
            &public_key[..],
            "secret, secret_file, secret_env",
        ),
        Algorithm::Rs256 | Algorithm::EdDsa => (&public_key[..], &secrets[..], "public_key_file"),
    };
    if unwanted.contains(&true) && !reader.is_flawed(&key.span) {
        reader.report(
            Problem::error(
                algorithm.span.clone(),
                "this algorithm takes another kind of key",
            )
            .help(format!("it takes: {keys}")),
        );
        return None;
    }
    let name = one_of(raw.name.as_ref(), key, wanted, keys, reader)?;
    let read_pem = |reader: &mut Reader| {
        public_key_pem(raw.public_key_file.as_ref()?, algorithm.value, host, reader)
    };
    let algorithm = match algorithm.value {
        Algorithm::Hs256 => {
            let source = source(&raw.secret, &raw.secret_file, &raw.secret_env)?;
            TokenAlgorithm::Hs256(source.read(Use::Hs256, host, reader)?)
        }
        Algorithm::Rs256 => TokenAlgorithm::Rs256(read_pem(reader)?),
        Algorithm::EdDsa => TokenAlgorithm::EdDsa(read_pem(reader)?),
    };
    Some(TokenKey {
        name: name.value.0.clone(),
        algorithm,
        audience: raw.audience.as_ref().map(|at| at.value.clone()),
        issuer: raw.issuer.as_ref().map(|at| at.value.clone()),
    })
}

fn public_key_pem(
    path: &At<std::path::PathBuf>,
    algorithm: Algorithm,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<String> {
    let place = host.locate(&path.value);
    let bytes = match read_file(&place) {
        Ok(file) => file.bytes,
        Err(error) => {
            let wrong = format!("cannot read {}: {}", place.display(), why(&error));
            reader.report(Problem::error(path.span.clone(), wrong));
            return None;
        }
    };
    let (parsed, kind) = match algorithm {
        Algorithm::EdDsa => (jsonwebtoken::DecodingKey::from_ed_pem(&bytes), "Ed25519"),
        Algorithm::Rs256 | Algorithm::Hs256 => {
            (jsonwebtoken::DecodingKey::from_rsa_pem(&bytes), "RSA")
        }
    };
    let is_private = bytes.windows(11).any(|window| window == b"PRIVATE KEY");
    if is_private || parsed.is_err() {
        let wrong = format!("{} holds no {kind} public key in PEM form", place.display());
        reader.report(
            Problem::error(path.span.clone(), wrong)
                .help("write one with: openssl pkey -in KEY -pubout -out PUBLIC"),
        );
        return None;
    }
    String::from_utf8(bytes.to_vec()).ok()
}

fn uris(api: &At<raw::Api>, served: &Served<'_>, reader: &mut Reader) -> Vec<String> {
    let Some(uris) = &api.value.uris else {
        return derived_uris(api, served, reader);
    };
    if uris.value.is_empty() && !reader.is_flawed(&api.span) {
        let problem = Problem::error(uris.span.clone(), "there is no URI to hand out");
        reader.report(problem.help("add one, or remove `uris` to derive them from the listeners"));
    }
    for at in uris.value.iter().filter(|at| at.value.port == Some(53)) {
        reader.report(
            Problem::warning(at.span.clone(), "browsers refuse port 53")
                .help("use 3478, 5349 or 443"),
        );
    }
    uris.value.iter().map(|at| at.value.text.clone()).collect()
}

/// One URI per listener: UDP, then TCP at the public address, then TLS at the certificate's name.
fn derived_uris(api: &At<raw::Api>, served: &Served<'_>, reader: &mut Reader) -> Vec<String> {
    let mut uris = Vec::new();
    for listener in served.listeners {
        let Listener { transport, address } = listener.value;
        let host = match (transport, &served.name) {
            (ListenerTransport::Tls, name) => name.clone(),
            _ => public(address, served.relays).map(host_of),
        };
        let uri = host.map(|host| uri(transport, &host, address.port()));
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
pub fn uri(transport: ListenerTransport, host: &str, port: u16) -> String {
    match transport {
        ListenerTransport::Udp => format!("turn:{host}:{port}?transport=udp"),
        ListenerTransport::Tcp => format!("turn:{host}:{port}?transport=tcp"),
        ListenerTransport::Tls => format!("turns:{host}:{port}?transport=tcp"),
    }
}

/// An address as the host of a URI.
pub fn host_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// What clients reach a listener by.
fn public(listener: SocketAddr, relays: &[RelayAddress]) -> Option<IpAddr> {
    let relay = relays.iter().find(|relay| match listener.ip() {
        ip if ip.is_unspecified() => relay.bind.is_ipv4() == ip.is_ipv4(),
        ip => relay.bind == ip,
    });
    match relay {
        Some(relay) => Some(relay.external.unwrap_or(relay.bind)),
        None => Some(listener.ip()).filter(|ip| !ip.is_unspecified()),
    }
}
