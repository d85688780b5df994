//! From a request to a credential: the steps that `/` and `/ice` share.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::Request;

use super::caller::Caller;
use super::issued::IssuedCounts;
use super::parameters::{Parameters, UserId};
use super::problem::{Kind, Problem};
use super::proxies::Client;
use super::{Api, Settings, Signer, Signers};
use crate::auth::{UnixTime, mint};

/// What signs credentials, and what is handed out beside them.
pub(super) struct Issuer {
    default: Option<Signer>,
    signers: Signers,
    default_ttl: Duration,
    max_ttl: Duration,
    stun_uris: Vec<String>,
    turn_uris: Vec<String>,
    issued: Arc<IssuedCounts>,
}

/// Someone who may ask, and what they ask for.
pub(super) struct Asked {
    caller: Caller,
    pub(super) parameters: Parameters,
    now: UnixTime,
}

/// A fresh credential.
pub(super) struct Issued {
    pub(super) username: String,
    pub(super) password: String,
    /// Seconds that it lasts for.
    pub(super) ttl: u64,
}

impl Issuer {
    pub(super) fn new(settings: &Settings) -> Self {
        let (stun_uris, turn_uris) = settings.uris.iter().cloned().partition(|uri| is_stun(uri));
        Self {
            default: settings.signing_secret.clone().map(|secret| Signer {
                secret,
                separator: settings.separator,
            }),
            signers: settings.signers.clone(),
            default_ttl: settings.default_ttl,
            max_ttl: settings.max_ttl,
            issued: Arc::new(IssuedCounts::new(settings)),
            stun_uris,
            turn_uris,
        }
    }

    /// What signs for whoever asks: their realm's secret.
    fn signer(&self, caller: &Caller) -> Option<&Signer> {
        let own = match caller {
            Caller::Key(name) => self.signers.keys.get(name),
            Caller::Token { key, .. } => self.signers.tokens.get(key),
            Caller::Anyone => None,
        };
        own.or(self.default.as_ref())
    }

    /// How many credentials were issued, and for whom.
    pub(super) fn issued(&self) -> &Arc<IssuedCounts> {
        &self.issued
    }

    /// URIs that need no credential (RFC 7064).
    pub(super) fn stun_uris(&self) -> &[String] {
        &self.stun_uris
    }

    /// URIs that a credential is for (RFC 7065).
    pub(super) fn turn_uris(&self) -> &[String] {
        &self.turn_uris
    }
}

impl Api {
    /// Reads the request, finds out who sent it, and counts it: against an API key that it proves, else
    /// against its address.
    pub(super) async fn read(&self, client: Client, request: Request) -> Result<Asked, Problem> {
        let limits = &self.limits;
        // Before anything that costs time: reading a body, verifying a signature.
        limits.check_address(client)?;
        let headers = request.headers().clone();
        let parameters = Parameters::read(request)
            .await
            .inspect_err(|_| limits.charge_address(client))?;
        // Again: others at this address may have been answered while the body arrived.
        limits.check_address(client)?;
        let now = unix_now();
        let caller = self
            .callers
            .identify(&headers, parameters.key(), now)
            .inspect_err(|_| limits.penalise_address(client))?;
        match caller {
            // One backend asks for all of its users: its limit is that of its key.
            Caller::Key(_) => {}
            Caller::Token { .. } | Caller::Anyone => limits.charge_address(client),
        }
        limits.admit_caller(&caller).inspect_err(|_| {
            tracing::warn!(
                key = caller.name(),
                "requests with this key or token are over their limit"
            );
        })?;
        Ok(Asked {
            caller,
            parameters,
            now,
        })
    }

    /// Makes the credential that was asked for.
    pub(super) fn issue(&self, asked: &Asked) -> Result<Issued, Problem> {
        let user_id = asked.user_id()?;
        let issuer = &self.issuer;
        let ttl = asked.parameters.ttl()?.unwrap_or(issuer.default_ttl);
        let ttl = ttl.min(issuer.max_ttl);
        let signer = issuer.signer(&asked.caller).ok_or_else(|| {
            Problem::new(
                Kind::CannotSign,
                "The operator has configured no shared secret, so there is nothing to sign with.",
            )
        })?;
        let user_id = user_id.as_ref().map(UserId::as_str);
        let minted = mint(&signer.secret, signer.separator, user_id, ttl, asked.now);
        issuer.issued.count(&asked.caller);
        tracing::info!(
            key = asked.caller.name(),
            user = user_id.unwrap_or_default(),
            ttl = ttl.as_secs(),
            "credential issued"
        );
        Ok(Issued {
            username: minted.username,
            password: minted.password,
            ttl: ttl.as_secs(),
        })
    }
}

impl Asked {
    /// A token speaks for its subject alone; everyone else names whom they like, or nobody.
    fn user_id(&self) -> Result<Option<UserId>, Problem> {
        let named = self.parameters.user_id()?;
        match (&self.caller, named) {
            (Caller::Token { subject, .. }, Some(named)) if named != *subject => Err(Problem::new(
                Kind::UserRefused,
                "`username` must be the token's `sub`, or be left out.",
            )),
            (Caller::Token { subject, .. }, _) => Ok(Some(subject.clone())),
            (Caller::Key(_) | Caller::Anyone, named) => Ok(named),
        }
    }
}

fn is_stun(uri: &str) -> bool {
    let scheme = uri.split(':').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("stun") || scheme.eq_ignore_ascii_case("stuns")
}

/// A clock before 1970 counts as 1970: everything signed then has long expired.
fn unix_now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime(since.unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use axum::body::Body;
    use tracing::Level;

    use super::*;
    use crate::api::ApiKey;
    use crate::auth::Secret;

    /// A log that can be read again.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic inside").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn api() -> Api {
        let settings = Settings {
            listen: Vec::new(),
            shared: Vec::new(),
            is_proxied: false,
            trusted_proxies: Vec::new(),
            keys: vec![ApiKey {
                name: "web".to_owned(),
                secret: Secret::new("the api key"),
            }],
            tokens: Vec::new(),
            origins: Vec::new(),
            allow_loopback_origins: false,
            uris: vec!["turn:turn.example.org".to_owned()],
            signing_secret: Some(Secret::new("the signing secret")),
            separator: ':',
            signers: Signers::default(),
            default_ttl: Duration::from_secs(600),
            max_ttl: Duration::from_secs(600),
            per_key_per_minute: 10,
            per_address_per_minute: 10,
        };
        Api::new(&settings, || true).expect("good settings")
    }

    /// What is logged at `level` and above for a request to `uri` from 192.0.2.1, and the password issued.
    fn logged(level: Level, uri: &str) -> (String, Option<String>) {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let client = Client([192, 0, 2, 1].into());
        let request = Request::get(uri).body(Body::empty()).expect("a request");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let outcome = tracing::subscriber::with_default(subscriber, || {
            let api = api();
            let asked = runtime.block_on(api.read(client, request));
            let issued = asked.and_then(|asked| api.issue(&asked));
            issued.map_err(|problem| api.refuse(client, problem))
        });
        let bytes = log.0.lock().expect("no panic inside").clone();
        let text = String::from_utf8(bytes).expect("text");
        (text, outcome.ok().map(|issued| issued.password))
    }

    #[test]
    fn an_issue_is_logged_without_address_or_secret() {
        let uri = "/?username=al%22ice&key=the+api+key&ttl=60";
        let (log, password) = logged(Level::INFO, uri);
        assert!(log.contains("credential issued"), "{log}");
        for field in [r#"key="web""#, r#"user="al\"ice""#, "ttl=60"] {
            assert!(log.contains(field), "{field} in {log}");
        }
        let password = password.expect("issued");
        for secret in ["192.0.2.1", "the api key", "the signing secret", &password] {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
    }

    #[test]
    fn a_refusal_names_the_address_at_debug_only() {
        let (log, _) = logged(Level::INFO, "/?key=wrong");
        assert!(
            log.contains("refused") && !log.contains("192.0.2.1"),
            "{log}"
        );
        assert!(!log.contains("wrong"), "{log}");
        let (log, _) = logged(Level::DEBUG, "/?key=wrong");
        assert!(log.contains("192.0.2.1"), "{log}");
    }
}
