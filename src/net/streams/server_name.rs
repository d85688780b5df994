//! The server name of a ClientHello (SNI, RFC 6066 §3), which chooses a realm.
//!
//! rustls tells it of an unbuffered connection to nobody but to what chooses the certificate, and does not tell that which
//! connection it asks for. Both happen within one call, on one thread: so what the one notes there, the other finds.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

thread_local! {
    /// The name in the ClientHello that was read last.
    static NOTED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has the server name of each ClientHello noted for [`take`], whatever chooses the certificate.
pub(super) fn note_in(config: &mut ServerConfig) {
    let inner = Arc::clone(&config.cert_resolver);
    config.cert_resolver = Arc::new(Noting { inner });
}

/// The server name that this thread has read since it was last asked.
pub(super) fn take() -> Option<String> {
    NOTED.take()
}

#[derive(Debug)]
struct Noting {
    inner: Arc<dyn ResolvesServerCert>,
}

impl ResolvesServerCert for Noting {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        NOTED.set(hello.server_name().map(str::to_owned));
        self.inner.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }
}
