//! The value of a condition for a call.
//!
//! Every node costs a step, and what looks at or copies text or goes through lists
//! pays for that too, before it does: see [`Budget`]. An error of one side of `&&`,
//! `||`, `all` or `exists` is nothing where the other side decides alone, as CEL has
//! it; the end of the budget always is the end.

use std::cmp::Ordering;
use std::rc::Rc;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Weekday};

use super::compile::{Arithmetic, Macro, Relation, Tree, Variable};
use super::value::{Items, Value, member};
use super::{Facts, Failed};
use crate::policy::budget::Budget;

/// See [`super::When::holds`].
pub fn evaluate(tree: &Tree, facts: &Facts<'_>, budget: &mut Budget) -> Result<bool, Failed> {
    let mut evaluation = Evaluation { facts, budget: *budget, locals: Vec::new() };
    let truth = evaluation.truth(tree);
    *budget = evaluation.budget;
    truth
}

struct Evaluation<'a> {
    facts: &'a Facts<'a>,
    budget: Budget,
    /// The items that the macros around are at.
    locals: Vec<Value<'a>>,
}

type Found<'a> = Result<Value<'a>, Failed>;

fn senseless<T>(what: impl Into<String>) -> Result<T, Failed> {
    Err(Failed::Senseless(what.into()))
}

impl<'a> Evaluation<'a> {
    fn truth(&mut self, tree: &'a Tree) -> Result<bool, Failed> {
        match self.value(tree)? {
            Value::Bool(value) => Ok(value),
            value => senseless(format!("{} is neither true nor false", value.kind())),
        }
    }

    fn value(&mut self, tree: &'a Tree) -> Found<'a> {
        self.budget.steps(1)?;
        Ok(match tree {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Int(value) => Value::Int(*value),
            Tree::Double(value) => Value::Double(*value),
            Tree::Text(text) => Value::Text(text),
            Tree::List(trees) => {
                let values: Result<Vec<_>, _> = trees.iter().map(|tree| self.value(tree)).collect();
                Value::List(Rc::new(values?))
            }
            Tree::Arguments => Value::of(self.facts.call.arguments, &mut self.budget)?,
            Tree::Variable(variable) => self.variable(*variable)?,
            Tree::Local(at) => match self.locals.get(*at) {
                Some(value) => value.clone(),
                None => return senseless("a name stands outside of what it is for"),
            },
            Tree::Select(operand, field) => {
                let operand = self.value(operand)?;
                self.member(&operand, field)?.ok_or_else(|| Failed::Missing(path(tree)))?
            }
            Tree::Has(operand, field) => {
                let operand = self.value(operand)?;
                Value::Bool(self.has(&operand, field)?)
            }
            Tree::Index(both) => self.index(tree, both)?,
            Tree::Not(tree) => Value::Bool(!self.truth(tree)?),
            Tree::Negative(tree) => negative(&self.value(tree)?)?,
            Tree::And(both) => Value::Bool(self.decided_by(false, both)?),
            Tree::Or(both) => Value::Bool(self.decided_by(true, both)?),
            Tree::Choice(trees) => {
                let [condition, then, otherwise] = &**trees;
                let chosen = if self.truth(condition)? { then } else { otherwise };
                self.value(chosen)?
            }
            Tree::Relation(relation, both) => Value::Bool(self.relation(*relation, both)?),
            Tree::Arithmetic(arithmetic, both) => {
                let (a, b) = self.both(both)?;
                self.computed(*arithmetic, a, b)?
            }
            Tree::Matches(text, pattern) => {
                let value = self.value(text)?;
                match value.text() {
                    Some(text) => Value::Bool(pattern.found(text, &mut self.budget)?),
                    None => return senseless(format!("{} matches no pattern", value.kind())),
                }
            }
            Tree::Call(function, trees) => {
                let values: Result<Vec<_>, _> = trees.iter().map(|tree| self.value(tree)).collect();
                function.call(&values?, &mut self.budget)?
            }
            Tree::Macro(kind, both) => {
                let [over, inner] = &**both;
                self.through(*kind, over, inner)?
            }
            Tree::FilterMap(trees) => {
                let [over, condition, result] = &**trees;
                self.collected(over, Some(condition), Some(result))?
            }
        })
    }

    fn both(&mut self, both: &'a [Tree; 2]) -> Result<(Value<'a>, Value<'a>), Failed> {
        Ok((self.value(&both[0])?, self.value(&both[1])?))
    }

    fn variable(&self, variable: Variable) -> Found<'a> {
        let (call, doubt) = (self.facts.call, self.facts.doubt);
        let local = || call.at.with_timezone(&self.facts.zone);
        let known = |word, doubt: Option<&str>| match doubt {
            None => Ok(Value::Text(word)),
            Some(why) => senseless(why),
        };
        Ok(match variable {
            Variable::Server => Value::Text(call.server),
            Variable::Tool => Value::Text(call.tool),
            Variable::Category => known(self.facts.category.word(), doubt.category)?,
            Variable::Risk => known(self.facts.risk.word(), doubt.risk)?,
            Variable::Client => Value::Text(call.from.client),
            Variable::Agent => Value::Text(call.from.agent),
            Variable::AgentVersion => Value::Text(call.from.agent_version),
            Variable::Session => Value::Text(call.from.session),
            Variable::User => Value::Text(call.from.user),
            Variable::Now => Value::Time(call.at),
            Variable::Hour => Value::Int(local().hour().into()),
            Variable::Minute => Value::Int(local().minute().into()),
            Variable::Weekday => Value::Text(match local().weekday() {
                Weekday::Mon => "mon",
                Weekday::Tue => "tue",
                Weekday::Wed => "wed",
                Weekday::Thu => "thu",
                Weekday::Fri => "fri",
                Weekday::Sat => "sat",
                Weekday::Sun => "sun",
            }),
        })
    }

    fn member(&mut self, of: &Value<'a>, name: &str) -> Result<Option<Value<'a>>, Failed> {
        let Value::Map(members) = of else {
            return senseless(format!("{} has no members", of.kind()));
        };
        let found = member(members, name, &mut self.budget)?;
        found.map(|value| Value::of(value, &mut self.budget)).transpose()
    }

    fn has(&mut self, of: &Value<'a>, name: &str) -> Result<bool, Failed> {
        let Value::Map(members) = of else {
            return senseless(format!("{} has no members", of.kind()));
        };
        Ok(member(members, name, &mut self.budget)?.is_some())
    }

    fn index(&mut self, tree: &'a Tree, both: &'a [Tree; 2]) -> Found<'a> {
        let (of, index) = self.both(both)?;
        if let (Value::Map(_), Some(name)) = (&of, index.text()) {
            return self.member(&of, name)?.ok_or_else(|| Failed::Missing(path(tree)));
        }
        let Some(items) = of.items() else {
            return senseless(format!("{} has no items", of.kind()));
        };
        match index.whole() {
            Some(at) => match usize::try_from(at) {
                Ok(at) => items.get(at, &mut self.budget),
                Err(_) => senseless("no item has a number below 0"),
            },
            None => senseless(format!("{} is no number of an item", index.kind())),
        }
    }

    /// `&&` and `||`: one side may decide alone.
    fn decided_by(&mut self, decides: bool, both: &'a [Tree; 2]) -> Result<bool, Failed> {
        let first = self.truth(&both[0]);
        if first == Ok(decides) || first == Err(Failed::TooCostly) {
            return first;
        }
        let second = self.truth(&both[1]);
        if second == Ok(decides) || second == Err(Failed::TooCostly) {
            return second;
        }
        first?;
        second
    }

    fn relation(&mut self, relation: Relation, both: &'a [Tree; 2]) -> Result<bool, Failed> {
        let (a, b) = self.both(both)?;
        let budget = &mut self.budget;
        Ok(match relation {
            Relation::Equal => a.equals(&b, budget)?,
            Relation::Unequal => !a.equals(&b, budget)?,
            Relation::Less => a.compare(&b, budget)? == Ordering::Less,
            Relation::AtMost => a.compare(&b, budget)? != Ordering::Greater,
            Relation::More => a.compare(&b, budget)? == Ordering::Greater,
            Relation::AtLeast => a.compare(&b, budget)? != Ordering::Less,
            Relation::In => return self.within(&a, &b),
        })
    }

    fn within(&mut self, value: &Value<'a>, of: &Value<'a>) -> Result<bool, Failed> {
        if let Value::Map(members) = of {
            return match (value, value.text()) {
                (_, Some(name)) => Ok(member(members, name, &mut self.budget)?.is_some()),
                // What may be a key elsewhere in CEL.
                (Value::Bool(_) | Value::Int(_) | Value::Double(_), _) => Ok(false),
                (value, _) => senseless(format!("{} is no name of a member", value.kind())),
            };
        }
        let Some(items) = of.items() else {
            return senseless(format!("nothing is in {}", of.kind()));
        };
        for at in 0..items.len() {
            let item = items.get(at, &mut self.budget)?;
            if item.equals(value, &mut self.budget)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn computed(&mut self, how: Arithmetic, a: Value<'a>, b: Value<'a>) -> Found<'a> {
        if let (Arithmetic::Add, Some(a), Some(b)) = (how, a.text(), b.text()) {
            self.budget.bytes(2 * (a.len() + b.len()))?;
            return Ok(Value::Made(Rc::from([a, b].concat())));
        }
        if let (Arithmetic::Add, Some(a), Some(b)) = (how, a.items(), b.items()) {
            self.budget.steps((a.len() + b.len()) as u64)?;
            let mut list = Vec::with_capacity(a.len() + b.len());
            for items in [a, b] {
                for at in 0..items.len() {
                    list.push(items.get(at, &mut self.budget)?);
                }
            }
            return Ok(Value::List(Rc::new(list)));
        }
        let found = match (&a, &b) {
            (Value::Int(a), Value::Int(b)) => whole(how, *a, *b).map(Value::Int),
            (Value::Double(a), Value::Double(b)) => {
                return match broken(how, *a, *b) {
                    Some(number) => Ok(Value::Double(number)),
                    None => senseless("there is no remainder of broken numbers"),
                };
            }
            (Value::Time(a), Value::Span(b)) => later(how, *a, *b).map(Value::Time),
            (Value::Span(a), Value::Time(b)) if how == Arithmetic::Add => {
                later(how, *b, *a).map(Value::Time)
            }
            (Value::Time(a), Value::Time(b)) if how == Arithmetic::Subtract => {
                Some(Value::Span(*a - *b))
            }
            (Value::Span(a), Value::Span(b)) => match how {
                Arithmetic::Add => a.checked_add(b).map(Value::Span),
                Arithmetic::Subtract => a.checked_sub(b).map(Value::Span),
                _ => None,
            },
            _ => {
                let (a, b) = (a.kind(), b.kind());
                return senseless(format!("nothing can be computed of {a} and {b} of these kinds"));
            }
        };
        found.ok_or_else(|| Failed::Senseless("what is computed is out of range".to_owned()))
    }

    fn through(&mut self, kind: Macro, over: &'a Tree, inner: &'a Tree) -> Found<'a> {
        let decides = match kind {
            Macro::Map => return self.collected(over, None, Some(inner)),
            Macro::Filter => return self.collected(over, Some(inner), None),
            Macro::All => false,
            Macro::Exists | Macro::ExistsOne => true,
        };
        let range = self.value(over)?;
        let mut failed = None;
        let mut found = 0;
        for at in 0..length(&range)? {
            match self.of_item(&range, at, inner) {
                Ok(truth) if truth != decides => {}
                Ok(_) if kind == Macro::ExistsOne => found += 1,
                Ok(truth) => return Ok(Value::Bool(truth)),
                Err(Failed::TooCostly) => return Err(Failed::TooCostly),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match (failed, kind) {
            (Some(error), _) => Err(error),
            (None, Macro::ExistsOne) => Ok(Value::Bool(found == 1)),
            (None, _) => Ok(Value::Bool(!decides)),
        }
    }

    /// `map` and `filter`.
    fn collected(
        &mut self,
        over: &'a Tree,
        condition: Option<&'a Tree>,
        result: Option<&'a Tree>,
    ) -> Found<'a> {
        let range = self.value(over)?;
        let mut list = Vec::new();
        for at in 0..length(&range)? {
            let item = self.item(&range, at)?;
            self.locals.push(item);
            let kept = self.kept(condition, result);
            self.locals.pop();
            list.extend(kept?);
        }
        Ok(Value::List(Rc::new(list)))
    }

    fn kept(
        &mut self,
        condition: Option<&'a Tree>,
        result: Option<&'a Tree>,
    ) -> Result<Option<Value<'a>>, Failed> {
        if let Some(condition) = condition
            && !self.truth(condition)?
        {
            return Ok(None);
        }
        match result {
            Some(result) => self.value(result).map(Some),
            None => Ok(self.locals.last().cloned()),
        }
    }

    fn of_item(&mut self, range: &Value<'a>, at: usize, inner: &'a Tree) -> Result<bool, Failed> {
        let item = self.item(range, at)?;
        self.locals.push(item);
        let truth = self.truth(inner);
        self.locals.pop();
        truth
    }

    /// An item of a list, or the name of a member.
    fn item(&mut self, range: &Value<'a>, at: usize) -> Found<'a> {
        self.budget.steps(1)?;
        match (range, range.items()) {
            (Value::Map(members), _) => match members.get(at) {
                Some((name, _)) => Ok(Value::Text(name)),
                None => senseless("the object is smaller than that"),
            },
            (_, Some(items)) => items.get(at, &mut self.budget),
            (value, None) => senseless(format!("{} has no items", value.kind())),
        }
    }
}

/// How many items a macro goes through.
fn length(range: &Value<'_>) -> Result<usize, Failed> {
    match (range, range.items()) {
        (Value::Map(members), _) => Ok(members.len()),
        (_, Some(Items::Sent(items))) => Ok(items.len()),
        (_, Some(Items::Made(items))) => Ok(items.len()),
        (value, None) => senseless(format!("{} has no items", value.kind())),
    }
}

fn negative<'a>(value: &Value<'a>) -> Found<'a> {
    match value {
        Value::Int(int) => match int.checked_neg() {
            Some(int) => Ok(Value::Int(int)),
            None => senseless("what is computed is out of range"),
        },
        Value::Double(double) => Ok(Value::Double(-double)),
        value => senseless(format!("{} has no negative", value.kind())),
    }
}

fn whole(how: Arithmetic, a: i64, b: i64) -> Option<i64> {
    match how {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Multiply => a.checked_mul(b),
        Arithmetic::Divide => a.checked_div(b),
        Arithmetic::Remainder => a.checked_rem(b),
    }
}

fn broken(how: Arithmetic, a: f64, b: f64) -> Option<f64> {
    match how {
        Arithmetic::Add => Some(a + b),
        Arithmetic::Subtract => Some(a - b),
        Arithmetic::Multiply => Some(a * b),
        Arithmetic::Divide => Some(a / b),
        Arithmetic::Remainder => None,
    }
}

fn later(
    how: Arithmetic,
    time: DateTime<chrono::Utc>,
    span: TimeDelta,
) -> Option<DateTime<chrono::Utc>> {
    match how {
        Arithmetic::Add => time.checked_add_signed(span),
        Arithmetic::Subtract => time.checked_sub_signed(span),
        _ => None,
    }
}

/// A member as the condition names it: nothing of the arguments is in it.
fn path(tree: &Tree) -> String {
    match tree {
        Tree::Arguments => "args".to_owned(),
        Tree::Select(operand, field) => format!("{}.{field}", path(operand)),
        Tree::Index(both) => match &both[1] {
            Tree::Text(text) => format!("{}[\"{text}\"]", path(&both[0])),
            _ => format!("{}[...]", path(&both[0])),
        },
        _ => "…".to_owned(),
    }
}
