//! The proof that somebody was given every page of a request's arguments.
//!
//! ```text
//! proof = base64url( upto[u32 BE] first[i64 BE, ms] seal[16] )
//! seal over who looks, request, digest, number of pages, upto, first
//! ```
//!
//! Each page that is served carries a proof for the pages up to itself, if what
//! asked for it proved those before: in its links, and in the form that approves.
//! So it holds without a script, and nothing has to be kept here.
//!
//! Promises: a proof of all pages exists only after each was served to this sign-in
//! (or by this link), for this digest; it tells when the first one was. Must never:
//! count a page that was left out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::call::model::Request;
use crate::call::time::Time;
use crate::desk::seal::{self, Seal};

/// The name of the field and of the parameter that carry it.
pub const PROOF: &str = "proof";

const PURPOSE: &str = "pages served";

/// What a proof has before its seal.
const HEAD: usize = 4 + 8;

/// What it is proven about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// By whom.
    pub seal: &'a Seal,
    /// Who looks: a sign-in, or a link.
    pub seen_by: &'a [u8; 32],
    /// At what.
    pub request: &'a Request,
    /// Which has so many pages.
    pub pages: usize,
}

/// What was served so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Every page up to this one, counted from 1.
    pub upto: usize,
    /// When the first page was.
    pub first: Time,
}

impl Served {
    /// Nothing yet.
    pub fn nothing(now: Time) -> Served {
        Served { upto: 0, first: now }
    }

    /// Reads a proof; what is none proves nothing.
    pub fn read(about: &About<'_>, proof: &str, now: Time) -> Served {
        Served::proven(about, proof).unwrap_or(Served::nothing(now))
    }

    fn proven(about: &About<'_>, proof: &str) -> Option<Served> {
        let bytes = URL_SAFE_NO_PAD.decode(proof).ok()?;
        let (head, made) = bytes.split_at_checked(HEAD)?;
        if made.len() != seal::BYTES || !about.holds(head, made) {
            return None;
        }
        let (upto, first) = head.split_at(4);
        let upto = u32::from_be_bytes(upto.try_into().ok()?);
        let first = i64::from_be_bytes(first.try_into().ok()?);
        Some(Served { upto: usize::try_from(upto).ok()?, first: Time(first) })
    }

    /// The same once this page is served too: it counts if those before it were.
    pub fn and(self, page: usize) -> Served {
        let upto = if page == self.upto + 1 { page } else { self.upto };
        Served { upto, ..self }
    }

    /// Whether every page was served.
    pub fn all(&self, about: &About<'_>) -> bool {
        self.upto >= about.pages
    }

    /// The proof of it.
    pub fn proof(&self, about: &About<'_>) -> String {
        let upto = u32::try_from(self.upto).unwrap_or(0);
        let mut bytes = Vec::with_capacity(HEAD + seal::BYTES);
        bytes.extend(upto.to_be_bytes());
        bytes.extend(self.first.0.to_be_bytes());
        let made = about.seal.of(PURPOSE, &about.parts(&bytes, &about.pages()));
        bytes.extend(made);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

impl About<'_> {
    fn pages(&self) -> [u8; 8] {
        (self.pages as u64).to_be_bytes()
    }

    fn parts<'a>(&'a self, head: &'a [u8], pages: &'a [u8]) -> [&'a [u8]; 5] {
        let digest = self.request.call.digest.as_bytes();
        [self.seen_by, self.request.id.as_bytes(), digest, pages, head]
    }

    fn holds(&self, head: &[u8], made: &[u8]) -> bool {
        self.seal.holds(PURPOSE, &self.parts(head, &self.pages()), made)
    }
}
