//! The settings of mail, which belong together: no server without a sender, no
//! user without a password, no password in clear.

use std::path::PathBuf;

use lettre::message::Mailbox;

use super::error::{Place, Problems, printable};
use super::file;
use super::names::shortened;
use super::scalars::Given;
use super::smtp::{Smtp, SmtpAuth, read_password};

/// How a mail server is written.
const SMTP_FORMS: &str = "write smtps://USER@HOST, smtp+starttls://USER@HOST or smtp://localhost, \
                          with %40 for an @ in the user, and the password into a file that \
                          `smtp_password_file` names";

/// What means something only beside `smtp_url`.
const BESIDE_URL: [&str; 4] =
    ["smtp_password_file", "smtp_auth", "smtp_tls_ca_file", "smtp_allow_unencrypted"];

impl Given {
    /// The mail server, with its password from wherever it is.
    pub fn smtp(&self, problems: &mut Problems) -> Option<Smtp> {
        let Some((url, place)) = self.text("smtp_url") else {
            for name in BESIDE_URL {
                if let Some((_, place)) = self.text(name) {
                    let message = format!("`{name}` is set, but `smtp_url` is not");
                    problems.error(
                        place,
                        message,
                        format!("set `smtp_url`, or take `{name}` away"),
                    );
                }
            }
            return None;
        };
        if self.text("from").is_none() {
            let message = "`smtp_url` is set, but `from` is not";
            let remedy = "add from = \"Holdpoint <holdpoint@example.com>\", with an address that \
                          the server accepts";
            problems.error(place, message, remedy);
        }
        let mut smtp = match Smtp::parse(url) {
            Ok(smtp) => smtp,
            Err(fault) => {
                let message = format!("`smtp_url` (not shown, it may hold a password): {fault}");
                problems.error(place, message, SMTP_FORMS);
                return None;
            }
        };
        smtp.allow_unencrypted = self.switch("smtp_allow_unencrypted", problems);
        if smtp.is_plain_beyond_this_machine() && smtp.allow_unencrypted {
            let message = "mail goes unencrypted to another machine: who is on the way reads and \
                           changes it";
            let remedy = "use smtps:// (port 465) or smtp+starttls:// (port 587) when the server \
                          can, and take `smtp_allow_unencrypted` away";
            problems.warning(place, message, remedy);
        } else if smtp.is_plain_beyond_this_machine() {
            let message = "`smtp_url` would send mail unprotected to another machine";
            let remedy = "use smtps:// (port 465) or smtp+starttls:// (port 587); for a server that \
                          can neither, say `smtp_allow_unencrypted = true`";
            problems.error(place, message, remedy);
        }
        smtp.auth = self.smtp_auth(problems);
        smtp.tls_ca_file = self.smtp_tls_ca_file(problems);
        self.smtp_password(&mut smtp, problems);
        Some(smtp)
    }

    /// Reads the password, from wherever it is.
    fn smtp_password(&self, smtp: &mut Smtp, problems: &mut Problems) {
        let url = self.text("smtp_url").map_or(&Place::Default, |(_, place)| place);
        let file = self.path("smtp_password_file");
        match (smtp.user.is_some(), smtp.password.is_some(), file) {
            (_, true, Some((_, place))) => problems.error(
                place,
                "the password stands in `smtp_url` and in `smtp_password_file`",
                "keep one of the two, best the file",
            ),
            (false, _, Some((_, place))) => problems.error(
                place,
                "`smtp_password_file` is set, but `smtp_url` names no user",
                "write the user into the URL: smtps://USER@HOST",
            ),
            (true, false, None) => problems.error(
                url,
                "`smtp_url` names a user, but there is no password",
                "write the password into a file and name it with `smtp_password_file`",
            ),
            (true, false, Some((path, place))) => match read_password(&path) {
                Ok(password) => {
                    smtp.password = Some(password);
                    smtp.password_file = Some(path);
                }
                Err(fault) => {
                    let message = format!("`smtp_password_file` {} {fault}", printable(&path));
                    let remedy = "name a file that this user can read, with the password on one \
                                  line and nothing else";
                    problems.error(place, message, remedy);
                }
            },
            (true, true, None) if smtp.auth == SmtpAuth::XOAuth2 => problems.error(
                url,
                "`smtp_auth` is \"xoauth2\", and the access token stands in `smtp_url`",
                "tokens change by the hour: let what fetches them write each into a file, and \
                 name it with `smtp_password_file`",
            ),
            (_, _, None) => {}
        }
    }

    fn smtp_auth(&self, problems: &mut Problems) -> SmtpAuth {
        let Some((text, place)) = self.text("smtp_auth") else {
            return SmtpAuth::Auto;
        };
        SmtpAuth::parse(text).unwrap_or_else(|| {
            let message = format!("`smtp_auth` is \"{}\"", shortened(text));
            problems.error(place, message, "write auto, plain, login or xoauth2");
            SmtpAuth::Auto
        })
    }

    fn smtp_tls_ca_file(&self, problems: &mut Problems) -> Option<PathBuf> {
        let (path, place) = self.path("smtp_tls_ca_file")?;
        let fault = match file::read(&path, file::LONGEST) {
            Ok(pem) if pem.windows(11).any(|at| at == b"-----BEGIN ") => return Some(path),
            Ok(_) => "holds no certificate".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        let message = format!("`smtp_tls_ca_file` {} {fault}", printable(&path));
        let remedy = "name a PEM file with the certificate of the authority that signs the mail \
                      server's";
        problems.error(place, message, remedy);
        None
    }

    /// How many connections to the mail server at most.
    pub fn smtp_connections(&self, problems: &mut Problems) -> usize {
        self.count("smtp_connections", problems)
    }

    /// How many mails stay in the folder.
    pub fn mail_folder_keep(&self, problems: &mut Problems) -> usize {
        self.count("mail_folder_keep", problems)
    }

    /// The sender of mails, or where answers to them go.
    pub fn mailbox(&self, name: &str, problems: &mut Problems) -> Option<Mailbox> {
        let (text, place) = self.text(name)?;
        let mailbox: Option<Mailbox> =
            text.parse().ok().filter(|_| !text.chars().any(char::is_control));
        if mailbox.is_none() {
            let message = format!("`{name}` is \"{}\", not a mail address", shortened(text));
            let remedy = "write for example Holdpoint <holdpoint@example.com>";
            problems.error(place, message, remedy);
        }
        mailbox
    }
}
