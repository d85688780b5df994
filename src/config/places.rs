//! Where in the file what settings say no more stands: for sentences to an operator.

use std::path::PathBuf;

use super::problem::line_of;
use super::surroundings::Surroundings;
use super::value::At;
use super::{raw, realms};
use crate::explain::RealmPlaces;

/// Where a configuration's rules, users and secrets stand.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The default realm's, then those of the others, in the order of the file.
    pub realms: Vec<RealmPlaces>,
    /// Files that hold secrets, passwords and keys.
    pub secret_files: Vec<PathBuf>,
}

impl Places {
    pub(super) fn of(document: &raw::Document, text: &str, host: &Surroundings) -> Self {
        let lines = Lines(text);
        let default = lines.realm(
            "",
            &document.auth.value,
            &document.peers.value,
            &document.limits.value,
        );
        let named = document.realms.value.iter().map(|realm| {
            let auth = realms::auth(&realm.value, document);
            let (peers, _) = realms::peers(&realm.value, document);
            let limits = realms::limits(&realm.value, document);
            lines.realm("realms.", &auth.value, &peers, &limits)
        });
        Self {
            realms: std::iter::once(default).chain(named).collect(),
            secret_files: files(document)
                .map(|path| host.locate(&path.value))
                .collect(),
        }
    }
}

fn files(document: &raw::Document) -> impl Iterator<Item = &At<PathBuf>> {
    let auth = &document.auth.value;
    let realms = document.realms.value.iter();
    let realms = realms.map(|realm| &realm.value.auth.value);
    let shared = auth.shared_secret_files.value.iter();
    let of_users = auth.users.value.iter();
    let of_tokens = auth.token_keys.value.iter();
    let shared = shared.chain(
        realms
            .clone()
            .flat_map(|auth| auth.shared_secret_files.value.iter()),
    );
    let users = of_users.chain(realms.clone().flat_map(|auth| auth.users.value.iter()));
    let tokens = of_tokens.chain(realms.flat_map(|auth| auth.token_keys.value.iter()));
    let api = document.api.iter();
    let keys = api.clone().flat_map(|api| api.value.keys.value.iter());
    let signed = api.flat_map(|api| api.value.tokens.value.iter());
    let tls = document.tls.iter();
    let more = tls
        .clone()
        .flat_map(|tls| tls.value.certificates.value.iter());
    shared
        .chain(users.filter_map(|user| user.value.password_file.as_ref()))
        .chain(tokens.filter_map(|key| key.value.secret_file.as_ref()))
        .chain(keys.filter_map(|key| key.value.secret_file.as_ref()))
        .chain(signed.filter_map(|token| token.value.secret_file.as_ref()))
        .chain(tls.filter_map(|tls| tls.value.key.as_ref()))
        .chain(more.filter_map(|named| named.value.key.as_ref()))
}

/// The text of the file, in which spans are lines.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn realm(
        &self,
        prefix: &str,
        auth: &raw::Auth,
        peers: &raw::Peers,
        limits: &raw::Limits,
    ) -> RealmPlaces {
        let [in_auth, in_peers, in_limits] =
            ["auth", "peers", "limits"].map(|table| format!("[{prefix}{table}]"));
        let inline = self.list("shared_secrets", &in_auth, &auth.shared_secrets.value);
        let of_files = self.list(
            "shared_secret_files",
            &in_auth,
            &auth.shared_secret_files.value,
        );
        let of_env = self.list("shared_secret_env", &in_auth, &auth.shared_secret_env.value);
        RealmPlaces {
            secrets: [inline, of_files, of_env].concat(),
            users: self.list("users", &in_auth, &auth.users.value),
            denied: self.list("deny", &in_peers, &peers.deny.value),
            allowed: self.list("allow", &in_peers, &peers.allow.value),
            deny_special_purpose: self.key(
                "deny_special_purpose",
                &in_peers,
                &peers.deny_special_purpose,
            ),
            deny_own_addresses: self.key(
                "deny_own_addresses",
                &in_peers,
                &peers.deny_own_addresses,
            ),
            allocations_per_user: self.key(
                "allocations_per_user",
                &in_limits,
                &limits.allocations_per_user,
            ),
            allocations_per_client_address: self.key(
                "allocations_per_client_address",
                &in_limits,
                &limits.allocations_per_client_address,
            ),
            allocations_total: self.key("allocations_total", &in_limits, &limits.allocations_total),
        }
    }

    fn list<T>(&self, key: &str, table: &str, list: &[At<T>]) -> Vec<String> {
        list.iter().map(|at| self.key(key, table, at)).collect()
    }

    fn key<T>(&self, key: &str, table: &str, at: &At<T>) -> String {
        match &at.span {
            Some(span) => format!("`{key}` in {table}, line {}", line_of(self.0, span)),
            None => format!("the default of `{key}` in {table}"),
        }
    }
}
