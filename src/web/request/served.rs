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
//! (or by this link), for this digest; it tells when the first one was, so that nobody
//! can seem to have read for longer than they had it. (For less they can: a page that was
//! opened and left alone counts as long as one that was read. Nothing that a browser says
//! would show which it was.) What the script fetches proves no more than itself: it only
//! counts once it is put in the place of the page. Must never: count a page that was left
//! out.

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::call::ids::RequestId;
    use crate::store::tests::{call, requirement};

    const NOW: Time = Time(1_800_000_000_000);
    const LATER: Time = Time(1_800_000_060_000);
    const PAGES: usize = 3;

    fn request(n: u64) -> Request {
        let (id, time) = (RequestId::from_bytes([7; 16]), Duration::from_secs(900));
        Request::pending(id, "c".to_owned(), call("", "", n), requirement(&[], 1), NOW, time)
    }

    fn about<'a>(seal: &'a Seal, seen_by: &'a [u8; 32], request: &'a Request) -> About<'a> {
        About { seal, seen_by, request, pages: PAGES }
    }

    /// Serves this page to whoever brings that proof.
    fn serve(about: &About<'_>, page: usize, proof: &str) -> (Served, String) {
        let served = Served::read(about, proof, LATER).and(page);
        (served, served.proof(about))
    }

    #[test]
    fn all_is_proven_once_each_page_was_served() {
        let (seal, request) = (Seal::new([1; 32]), request(1));
        let about = about(&seal, &[2; 32], &request);
        let first = Served::nothing(NOW).and(1);
        let mut proof = first.proof(&about);
        for page in 2..=PAGES {
            assert!(!Served::read(&about, &proof, LATER).all(&about), "before page {page}");
            // Looking at a page twice neither adds nor takes away.
            proof = serve(&about, page - 1, &proof).1;
            proof = serve(&about, page, &proof).1;
        }
        let served = Served::read(&about, &proof, LATER);
        assert!(served.all(&about));
        assert_eq!(served.first, NOW, "the time of the first page stays");
        assert!(serve(&about, 1, &proof).0.all(&about), "also when one turns back");
    }

    #[test]
    fn a_page_that_was_left_out_is_not_proven() {
        let (seal, request) = (Seal::new([1; 32]), request(1));
        let about = about(&seal, &[2; 32], &request);
        let (_, first) = serve(&about, 1, "");
        let (skipped, proof) = serve(&about, 3, &first);
        assert_eq!(skipped.upto, 1);
        assert!(!serve(&about, 3, &proof).0.all(&about));
        let (nothing, _) = serve(&about, 3, "");
        assert_eq!(nothing.upto, 0, "the last page alone proves nothing");
    }

    #[test]
    fn a_proof_is_for_who_looked_at_what_was_shown() {
        let (seal, shown) = (Seal::new([1; 32]), request(1));
        let mine = about(&seal, &[2; 32], &shown);
        let proof = Served { upto: PAGES, first: NOW }.proof(&mine);
        assert!(Served::read(&mine, &proof, LATER).all(&mine));
        let (other_seal, other_request) = (Seal::new([9; 32]), request(2));
        for other in [
            about(&other_seal, &[2; 32], &shown),
            about(&seal, &[3; 32], &shown),
            about(&seal, &[2; 32], &other_request),
            About { pages: PAGES + 1, ..mine },
        ] {
            assert_eq!(Served::read(&other, &proof, LATER), Served::nothing(LATER));
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(&proof).expect("base64");
        bytes[3] += 1;
        for wrong in ["", "x", &proof[1..], &URL_SAFE_NO_PAD.encode(&bytes)] {
            assert_eq!(Served::read(&mine, wrong, LATER).upto, 0, "{wrong}");
        }
    }
}
