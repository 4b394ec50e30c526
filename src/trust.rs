//! Whom we trust when we speak TLS to somebody.

use std::path::Path;

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::config::{file, printable};

/// TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum NoTrust {
    /// A file of certificates cannot be used.
    #[error("{path}: {reason}")]
    CaFile {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// There is nothing to go by.
    #[error("{0}")]
    Tls(String),
}

/// The system's authorities, and those of a file.
pub fn client(ca_file: Option<&Path>) -> Result<ClientConfig, NoTrust> {
    let mut roots = RootCertStore::empty();
    // What of the system's cannot be read is not trusted; the rest is.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let bad = |reason: String| NoTrust::CaFile { path: printable(path), reason };
        let pem = file::read(path, file::LONGEST).map_err(|error| bad(error.to_string()))?;
        let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|error| bad(error.to_string()))?;
        if certificates.is_empty() {
            return Err(bad("no certificate in it".to_owned()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err(NoTrust::Tls("this machine trusts no authority".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| NoTrust::Tls(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
