//! How the TCP door speaks TLS.

use std::path::PathBuf;

use super::error::{Problems, printable};
use super::file;
use super::scalars::Given;

/// Certificate chain, private key, and what clients have to bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, PEM.
    pub cert_file: PathBuf,
    /// The key, PEM.
    pub key_file: PathBuf,
    /// The CAs whose client certificates count, PEM; `None`: none do.
    pub client_ca_file: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// 1.2, of 2008.
    #[default]
    V1_2,
    /// 1.3, of 2018.
    V1_3,
}

impl TlsVersion {
    /// As it is written in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            TlsVersion::V1_2 => "1.2",
            TlsVersion::V1_3 => "1.3",
        }
    }
}

/// Certificate and key: both or neither. All files have to be readable.
pub(super) fn read(given: &Given, problems: &mut Problems) -> Option<TlsFiles> {
    let [cert, key, ca] =
        ["tls_cert_file", "tls_key_file", "tls_client_ca_file"].map(|name| given.path(name));
    for (name, other, alone) in [
        ("tls_cert_file", "tls_key_file", cert.as_ref().filter(|_| key.is_none())),
        ("tls_key_file", "tls_cert_file", key.as_ref().filter(|_| cert.is_none())),
        ("tls_client_ca_file", "tls_cert_file", ca.as_ref().filter(|_| cert.is_none())),
    ] {
        if let Some((_, place)) = alone {
            let message = format!("`{name}` is set, but `{other}` is not");
            problems.error(place, message, format!("set `{other}`, or take `{name}` away"));
        }
    }
    for (name, named) in
        [("tls_cert_file", &cert), ("tls_key_file", &key), ("tls_client_ca_file", &ca)]
    {
        let Some((path, place)) = named else { continue };
        if let Err(error) = file::read(path, file::LONGEST) {
            let message = format!("`{name}` {} cannot be read: {error}", printable(path));
            problems.error(place, message, "name a PEM file that this user can read");
        }
    }
    let min_version = min_version(given, problems);
    Some(TlsFiles {
        cert_file: cert?.0,
        key_file: key?.0,
        client_ca_file: ca.map(|(path, _)| path),
        min_version,
    })
}

fn min_version(given: &Given, problems: &mut Problems) -> TlsVersion {
    let Some((text, place)) = given.text("tls_min_version") else {
        return TlsVersion::default();
    };
    let known = [TlsVersion::V1_2, TlsVersion::V1_3];
    known.into_iter().find(|version| version.word() == text).unwrap_or_else(|| {
        let message = format!("`tls_min_version` is \"{}\"", super::names::shortened(text));
        problems.error(place, message, "write \"1.2\" or \"1.3\"; older versions are not spoken");
        TlsVersion::default()
    })
}
