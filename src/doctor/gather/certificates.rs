//! Reads the certificates that are served, and has them judged as a client would.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error};
use webpki::EndEntityCert;

use super::now;
use crate::doctor::facts::Certificate;
use crate::doctor::{Subject, Unseen};
use crate::load::tls::roots;
use crate::net;
use crate::probe::{Trust, read_certificate};

pub(super) fn read(
    subject: &Subject<'_>,
    trust: &Trust,
    unseen: &mut Vec<Unseen>,
) -> Vec<Certificate> {
    let net = &subject.loaded.checked.relay.net;
    let named = net.certificates.iter().map(|named| &named.certificate);
    let all = net.certificate.iter().chain(named);
    let mut found: Vec<Certificate> = Vec::new();
    for certificate in all {
        let net::Certificate::Files { chain, .. } = certificate else {
            continue;
        };
        if found.iter().any(|known| known.file == *chain) {
            continue;
        }
        match read_one(chain, trust) {
            Ok(certificate) => found.push(certificate),
            Err(why) => unseen.push(Unseen {
                what: format!("the certificate {}", chain.display()),
                why,
            }),
        }
    }
    found
}

fn read_one(file: &Path, trust: &Trust) -> Result<Certificate, String> {
    let text = fs::read(file).map_err(|error| error.to_string())?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| error.to_string())?;
    let leaf = chain.first().ok_or("it holds no certificate")?;
    let told = read_certificate(leaf, i64::try_from(now().0).unwrap_or(i64::MAX));
    let names: Vec<_> = chain
        .iter()
        .filter_map(|der| EndEntityCert::try_from(der).ok())
        .collect();
    let is_self_signed = names
        .first()
        .is_some_and(|leaf| leaf.issuer() == leaf.subject());
    let is_linked = names.len() == chain.len()
        && names
            .windows(2)
            .all(|pair| pair[0].issuer() == pair[1].subject());
    Ok(Certificate {
        file: file.to_path_buf(),
        trusted: judge(leaf, &chain[1..], &told.names, trust),
        names: told.names,
        days_left: told.days_left,
        length: chain.len(),
        is_self_signed,
        is_linked,
    })
}

/// Whether the chain leads to an authority that is trusted; dates and names are looked at elsewhere.
fn judge(
    leaf: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
    names: &[String],
    trust: &Trust,
) -> Result<bool, String> {
    let roots = roots(trust).map_err(|error| error.to_string())?;
    let Some(roots) = roots else {
        return Err("nobody is to judge it".into());
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let judge = judge.build().map_err(|error| error.to_string())?;
    let name = names
        .first()
        .map_or("localhost".to_owned(), |name| name.replace('*', "name"));
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    let judged = judge.verify_server_cert(leaf, chain, &name, &[], UnixTime::now());
    match judged {
        Ok(_) => Ok(true),
        Err(Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
            | CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. },
        )) => Ok(true),
        Err(Error::InvalidCertificate(_)) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}
