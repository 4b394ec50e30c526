//! What a tool does, and how bad a mistake would be.

use super::annotations::{Annotations, kind};
use crate::call::json::Json;
use crate::call::model::{Category, Risk};

/// A tool as its server defines it, read once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tool {
    /// What it says of itself.
    pub annotations: Annotations,
}

impl Tool {
    /// Of an entry of a `tools/list` result.
    pub fn of(definition: &Json) -> Tool {
        Tool { annotations: Annotations::of(definition) }
    }
}

/// What the operator says of a tool in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Word {
    /// Its category, if that is said.
    pub category: Option<Category>,
    /// Its risk, if that is said.
    pub risk: Option<Risk>,
}

/// What a call does, how bad a mistake would be, and why we think so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Never unspecified.
    pub category: Category,
    /// Never unspecified.
    pub risk: Risk,
    /// Whether something tells what it does. Where nothing does, the category is
    /// the more dangerous guess.
    pub told: bool,
    /// What was found, the strongest first.
    pub evidence: Vec<Evidence>,
}

/// One thing that was found, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where it was found.
    pub source: Source,
    /// What was found: safe text on one line.
    pub found: String,
    /// What it speaks for; `None`: against none.
    pub says: Option<Category>,
}

/// Where evidence was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The policy's own word.
    Operator,
    /// The arguments of this call.
    Arguments,
    /// The tool's annotations.
    Annotations,
    /// The tool's name.
    Name,
    /// Its description or title.
    Description,
    /// The schema of its arguments.
    Schema,
    /// Nothing was found that tells.
    Doubt,
}

/// Judges a call of a tool by everything that is known; without arguments, the tool
/// itself. `trusted`: whether what the server says of its tools may make them look
/// better.
pub fn judge(
    name: &str,
    tool: Option<&Tool>,
    word: Word,
    trusted: bool,
    arguments: Option<&Json>,
) -> Judgement {
    let _ = (name, arguments);
    let annotations = tool.map(|tool| tool.annotations).unwrap_or_default();
    let (category, risk) = kind(&annotations, trusted);
    let told = category != Category::Unspecified;
    let category = word.category.unwrap_or(if told { category } else { Category::Execute });
    let risk = word.risk.unwrap_or(if told { risk } else { Risk::High });
    Judgement { category, risk, told, evidence: Vec::new() }
}
