//! What the schema of a tool's arguments says.
//!
//! Parameters that take code or a statement, amounts of money, and enumerations of
//! actions: `action: [list, create, delete]`. It only makes a tool look worse, but for
//! an action that is listed here and chosen in a call (see `arguments`).
//!
//! Promises: looks at [`MOST`] parameters on two levels, and at [`MOST`] values of
//! each enumeration.

use super::keys::{self, Key};
use super::{Evidence, Finding, Source};
use crate::call::json::Json;
use crate::call::model::{Category, Risk};
use crate::call::safe_text::SafeText;

/// The most parameters, and values of one, that are looked at.
const MOST: usize = 200;

/// What a schema says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    /// That it does something.
    pub finding: Option<Finding>,
    /// That money is moved, if it is no read.
    pub money: Option<Finding>,
    /// Values by which a call chooses an action that only looks, with their parameter.
    pub reads: Vec<(String, String)>,
}

impl Schema {
    /// Of an `inputSchema`.
    pub fn of(schema: &Json) -> Schema {
        let mut said = Schema::default();
        let mut names = Vec::new();
        let top = properties(schema);
        for (name, property) in top {
            said.parameter(name, property);
            names.push(name.as_str());
            let items = property.get("items").map(properties).unwrap_or_default();
            for (name, property) in properties(property).iter().chain(items).take(MOST) {
                said.parameter(name, property);
                names.push(name);
            }
        }
        said.money = keys::money(names.iter().copied())
            .map(|found| finding(Category::Financial, Risk::High, found));
        said
    }

    fn parameter(&mut self, name: &str, property: &Json) {
        let key = Key::of(name);
        if key.takes_code() {
            let found = format!("parameter {}", quoted(name));
            self.worse(finding(Category::Execute, Risk::High, found));
        }
        if !key.chooses() {
            return;
        }
        let values = property.get("enum").and_then(Json::as_array).unwrap_or_default();
        let constant = property.get("const");
        for value in values.iter().chain(constant).take(MOST).filter_map(Json::as_str) {
            match keys::chosen(&key, value) {
                Some((Category::Read, _)) => self.reads.push((name.to_owned(), value.to_owned())),
                Some((category, risk)) => {
                    let found = format!("{} may be {}", quoted(name), quoted(value));
                    self.worse(finding(category, risk, found));
                }
                None => {}
            }
        }
    }

    fn worse(&mut self, found: Finding) {
        let rank = |f: &Finding| (f.category, f.risk);
        if self.finding.as_ref().is_none_or(|known| rank(&found) > rank(known)) {
            self.finding = Some(found);
        }
    }
}

fn properties(schema: &Json) -> &[(String, Json)] {
    let properties = schema.get("properties").and_then(Json::as_object).unwrap_or_default();
    &properties[..properties.len().min(MOST)]
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", SafeText::cut_line(text, 40).0)
}

fn finding(category: Category, risk: Risk, found: String) -> Finding {
    let evidence = Evidence { source: Source::Schema, found, says: Some(category) };
    Finding { category, risk, evidence }
}
