//! TLS with a mail server: whom we trust, and what to tell of a certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::mail::transport::BadMailConfig;
use crate::trust::{self, NoTrust};

/// The system's authorities, and those of a file.
pub(super) fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, BadMailConfig> {
    let config = trust::client(ca_file).map_err(|error| match error {
        NoTrust::CaFile { path, reason } => BadMailConfig::CaFile { path, reason },
        NoTrust::Tls(why) => BadMailConfig::Tls(why),
    })?;
    Ok(Arc::new(config))
}

/// How the connection is encrypted, and with whose certificate.
pub(super) fn described(connection: &ClientConnection) -> Vec<String> {
    let version = connection.protocol_version().map(|version| format!("{version:?}"));
    let suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let or_none = |what: Option<String>| what.unwrap_or_else(|| "unknown".to_owned());
    let mut lines = vec![format!("encrypted: {}, {}", or_none(version), or_none(suite))];
    if let Some([first, ..]) = connection.peer_certificates() {
        lines.push(match X509Certificate::from_der(first) {
            Ok((_, certificate)) => format!(
                "certificate: {}, for {}, from {}, valid until {}",
                certificate.subject(),
                names(&certificate),
                certificate.issuer(),
                day(certificate.validity().not_after.timestamp()),
            ),
            Err(error) => format!("certificate: cannot be read: {error}"),
        });
    }
    lines
}

/// The names that a certificate is for.
fn names(certificate: &X509Certificate<'_>) -> String {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return "no name".to_owned();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| std::net::IpAddr::from(b).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|b| std::net::IpAddr::from(b).to_string()),
        },
        _ => None,
    };
    let names: Vec<String> = names.value.general_names.iter().filter_map(name).collect();
    names.join(", ")
}

/// A time of a certificate, to the minute.
pub(super) fn day(seconds: i64) -> String {
    match chrono::DateTime::from_timestamp(seconds, 0) {
        Some(time) => time.format("%Y-%m-%d %H:%M UTC").to_string(),
        None => format!("second {seconds}"),
    }
}
