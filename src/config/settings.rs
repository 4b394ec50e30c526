//! The settings in force, for people to read. Secrets are hidden.

use super::error::printable;
use super::{Config, Place, SmtpAuth, duration};

/// A setting that is one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key, with the section before a dot.
    pub key: &'static str,
    /// Its value as TOML writes it, secrets hidden; `None`: not set.
    pub value: Option<String>,
    /// Where it was made.
    pub place: Place,
}

impl Config {
    /// Every setting that is one value, in the order of the example.
    pub fn settings(&self) -> Vec<Setting> {
        let path = |path: &std::path::Path| quoted(&printable(path));
        let span = |span| Some(quoted(&duration::text(span)));
        let number = |number: usize| Some(number.to_string());
        let (tls, smtp) = (self.tls.as_ref(), self.smtp.as_ref());
        let values = [
            ("listen", self.listen.map(|listen| quoted(&listen.to_string()))),
            ("tls_cert_file", tls.map(|tls| path(&tls.cert_file))),
            ("tls_key_file", tls.map(|tls| path(&tls.key_file))),
            ("tls_min_version", tls.map(|tls| quoted(tls.min_version.word()))),
            ("tls_client_ca_file", tls.and_then(|tls| tls.client_ca_file.as_deref()).map(path)),
            ("metrics_listen", self.metrics_listen.map(|listen| quoted(&listen.to_string()))),
            ("web_listen", self.web_listen.map(|listen| quoted(&listen.to_string()))),
            ("public_url", self.public_url.as_ref().map(|url| quoted(url.as_str()))),
            ("smtp_url", smtp.map(|smtp| quoted(&smtp.to_string()))),
            ("smtp_password_file", smtp.and_then(|s| s.password_file.as_deref()).map(path)),
            ("smtp_auth", Some(quoted(smtp.map_or(SmtpAuth::Auto, |smtp| smtp.auth).word()))),
            ("smtp_tls_ca_file", smtp.and_then(|s| s.tls_ca_file.as_deref()).map(path)),
            ("smtp_allow_unencrypted", Some(smtp.is_some_and(|s| s.allow_unencrypted).to_string())),
            ("smtp_connections", number(self.smtp_connections)),
            ("mail_folder_keep", number(self.mail_folder_keep)),
            ("from", self.from.as_ref().map(|from| quoted(&from.to_string()))),
            ("reply_to", self.reply_to.as_ref().map(|to| quoted(&to.to_string()))),
            ("mails_per_minute", number(self.mails_per_minute as usize)),
            ("default_timeout", span(self.default_timeout)),
            ("lapse_after", span(self.lapse_after)),
            ("lease", span(self.lease)),
            ("retention", self.retention.and_then(span)),
            ("limits.max_arguments_bytes", number(self.limits.max_arguments_bytes)),
            ("limits.max_pending_per_caller", number(self.limits.max_pending_per_caller)),
            ("limits.max_pending_per_client", number(self.limits.max_pending_per_client)),
            ("limits.max_held", number(self.limits.max_held)),
            ("limits.max_connections", number(self.limits.max_connections)),
            ("limits.max_connections_per_address", number(self.limits.max_connections_per_address)),
        ];
        let setting = |(key, value)| Setting {
            key,
            value,
            place: self.sources.get(key).cloned().unwrap_or_default(),
        };
        values.into_iter().map(setting).collect()
    }
}

/// A text as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
