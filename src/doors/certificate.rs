//! What a certificate says of itself: its names and its end.
//!
//! Promises: a name is taken from the subject's alternative names alone, never
//! from the common name, and only where its kind is the kind of its text: a DNS
//! name that looks like a mail address is none. Must never: judge whether a
//! certificate is to be believed. That is done before it comes here.

use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::names::NameKind;

/// What is taken from a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// DNS names, URIs and mail addresses, as they stand in it.
    pub names: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub ends: u64,
}

/// The certificate is not one that can be read.
#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be read: {0}")]
pub struct Unreadable(X509Error);

impl Certificate {
    /// Reads one in DER.
    pub fn read(der: &[u8]) -> Result<Certificate, Unreadable> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| Unreadable(error.into()))?;
        let ends = certificate.validity().not_after.timestamp();
        // One that ended before 1970 has ended.
        let ends = u64::try_from(ends).unwrap_or_default();
        let found = certificate.subject_alternative_name().map_err(Unreadable)?;
        let names = found.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        Ok(Certificate { names: names.iter().filter_map(name).collect(), ends })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    let (text, kind) = match *name {
        GeneralName::DNSName(text) => (text, NameKind::Dns),
        GeneralName::URI(text) => (text, NameKind::Uri),
        GeneralName::RFC822Name(text) => (text, NameKind::Email),
        _ => return None,
    };
    (NameKind::of(text) == Some(kind)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn with(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("signed").der().to_vec()
    }

    #[test]
    fn names_of_the_three_kinds_and_the_end_are_read() {
        let text = |text: &str| text.try_into().expect("ascii");
        let der = with(vec![
            SanType::DnsName(text("proxy-1.example.com")),
            SanType::URI(text("spiffe://corp/proxy-1")),
            SanType::Rfc822Name(text("ops@example.com")),
            SanType::IpAddress([127, 0, 0, 1].into()),
        ]);
        let read = Certificate::read(&der).expect("readable");
        assert_eq!(read.names, ["proxy-1.example.com", "spiffe://corp/proxy-1", "ops@example.com"]);
        assert_eq!(read.ends, 1_893_542_400);
        assert_eq!(Certificate::read(&with(Vec::new())).expect("readable").names, [""; 0]);
    }

    #[test]
    fn a_name_of_one_kind_does_not_pass_for_one_of_another() {
        let text = |text: &str| text.try_into().expect("ascii");
        let der = with(vec![
            SanType::DnsName(text("ops@example.com")),
            SanType::DnsName(text("spiffe://corp/proxy-1")),
            SanType::URI(text("proxy-1.example.com")),
            SanType::Rfc822Name(text("proxy-1.example.com")),
            SanType::DnsName(text("a b")),
        ]);
        assert_eq!(Certificate::read(&der).expect("readable").names, [""; 0]);
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        let whole = with(Vec::new());
        for cut in [0, 1, 10, whole.len() - 1] {
            assert!(Certificate::read(&whole[..cut]).is_err(), "{cut} bytes");
        }
    }
}
