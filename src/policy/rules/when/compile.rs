//! From the text of a condition to a tree that can be evaluated.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators,
};
use cel::parser::PrattParser;

use super::cost::Pattern;
use super::functions::Function;
use super::remedy::{HOW, remedy};
use crate::config::names::{meant, shortened};
use crate::policy::values::either;

/// The longest condition, in bytes. What needs more is better two rules.
const LONGEST: usize = 4096;

/// How deep a condition may nest. The parser and the evaluation go as deep.
const DEEPEST: usize = 40;

/// How many question marks a condition may have: each may be a choice within a
/// choice, and the parser sets those no limit.
const MOST_CHOICES: usize = 60;

/// What is wrong with a condition, after the word `when`, and what to do.
#[derive(Debug)]
pub struct Fault {
    pub message: String,
    pub remedy: String,
}

fn fault<T>(message: impl Into<String>, remedy: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { message: message.into(), remedy: remedy.into() })
}

/// A condition as it is evaluated.
#[derive(Debug, Clone)]
pub enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    List(Vec<Tree>),
    Arguments,
    Variable(Variable),
    /// What a macro goes through, by how many of them stand around it.
    Local(usize),
    Select(Box<Tree>, String),
    Has(Box<Tree>, String),
    Index(Box<[Tree; 2]>),
    Not(Box<Tree>),
    Negative(Box<Tree>),
    And(Box<[Tree; 2]>),
    Or(Box<[Tree; 2]>),
    Choice(Box<[Tree; 3]>),
    Relation(Relation, Box<[Tree; 2]>),
    Arithmetic(Arithmetic, Box<[Tree; 2]>),
    Matches(Box<Tree>, Pattern),
    Call(Function, Vec<Tree>),
    Macro(Macro, Box<[Tree; 2]>),
    /// `map` with a condition: what is gone through, the condition, the result.
    FilterMap(Box<[Tree; 3]>),
}

/// What is known of a call beside its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    Server,
    Tool,
    Category,
    Risk,
    Client,
    Agent,
    AgentVersion,
    Session,
    User,
    Now,
    Hour,
    Minute,
    Weekday,
}

const VARIABLES: [(&str, &str, Variable); 13] = [
    ("call", "server", Variable::Server),
    ("call", "tool", Variable::Tool),
    ("call", "category", Variable::Category),
    ("call", "risk", Variable::Risk),
    ("client", "name", Variable::Client),
    ("agent", "name", Variable::Agent),
    ("agent", "version", Variable::AgentVersion),
    ("session", "id", Variable::Session),
    ("user", "name", Variable::User),
    ("time", "now", Variable::Now),
    ("time", "hour", Variable::Hour),
    ("time", "minute", Variable::Minute),
    ("time", "weekday", Variable::Weekday),
];

impl Variable {
    /// As a condition names it.
    pub fn name(self) -> &'static str {
        match self {
            Variable::Server => "call.server",
            Variable::Tool => "call.tool",
            Variable::Category => "call.category",
            Variable::Risk => "call.risk",
            Variable::Client => "client.name",
            Variable::Agent => "agent.name",
            Variable::AgentVersion => "agent.version",
            Variable::Session => "session.id",
            Variable::User => "user.name",
            Variable::Now => "time.now",
            Variable::Hour => "time.hour",
            Variable::Minute => "time.minute",
            Variable::Weekday => "time.weekday",
        }
    }
}

/// The names at the beginning of a variable.
const ROOTS: [&str; 7] = ["args", "call", "client", "agent", "session", "user", "time"];

/// How two values may relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    In,
}

/// What can be computed of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What goes through a list or the names of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Macro {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// Parses and checks a condition.
pub fn compile(source: &str) -> Result<Tree, Fault> {
    if source.len() > LONGEST {
        return fault(format!("is longer than {LONGEST} bytes"), "make two rules of it");
    }
    if source.matches('?').count() > MOST_CHOICES {
        let message = format!("has more than {MOST_CHOICES} question marks");
        return fault(message, "make several rules of it");
    }
    let parser = PrattParser::new().max_recursion_depth(DEEPEST as u16).error_recovery_limit(0);
    let parsed = parser.parse(source).map_err(|errors| not_cel(source, &errors))?;
    if deeper_than(DEEPEST, &parsed) {
        return fault("lies too deep within itself", "make several rules of it");
    }
    let tree = Compiler::default().tree(&parsed)?;
    match tree.never_true_or_false() {
        Some(kind) => fault(format!("must be true or false, but is {kind}"), "write a comparison"),
        None => Ok(tree),
    }
}

fn not_cel(source: &str, errors: &cel::ParseErrors) -> Fault {
    // Those without a place say that there were others.
    let placed = errors.errors.iter().find(|error| error.pos.0 > 0);
    let Some(error) = placed.or(errors.errors.first()) else {
        return Fault { message: "is no CEL".to_owned(), remedy: remedy(source) };
    };
    let (line, column) = error.pos;
    let at = match (line, source.trim_end().contains('\n')) {
        (..=0, _) => String::new(),
        (_, false) => format!(" at character {column}"),
        (_, true) => format!(" in its line {line}, character {column}"),
    };
    let why = error.msg.trim_start_matches("Syntax error: ").replace("<EOF>", "the end");
    Fault { message: format!("is no CEL{at}: {}", shortened(&why)), remedy: remedy(source) }
}

/// Whether an expression has more levels. Looks no deeper than it must.
fn deeper_than(levels: usize, expr: &IdedExpr) -> bool {
    let Some(below) = levels.checked_sub(1) else {
        return true;
    };
    let deeper = |expr: &IdedExpr| deeper_than(below, expr);
    match &expr.expr {
        Expr::Call(call) => {
            call.target.iter().any(|target| deeper(target)) || call.args.iter().any(deeper)
        }
        Expr::Comprehension(c) => {
            [&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result]
                .into_iter()
                .any(deeper)
        }
        Expr::List(list) => list.elements.iter().any(deeper),
        Expr::Select(select) => deeper(&select.operand),
        // Refused without looking into them.
        Expr::Map(_) | Expr::Struct(_) => false,
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => false,
    }
}

/// The names of the macros around the place that is compiled.
#[derive(Default)]
struct Compiler {
    locals: Vec<String>,
}

impl Compiler {
    fn tree(&mut self, expr: &IdedExpr) -> Result<Tree, Fault> {
        match &expr.expr {
            Expr::Literal(value) => literal(value),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.select(select),
            Expr::List(list) => Ok(Tree::List(self.trees(&list.elements)?)),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Map(_) | Expr::Struct(_) => {
                fault("makes a value with { }, which conditions here cannot", HOW)
            }
            Expr::Unspecified => fault("is no CEL", HOW),
        }
    }

    fn trees(&mut self, exprs: &[IdedExpr]) -> Result<Vec<Tree>, Fault> {
        exprs.iter().map(|expr| self.tree(expr)).collect()
    }

    fn boxed(&mut self, expr: &IdedExpr) -> Result<Box<Tree>, Fault> {
        Ok(Box::new(self.tree(expr)?))
    }

    fn two(&mut self, a: &IdedExpr, b: &IdedExpr) -> Result<Box<[Tree; 2]>, Fault> {
        Ok(Box::new([self.tree(a)?, self.tree(b)?]))
    }

    fn name(&self, name: &str) -> Result<Tree, Fault> {
        if let Some(at) = self.locals.iter().rposition(|local| local == name) {
            return Ok(Tree::Local(at));
        }
        if name == "args" {
            return Ok(Tree::Arguments);
        }
        let members: Vec<_> = VARIABLES.iter().filter(|(root, ..)| *root == name).collect();
        if members.is_empty() {
            return Err(unknown(name));
        }
        let names: Vec<_> =
            members.iter().map(|(root, member, _)| format!("{root}.{member}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        fault(format!("has `{name}` alone"), format!("write {}", either(&names)))
    }

    fn select(&mut self, select: &SelectExpr) -> Result<Tree, Fault> {
        if let Expr::Ident(root) = &select.operand.expr
            && !self.locals.contains(root)
            && root != "args"
        {
            let field = select.field.as_str();
            let variable = |(r, m, _): &&(&str, &str, Variable)| r == root && *m == field;
            return match VARIABLES.iter().find(variable) {
                Some(_) if select.test => Ok(Tree::Bool(true)),
                Some((.., variable)) => Ok(Tree::Variable(*variable)),
                None if !ROOTS.contains(&root.as_str()) => Err(unknown(root)),
                None => {
                    let known = VARIABLES.iter().filter(|(r, ..)| r == root);
                    let known: Vec<_> = known.map(|(r, m, _)| format!("{r}.{m}")).collect();
                    let message =
                        format!("has `{}.{}`, which does not exist", root, shortened(field));
                    fault(message, format!("known are {}", known.join(", ")))
                }
            };
        }
        let operand = self.boxed(&select.operand)?;
        let field = select.field.clone();
        Ok(if select.test { Tree::Has(operand, field) } else { Tree::Select(operand, field) })
    }

    fn call(&mut self, call: &CallExpr) -> Result<Tree, Fault> {
        let name = call.func_name.as_str();
        if let (None, [a, b]) = (&call.target, call.args.as_slice())
            && let Some(tree) = self.operator(name, a, b)?
        {
            return Ok(tree);
        }
        match (&call.target, name, call.args.as_slice()) {
            (None, operators::LOGICAL_NOT, [a]) => Ok(Tree::Not(self.boxed(a)?)),
            (None, operators::NEGATE, [a]) => Ok(Tree::Negative(self.boxed(a)?)),
            (None, operators::CONDITIONAL, [a, b, c]) => {
                Ok(Tree::Choice(Box::new([self.tree(a)?, self.tree(b)?, self.tree(c)?])))
            }
            (Some(text), "matches", [pattern]) => self.matches(text, pattern),
            (None, "matches", [text, pattern]) => self.matches(text, pattern),
            (target, ..) => {
                let given = call.args.len() + usize::from(target.is_some());
                let function = Function::find(name, target.is_some(), given)?;
                let target = target.iter().map(|target| self.tree(target));
                let arguments = target.collect::<Result<Vec<_>, _>>()?;
                let rest = self.trees(&call.args)?;
                Ok(Tree::Call(function, arguments.into_iter().chain(rest).collect()))
            }
        }
    }

    fn operator(&mut self, name: &str, a: &IdedExpr, b: &IdedExpr) -> Result<Option<Tree>, Fault> {
        let relation = match name {
            operators::EQUALS => Some(Relation::Equal),
            operators::NOT_EQUALS => Some(Relation::Unequal),
            operators::LESS => Some(Relation::Less),
            operators::LESS_EQUALS => Some(Relation::AtMost),
            operators::GREATER => Some(Relation::More),
            operators::GREATER_EQUALS => Some(Relation::AtLeast),
            operators::IN => Some(Relation::In),
            _ => None,
        };
        if let Some(relation) = relation {
            return Ok(Some(Tree::Relation(relation, self.two(a, b)?)));
        }
        let arithmetic = match name {
            operators::ADD => Some(Arithmetic::Add),
            operators::SUBSTRACT => Some(Arithmetic::Subtract),
            operators::MULTIPLY => Some(Arithmetic::Multiply),
            operators::DIVIDE => Some(Arithmetic::Divide),
            operators::MODULO => Some(Arithmetic::Remainder),
            _ => None,
        };
        if let Some(arithmetic) = arithmetic {
            return Ok(Some(Tree::Arithmetic(arithmetic, self.two(a, b)?)));
        }
        Ok(match name {
            operators::LOGICAL_AND => Some(Tree::And(self.two(a, b)?)),
            operators::LOGICAL_OR => Some(Tree::Or(self.two(a, b)?)),
            operators::INDEX => Some(Tree::Index(self.two(a, b)?)),
            _ => None,
        })
    }

    /// The pattern has to stand there: one that comes with the arguments would be the
    /// agent's.
    fn matches(&mut self, text: &IdedExpr, pattern: &IdedExpr) -> Result<Tree, Fault> {
        let Expr::Literal(LiteralValue::String(pattern)) = &pattern.expr else {
            return fault(
                "has a `matches` whose pattern is no text in quotes",
                "write the pattern out: args.path.matches(\"^/tmp/\")",
            );
        };
        Ok(Tree::Matches(self.boxed(text)?, Pattern::of(pattern.inner())?))
    }

    /// The macros are told apart by what they begin with and how they go on.
    fn comprehension(&mut self, c: &ComprehensionExpr) -> Result<Tree, Fault> {
        let over = self.tree(&c.iter_range)?;
        let name = c.iter_var.as_str();
        if ROOTS.contains(&name) {
            let message = format!("calls an item `{name}`, which is a variable already");
            return fault(message, "take another name");
        }
        let Expr::Call(step) = &c.loop_step.expr else {
            return fault("is no CEL", HOW);
        };
        self.locals.push(name.to_owned());
        let compiled = self.step(over, &c.accu_init, step);
        self.locals.pop();
        compiled
    }

    fn step(&mut self, over: Tree, init: &IdedExpr, step: &CallExpr) -> Result<Tree, Fault> {
        let made = |kind, over, inner| Ok(Tree::Macro(kind, Box::new([over, inner])));
        match (&init.expr, step.func_name.as_str(), step.args.as_slice()) {
            (_, operators::LOGICAL_AND, [_, inner]) => made(Macro::All, over, self.tree(inner)?),
            (_, operators::LOGICAL_OR, [_, inner]) => made(Macro::Exists, over, self.tree(inner)?),
            (Expr::Literal(_), operators::CONDITIONAL, [inner, ..]) => {
                made(Macro::ExistsOne, over, self.tree(inner)?)
            }
            (_, operators::ADD, _) => {
                let inner = self.tree(appended(step)?)?;
                made(Macro::Map, over, inner)
            }
            (_, operators::CONDITIONAL, [condition, append, _]) => {
                let Expr::Call(append) = &append.expr else {
                    return fault("is no CEL", HOW);
                };
                let condition = self.tree(condition)?;
                match self.tree(appended(append)?)? {
                    Tree::Local(at) if at + 1 == self.locals.len() => {
                        made(Macro::Filter, over, condition)
                    }
                    result => Ok(Tree::FilterMap(Box::new([over, condition, result]))),
                }
            }
            _ => fault("is no CEL", HOW),
        }
    }
}

/// The item that a step of `map` or `filter` puts at the end of its list.
fn appended(step: &CallExpr) -> Result<&IdedExpr, Fault> {
    match step.args.as_slice() {
        [_, IdedExpr { expr: Expr::List(list), .. }] if list.elements.len() == 1 => {
            Ok(&list.elements[0])
        }
        _ => fault("is no CEL", HOW),
    }
}

fn literal(value: &LiteralValue) -> Result<Tree, Fault> {
    match value {
        LiteralValue::Null => Ok(Tree::Null),
        LiteralValue::Boolean(value) => Ok(Tree::Bool(*value.inner())),
        LiteralValue::Int(value) => Ok(Tree::Int(*value.inner())),
        LiteralValue::Double(value) => Ok(Tree::Double(*value.inner())),
        LiteralValue::String(value) => Ok(Tree::Text(value.inner().to_owned())),
        LiteralValue::UInt(_) => fault("has a number with u", "leave the u away"),
        LiteralValue::Bytes(_) => fault("has a text of bytes", "leave the b away"),
    }
}

fn unknown(name: &str) -> Fault {
    let other = match name {
        "True" | "TRUE" => Some("true"),
        "False" | "FALSE" => Some("false"),
        "None" | "nil" | "NULL" | "undefined" => Some("null"),
        _ => None,
    };
    let remedy = match meant(name, ROOTS) {
        _ if other.is_some() => format!("write {}", other.unwrap_or_default()),
        Some(word) => format!("did you mean `{word}`?"),
        None => format!(
            "known are {}; text goes in double quotes, and arguments begin with args.",
            ROOTS.join(", ")
        ),
    };
    Fault { message: format!("has `{}`, which does not exist", shortened(name)), remedy }
}

impl Tree {
    /// What it is, where that cannot be true or false.
    fn never_true_or_false(&self) -> Option<&'static str> {
        match self {
            Tree::Null => Some("null"),
            Tree::Int(_) | Tree::Double(_) | Tree::Negative(_) => Some("a number"),
            Tree::Variable(Variable::Hour | Variable::Minute) => Some("a number"),
            Tree::Variable(Variable::Now) => Some("a time"),
            Tree::Text(_) | Tree::Variable(_) => Some("a text"),
            Tree::List(_) | Tree::FilterMap(_) | Tree::Macro(Macro::Map | Macro::Filter, _) => {
                Some("a list")
            }
            Tree::Arguments => Some("an object"),
            Tree::Arithmetic(..) => Some("a computed value"),
            Tree::Call(function, _) => function.never_true_or_false(),
            _ => None,
        }
    }

    /// Whether it looks at the arguments.
    pub fn looks_at_arguments(&self) -> bool {
        matches!(self, Tree::Arguments) || self.below().into_iter().any(Tree::looks_at_arguments)
    }

    /// Collects the paths below `args` that it looks at.
    pub fn paths(&self, found: &mut Vec<Vec<String>>) {
        if let Some(path) = self.path().filter(|path| !path.is_empty()) {
            found.push(path);
            return;
        }
        for below in self.below() {
            below.paths(found);
        }
    }

    /// The path below `args` that it is; empty for all of them.
    pub fn path(&self) -> Option<Vec<String>> {
        match self {
            Tree::Arguments => Some(Vec::new()),
            Tree::Select(operand, field) | Tree::Has(operand, field) => {
                let mut path = operand.path()?;
                path.push(field.clone());
                Some(path)
            }
            _ => None,
        }
    }

    /// The parts that it is made of.
    pub fn below(&self) -> Vec<&Tree> {
        match self {
            Tree::List(trees) | Tree::Call(_, trees) => trees.iter().collect(),
            Tree::Select(tree, _)
            | Tree::Has(tree, _)
            | Tree::Not(tree)
            | Tree::Negative(tree)
            | Tree::Matches(tree, _) => vec![tree],
            Tree::Index(trees)
            | Tree::And(trees)
            | Tree::Or(trees)
            | Tree::Relation(_, trees)
            | Tree::Arithmetic(_, trees)
            | Tree::Macro(_, trees) => trees.iter().collect(),
            Tree::Choice(trees) | Tree::FilterMap(trees) => trees.iter().collect(),
            Tree::Null | Tree::Bool(_) | Tree::Int(_) | Tree::Double(_) | Tree::Text(_) => vec![],
            Tree::Arguments | Tree::Variable(_) | Tree::Local(_) => vec![],
        }
    }
}
