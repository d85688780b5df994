//! Checks the certificates of TLS listeners: readable, whole, matching their keys, in date, and for the names that they are for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use webpki::{EndEntityCert, KeyUsage};

use super::problem::{Problem, Span, Topic};
use super::raw;
use super::surroundings::{Surroundings, read_file, why};
use super::units::DAY;
use super::value::{At, Reader};
use crate::net::{Certificate, NamedCertificate};

/// A certificate that can be served.
pub(super) struct Usable {
    pub files: Certificate,
    /// A name that clients can reach the server by, if the certificate has one.
    pub name: Option<String>,
    /// All names of hosts in it, in lower case.
    names: Vec<String>,
}

/// Where a certificate is configured.
struct Written<'a> {
    table: &'a Option<Span>,
    /// What the table is called.
    called: &'static str,
    certificate: &'a Option<At<PathBuf>>,
    key: &'a Option<At<PathBuf>>,
}

/// Reads certificate and key and reports what is wrong with them.
pub(super) fn check(
    tls: &At<raw::Tls>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<Usable> {
    let written = Written {
        table: &tls.span,
        called: "[tls]",
        certificate: &tls.value.certificate,
        key: &tls.value.key,
    };
    check_one(&written, host, reader)
}

/// The same for the admin API's own.
pub(super) fn check_admin(
    tcp: &At<raw::AdminTcp>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Option<Certificate> {
    let written = Written {
        table: &tcp.span,
        called: "[admin.tcp]",
        certificate: &tcp.value.certificate,
        key: &tcp.value.key,
    };
    check_one(&written, host, reader).map(|usable| usable.files)
}

/// Checks those that clients ask for by name.
pub(super) fn check_named(
    tls: &At<raw::Tls>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Vec<NamedCertificate> {
    let mut taken: Vec<At<String>> = Vec::new();
    let mut checked = Vec::new();
    for named in &tls.value.certificates.value {
        let written = Written {
            table: &named.span,
            called: "[[tls.certificates]]",
            certificate: &named.value.certificate,
            key: &named.value.key,
        };
        let Some(usable) = check_one(&written, host, reader) else {
            continue;
        };
        let names = names(named, &usable, reader);
        for name in &names {
            if let Some(first) = taken.iter().find(|taken| taken.value == name.value) {
                let wrong = format!("`{}` has two certificates", name.value);
                reader.report(
                    Problem::error(name.span.clone(), wrong)
                        .also(first.span.clone(), "first here")
                        .help("name each name once: `names` says which of its names a certificate is for"),
                );
            }
        }
        checked.push(NamedCertificate {
            names: names.iter().map(|name| name.value.clone()).collect(),
            certificate: usable.files,
        });
        taken.extend(names);
    }
    checked
}

/// The names that a certificate is served for.
fn names(
    named: &At<raw::NamedCertificate>,
    usable: &Usable,
    reader: &mut Reader,
) -> Vec<At<String>> {
    let Some(written) = &named.value.names else {
        let place =
            (named.value.certificate.as_ref()).map_or(named.span.clone(), |at| at.span.clone());
        if usable.names.is_empty() {
            let wrong = "this certificate is for no host name, so no client can ask for it";
            let problem = Problem::error(place.clone(), wrong);
            reader.report(problem.help("use one with a DNS name (subjectAltName), or remove it"));
        }
        let at = |name: &String| At {
            value: name.clone(),
            span: place.clone(),
        };
        return usable.names.iter().map(at).collect();
    };
    if written.value.is_empty() {
        let problem = Problem::error(
            written.span.clone(),
            "this certificate is served for no name",
        );
        reader.report(
            problem.help("add a name, or remove `names`: it is served for its own ones then"),
        );
    }
    for at in &written.value {
        let name = &at.value.0;
        let is_covered = |own: &String| {
            let of_wildcard = own.strip_prefix('*');
            let is_within = |domain| name.find('.').is_some_and(|dot| &name[dot..] == domain);
            own == name || of_wildcard.is_some_and(is_within)
        };
        if !usable.names.iter().any(is_covered) {
            let wrong = format!("this certificate is not for `{name}`");
            let problem = Problem::warning(at.span.clone(), wrong);
            reader.report(problem.help("clients that ask for this name refuse it"));
        }
    }
    written
        .value
        .iter()
        .map(|at| at.with(at.value.0.clone()))
        .collect()
}

fn check_one(written: &Written<'_>, host: &Surroundings, reader: &mut Reader) -> Option<Usable> {
    let Written {
        table,
        called,
        certificate,
        key,
    } = *written;
    for (value, name) in [(certificate, "certificate"), (key, "key")] {
        if value.is_none() && !reader.is_flawed(table) {
            let problem = Problem::error(table.clone(), format!("{called} has no `{name}`"));
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
        let problem = problem.help("clients refuse it; renew it");
        reader.report(problem.about(Topic::CertificateDates));
    }
    let names: Vec<String> = leaf
        .iter()
        .flat_map(|leaf| leaf.valid_dns_names())
        .map(str::to_ascii_lowercase)
        .collect();
    Some(Usable {
        name: names.iter().find(|name| !name.contains('*')).cloned(),
        names,
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
