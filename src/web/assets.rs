//! Style, script and icon: in the program, named by their content, so that a
//! browser keeps them for good and never has those of another version.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use super::answer::Trouble;
use crate::call::hex::hex;

/// One file.
#[derive(Debug)]
pub struct Asset {
    name: String,
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, text: &'static str) -> Self {
        let hash = hex(&Sha256::digest(text.as_bytes())[..8]);
        Asset { name: format!("{stem}-{hash}.{ending}"), kind, text }
    }

    /// Where browsers find it.
    pub fn path(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

/// How pages look.
pub static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css", include_str!("assets/style.css")));

/// What keeps an open page up to date, and the keys.
pub static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("live", "js", "text/javascript", include_str!("assets/live.js")));

/// What a tab shows.
pub static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

/// GET /assets/{name}
pub async fn asset(Path(name): Path<String>) -> Response {
    let all = [&*STYLE, &*SCRIPT, &*ICON];
    let Some(asset) = all.into_iter().find(|asset| asset.name == name) else {
        return Trouble::not_found().into_response();
    };
    let kind = format!("{}; charset=utf-8", asset.kind);
    let keep = "public, max-age=31536000, immutable".to_owned();
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)], asset.text).into_response()
}
