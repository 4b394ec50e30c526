//! A CA of our own, and certificates that it signs.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

/// Signs certificates.
#[derive(Debug)]
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
    pub der: Vec<u8>,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Ca(CertifiedIssuer::self_signed(params, key).expect("a CA"))
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of `localhost` and 127.0.0.1. Its common name tells which it is.
    pub fn server(&self, name: &str, for_how_long: Duration) -> Pair {
        let names = vec![
            SanType::DnsName("localhost".try_into().expect("ascii")),
            SanType::IpAddress([127, 0, 0, 1].into()),
        ];
        self.sign(name, names, ExtendedKeyUsagePurpose::ServerAuth, for_how_long)
    }

    /// A client's certificate with these names: what has a colon is a URI, what
    /// has an `@` a mail address.
    pub fn client(&self, names: &[&str], for_how_long: Duration) -> Pair {
        let name = |name: &&str| {
            let text = (*name).try_into().expect("ascii");
            match *name {
                uri if uri.contains(':') => SanType::URI(text),
                mail if mail.contains('@') => SanType::Rfc822Name(text),
                _ => SanType::DnsName(text),
            }
        };
        let names = names.iter().map(name).collect();
        self.sign("client", names, ExtendedKeyUsagePurpose::ClientAuth, for_how_long)
    }

    /// The same, but it ended a minute ago.
    pub fn expired_client(&self, name: &str) -> Pair {
        let names = vec![SanType::DnsName(name.try_into().expect("ascii"))];
        let ended = SystemTime::now() - Duration::from_secs(60);
        self.sign_until("client", names, ExtendedKeyUsagePurpose::ClientAuth, ended)
    }

    fn sign(
        &self,
        name: &str,
        names: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        for_how_long: Duration,
    ) -> Pair {
        self.sign_until(name, names, usage, SystemTime::now() + for_how_long)
    }

    fn sign_until(
        &self,
        name: &str,
        names: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        end: SystemTime,
    ) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = names;
        params.extended_key_usages = vec![usage];
        params.not_before = (SystemTime::now() - Duration::from_secs(3600)).into();
        params.not_after = end.into();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        let (der, certificate) = (certificate.der().to_vec(), certificate.pem());
        Pair { certificate, key: key.serialize_pem(), der }
    }
}

impl Pair {
    /// Puts both files in place of what is there, each at once, as certbot does.
    pub fn put(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let put = |ending: &str, text: &str| {
            let (new, path) =
                (folder.join(format!("{name}.new")), folder.join(format!("{name}.{ending}")));
            std::fs::write(&new, text).expect("written");
            std::fs::rename(&new, &path).expect("put in place");
            path
        };
        (put("crt", &self.certificate), put("key", &self.key))
    }
}
