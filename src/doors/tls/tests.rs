//! Which files are taken, and what is said of those that are not.

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

struct Folder {
    folder: TempDir,
    counts: Arc<DoorCounts>,
}

/// A self-signed certificate and its key.
fn pair(ends_in: i32) -> (String, String) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(ends_in, 1, 1);
    let key = KeyPair::generate().expect("a key");
    (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
}

impl Folder {
    fn new() -> Self {
        let folder =
            Folder { folder: tempfile::tempdir().expect("a folder"), counts: Arc::default() };
        folder.put(&pair(2030));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, (certificate, key): &(String, String)) {
        fs::write(self.path("tls.crt"), certificate).expect("written");
        fs::write(self.path("tls.key"), key).expect("written");
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            cert_file: self.path("tls.crt"),
            key_file: self.path("tls.key"),
            client_ca_file: None,
            min_version: TlsVersion::V1_2,
        }
    }

    fn start(&self) -> Result<Arc<Tls>, TlsError> {
        Tls::start(&self.files(), H2, self.counts.clone())
    }

    fn ends(&self) -> i64 {
        self.counts.certificate_expires_at.load(Ordering::Relaxed)
    }
}

const AT_2030: i64 = 1_893_456_000;
const AT_2040: i64 = 2_208_988_800;

#[tokio::test]
async fn a_new_pair_is_taken_when_it_is_there_and_a_bad_one_never() {
    let folder = Folder::new();
    let tls = folder.start().expect("started");
    let first = tls.current();
    assert_eq!(folder.ends(), AT_2030);
    tls.look();
    assert!(Arc::ptr_eq(&first, &tls.current()), "nothing has changed");
    let (old, new) = (fs::read_to_string(folder.path("tls.key")).expect("read"), pair(2040));
    // The certificate is there already, its key not yet.
    folder.put(&(new.0.clone(), old));
    tls.look();
    assert!(Arc::ptr_eq(&first, &tls.current()));
    fs::remove_file(folder.path("tls.crt")).expect("removed");
    tls.look();
    assert!(Arc::ptr_eq(&first, &tls.current()));
    assert_eq!(folder.counts.certificate_reload_failures.load(Ordering::Relaxed), 2);
    tls.look();
    let failures = folder.counts.certificate_reload_failures.load(Ordering::Relaxed);
    assert_eq!(failures, 2, "the same files are not tried again");
    assert_eq!(folder.ends(), AT_2030);
    folder.put(&new);
    tls.look();
    assert!(!Arc::ptr_eq(&first, &tls.current()));
    assert_eq!(folder.ends(), AT_2040);
    // When asked to, it reads what has not changed as well.
    let second = tls.current();
    tls.reload(&folder.files()).expect("read again");
    assert!(!Arc::ptr_eq(&second, &tls.current()));
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_with_its_setting_and_without_its_content() {
    let refused = |certificate: &str, key: &str, ca: Option<&str>, says: &[&str]| {
        let folder = Folder::new();
        let good = pair(2030);
        let or =
            |text: &str, good: &str| if text == "good" { good.to_owned() } else { text.to_owned() };
        folder.put(&(or(certificate, &good.0), or(key, &good.1)));
        let mut files = folder.files();
        if let Some(ca) = ca {
            files.client_ca_file = Some(folder.path("ca.crt"));
            fs::write(folder.path("ca.crt"), ca).expect("written");
        }
        let error = Tls::start(&files, H2, Arc::default()).expect_err("refused").to_string();
        for words in says {
            assert!(error.contains(words), "{words:?} is not in: {error}");
        }
        assert!(!error.contains("c2VjcmV0"), "{error}");
    };
    let secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    let broken = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0 !\n-----END PRIVATE KEY-----\n";
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let odd = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
    refused("", "good", None, &["`tls_cert_file`", "tls.crt", "no certificate"]);
    refused(odd, "good", None, &["`tls_cert_file`", "cannot be read"]);
    refused(secret, "good", None, &["`tls_cert_file`", "no certificate"]);
    refused("good", "", None, &["`tls_key_file`", "tls.key", "no private key"]);
    refused("good", locked, None, &["`tls_key_file`", "without a passphrase"]);
    refused("good", secret, None, &["does not fit `tls_key_file`"]);
    refused("good", broken, None, &["`tls_key_file`", "not PEM"]);
    refused("good", &pair(2030).1, None, &["does not fit `tls_key_file`"]);
    refused("good", "good", Some(""), &["`tls_client_ca_file`", "ca.crt", "no certificate"]);
    refused("good", "good", Some(odd), &["`tls_client_ca_file`", "CAs that sign"]);
    let folder = Folder::new();
    fs::remove_file(folder.path("tls.key")).expect("removed");
    let error = folder.start().expect_err("refused").to_string();
    assert!(error.contains("cannot read `tls_key_file`"), "{error}");
}

#[test]
fn the_end_of_a_certificate_is_said_once_a_day_and_at_once_when_it_comes() {
    const NOW: u64 = 1_000 * DAY;
    assert!(!warning_is_due(NOW + SOON + 1, NOW, None));
    assert!(warning_is_due(NOW + SOON, NOW, None));
    let soon = NOW + 10 * DAY;
    assert!(!warning_is_due(soon, NOW + DAY - 1, Some((NOW, false))));
    assert!(warning_is_due(soon, NOW + DAY, Some((NOW, false))));
    assert!(warning_is_due(NOW + 5, NOW + 5, Some((NOW, false))));
    assert!(!warning_is_due(NOW + 5, NOW + 6, Some((NOW + 5, true))));
    assert!(warning_is_due(NOW + 5, NOW + 5 + DAY, Some((NOW + 5, true))));
}
