//! Checks the certificate of TLS listeners: readable, whole, matching its key, in date.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use webpki::{EndEntityCert, KeyUsage};

use super::problem::Problem;
use super::raw;
use super::surroundings::{Surroundings, read_file, why};
use super::units::DAY;
use super::value::{At, Reader};
use crate::net::Certificate;

/// A certificate that can be served.
pub(super) struct Usable {
    pub files: Certificate,
    /// A name that clients can reach the server by, if the certificate has one.
    pub name: Option<String>,
}

/// Reads certificate and key and reports what is wrong with them.
pub(super) fn check(
    tls: &At<raw::Tls>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<Usable> {
    let raw::Tls {
        certificate, key, ..
    } = &tls.value;
    for (value, name) in [(certificate, "certificate"), (key, "key")] {
        if value.is_none() && !reader.is_flawed(&tls.span) {
            let problem = Problem::error(tls.span.clone(), format!("[tls] has no `{name}`"));
            reader.report(problem.help(format!("add {name} = \"/path/to/{name}.pem\"")));
        }
    }
    // Both are read before the first one that fails ends this: both may have problems.
    let chain = certificate
        .as_ref()
        .and_then(|path| read_chain(path, host, reader));
    let private = key.as_ref().and_then(|path| read_key(path, host, reader));
    let ((chain_path, chain), (key_path, private)) = (chain?, private?);
    let (certificate, key) = (certificate.as_ref()?, key.as_ref()?);
    let leaf = chain.first()?.clone();
    if let Err(error) = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()) {
        reader.report(unusable(certificate, key, &error));
        return None;
    }
    let leaf = EndEntityCert::try_from(&leaf).ok();
    if let Some(wrong) = leaf
        .as_ref()
        .and_then(|leaf| validity(leaf, UnixTime::now()))
    {
        let problem = Problem::warning(certificate.span.clone(), wrong);
        reader.report(problem.help("clients refuse it; renew it"));
    }
    let name = leaf
        .as_ref()
        .and_then(|leaf| leaf.valid_dns_names().find(|name| !name.contains('*')));
    Some(Usable {
        name: name.map(str::to_owned),
        files: Certificate::Files {
            chain: chain_path,
            key: key_path,
        },
    })
}

fn unusable(certificate: &At<PathBuf>, key: &At<PathBuf>, error: &Error) -> Problem {
    if let Error::InconsistentKeys(InconsistentKeys::KeyMismatch) = error {
        let wrong = "this key does not belong to the certificate";
        return Problem::error(key.span.clone(), wrong)
            .also(certificate.span.clone(), "the certificate")
            .help("use the key that the certificate was requested with");
    }
    let wrong = format!("this certificate and its key cannot be served: {error}");
    Problem::error(certificate.span.clone(), wrong).also(key.span.clone(), "the key")
}

fn read_chain(
    path: &At<PathBuf>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<(PathBuf, Vec<CertificateDer<'static>>)> {
    let place = host.locate(&path.value);
    let bytes = readable(&place, path, reader)?.bytes;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let wrong = match chain {
        Ok(chain) if !chain.is_empty() => return Some((place, chain)),
        Ok(_) | Err(pem::Error::NoItemsFound) => "holds no certificate in PEM form".to_owned(),
        Err(error) => format!("is damaged: {error}"),
    };
    let wrong = format!("{} {wrong}", place.display());
    reader.report(
        Problem::error(path.span.clone(), wrong)
            .help("it has to begin with -----BEGIN CERTIFICATE-----, followed by its chain"),
    );
    None
}

fn read_key(
    path: &At<PathBuf>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<(PathBuf, PrivateKeyDer<'static>)> {
    let place = host.locate(&path.value);
    let file = readable(&place, path, reader)?;
    if file.world_readable {
        let wrong = format!("every user of this host can read {}", place.display());
        let help = format!("chmod o-rwx {}", place.display());
        reader.report(Problem::warning(path.span.clone(), wrong).help(help));
    }
    let error = match PrivateKeyDer::from_pem_slice(&file.bytes) {
        Ok(key) => return Some((place, key)),
        Err(error) => error,
    };
    let encrypted = file.bytes.windows(9).any(|window| window == b"ENCRYPTED");
    let (wrong, help) = match error {
        _ if encrypted => (
            "is encrypted".to_owned(),
            "write it without a passphrase: openssl pkey -in KEY -out PLAIN",
        ),
        pem::Error::NoItemsFound => (
            "holds no private key in PEM form".to_owned(),
            "it has to begin with -----BEGIN PRIVATE KEY-----",
        ),
        error => (format!("is damaged: {error}"), "write the file anew"),
    };
    let wrong = format!("{} {wrong}", place.display());
    reader.report(Problem::error(path.span.clone(), wrong).help(help));
    None
}

fn readable(
    place: &Path,
    path: &At<PathBuf>,
    reader: &mut Reader,
) -> Option<super::surroundings::ReadFile> {
    read_file(place)
        .map_err(|error| {
            let wrong = format!("cannot read {}: {}", place.display(), why(&error));
            reader.report(Problem::error(path.span.clone(), wrong));
        })
        .ok()
}

/// Says what is wrong with the dates of a certificate.
fn validity(leaf: &EndEntityCert<'_>, now: UnixTime) -> Option<String> {
    // Dates are checked before the path to an anchor, and there is no anchor to find.
    let verified = leaf.verify_for_usage(&[], &[], &[], now, KeyUsage::server_auth(), None, None);
    let days = |time: UnixTime| {
        let seconds = time.as_secs().abs_diff(now.as_secs());
        Duration::from_secs(seconds).as_secs().div_ceil(DAY)
    };
    match verified.err()? {
        webpki::Error::CertExpired { not_after, .. } => Some(format!(
            "this certificate expired {} days ago",
            days(not_after)
        )),
        webpki::Error::CertNotValidYet { not_before, .. } => Some(format!(
            "this certificate becomes valid in {} days",
            days(not_before)
        )),
        _ => None,
    }
}
