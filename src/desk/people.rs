//! Who is known here, what each may do, and whose approval counts.
//!
//! Promises: identity comes from the credential alone; a caller's token never
//! makes an operator; nobody decides a call made on their own behalf, except
//! the sole person of local mode, where that is recorded. A snapshot never
//! changes: a reload makes a new one, and what is asked of the new one counts.
//! Must never: keep a token, or take a name from a message for an identity.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono_tz::Tz;

use crate::call::model::{Request, Strength, Verdict};
use crate::call::requirement::{Clause, Requirement};
use crate::call::time::Time;
use crate::call::wants::Wants;
use crate::config::names::{fold, shortened};
use crate::config::token::TokenHash;
use crate::config::{CallerConfig, OperatorConfig, QuietHours, Roles, TokenConfig};
use crate::store::mail::MailTo;

/// Who a token or a client certificate belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A program. It asks; it cannot decide.
    Caller(Arc<Caller>),
    /// A person. Operators decide; they cannot ask.
    Operator(Arc<Operator>),
}

/// A program that holds calls here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its configured name.
    pub name: String,
    /// On whose behalf it may act; empty: anyone's.
    pub acts_for: Vec<String>,
    /// How it was known when it came in.
    pub strength: Strength,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Their configured name.
    pub name: String,
    /// Where their mails go.
    pub email: Option<String>,
    /// Their clock, beside UTC.
    pub time_zone: Option<Tz>,
    /// Other names of theirs.
    pub aliases: Vec<String>,
    /// What they belong to.
    pub groups: BTreeSet<String>,
    /// What they may do.
    pub roles: Roles,
    /// Which mails they want beside those that ask.
    pub wants: Wants,
    /// When they want no reminders.
    pub quiet_hours: Option<QuietHours>,
    /// How they were known when they came in.
    pub strength: Strength,
    /// The one person of local mode, who may decide what they asked for.
    pub sole_local: bool,
    /// Name, address and aliases as they are compared.
    known_as: BTreeSet<String>,
}

/// Everybody, as one configuration has them.
#[derive(Debug, Default)]
pub struct People {
    operators: BTreeMap<String, Arc<Operator>>,
    /// By the first bytes of the token's hash. These may be found in a time
    /// that depends on them, for nobody can choose a token with given ones
    /// and learn from it; the whole hash is compared in constant time.
    credentials: HashMap<[u8; 8], Vec<Credential>>,
    /// By a name in a client certificate.
    certificates: HashMap<String, Identity>,
}

#[derive(Debug)]
struct Credential {
    hash: TokenHash,
    expires: Option<Time>,
    identity: Identity,
}

/// A certificate has names of two identities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this client certificate has names of \"{0}\" and of \"{1}\"")]
pub struct SeveralIdentities(String, String);

impl Identity {
    /// Its configured name, which is unique among callers and operators.
    pub fn name(&self) -> &str {
        match self {
            Identity::Caller(caller) => &caller.name,
            Identity::Operator(operator) => &operator.name,
        }
    }

    /// Whether both are one, however they were known.
    pub fn is_same(&self, other: &Identity) -> bool {
        match (self, other) {
            (Identity::Caller(a), Identity::Caller(b)) => a.name == b.name,
            (Identity::Operator(a), Identity::Operator(b)) => a.name == b.name,
            _ => false,
        }
    }
}

impl Credential {
    fn expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// The caller may not act for this person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOnBehalf {
    /// It named somebody who is not in its `acts_for`.
    #[error(
        "caller \"{caller}\" may not act for \"{claimed}\", only for {allowed}; \
             name one of them, or add the person to the caller's `acts_for`"
    )]
    NotAllowed {
        /// The caller's name.
        caller: String,
        /// Whom it named, escaped and shortened.
        claimed: String,
        /// Its `acts_for`, in words.
        allowed: String,
    },
    /// It has to say for which of several people it acts.
    #[error("caller \"{caller}\" has to say on whose behalf it acts: {allowed}")]
    Unsaid {
        /// The caller's name.
        caller: String,
        /// Its `acts_for`, in words.
        allowed: String,
    },
}

/// This person's decision does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotEntitled {
    /// No operator of that name is configured (any more).
    #[error("this operator is not configured any more")]
    Unknown,
    /// They may look but not decide.
    #[error("this identity does not have the role operator, so it may look but not decide")]
    WrongRole,
    /// The call is made on their own behalf.
    #[error("this call is made on your own behalf, and nobody decides their own call")]
    OwnCall,
    /// No clause of the requirement asks them.
    #[error("this request is routed to other people, so you may not decide it")]
    NotAsked,
}

impl Caller {
    /// For whom this caller acts, given what it says.
    ///
    /// Without `acts_for`, what it says. Otherwise it must be one of those
    /// people, and the configured spelling is what counts from then on; a
    /// caller that acts for one person alone need not say so.
    pub fn on_behalf_of(&self, claimed: &str) -> Result<String, NotOnBehalf> {
        if self.acts_for.is_empty() {
            return Ok(claimed.to_owned());
        }
        let wanted = fold(claimed);
        if let Some(known) = self.acts_for.iter().find(|known| fold(known) == wanted) {
            return Ok(known.clone());
        }
        match (claimed.trim().is_empty(), self.acts_for.as_slice()) {
            (true, [only]) => Ok(only.clone()),
            (true, _) => {
                Err(NotOnBehalf::Unsaid { caller: self.name.clone(), allowed: self.allowed() })
            }
            (false, _) => Err(NotOnBehalf::NotAllowed {
                caller: self.name.clone(),
                claimed: shortened(claimed),
                allowed: self.allowed(),
            }),
        }
    }

    fn allowed(&self) -> String {
        let mut words = self.acts_for.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        if self.acts_for.len() > 5 {
            words.push_str(&format!(" and {} more", self.acts_for.len() - 5));
        }
        words
    }
}

impl Operator {
    fn configured(config: &OperatorConfig) -> Operator {
        let mut operator = Operator {
            name: config.name.clone(),
            email: config.email.clone(),
            time_zone: config.time_zone,
            aliases: config.aliases.clone(),
            groups: config.groups.clone(),
            roles: config.roles,
            wants: config.wants,
            quiet_hours: config.quiet_hours,
            strength: Strength::Token,
            sole_local: false,
            known_as: BTreeSet::new(),
        };
        let words = [&operator.name].into_iter().chain(&operator.email).chain(&operator.aliases);
        operator.known_as = words.map(|word| fold(word)).collect();
        operator
    }

    /// The same person, known only by the link of a mail to them.
    pub(super) fn known_by_link(&self) -> Operator {
        Operator { strength: Strength::Link, ..self.clone() }
    }

    /// Whether these are words for this person: name, mail address or an alias,
    /// ignoring case; also as one of several (`bob, alice`), within
    /// `Name <address>`, `Name (address)` and `mailto:address`. Errs, as [`fold`]
    /// does, on the side of taking them for this person.
    pub fn is(&self, who: &str) -> bool {
        let known = |word: &str| self.known_as.contains(&fold(word));
        let addresses = |part: &str| part.split_whitespace().any(|w| w.contains('@') && known(w));
        let apart = |c: char| ",;:<>()[]{}\"|/\\".contains(c);
        known(who) || who.split(apart).any(|part| known(part) || addresses(part))
    }

    /// How they are told of requests.
    pub fn mail_to(&self) -> MailTo {
        MailTo { operator: self.name.clone(), wants: self.wants }
    }

    /// Until when they want no reminders, if that is so now.
    pub fn quiet_until(&self, now: Time) -> Option<Time> {
        let zone = self.time_zone.unwrap_or(Tz::UTC);
        self.quiet_hours.and_then(|hours| hours.end(now, &zone))
    }

    /// Whether they may decide anything at all.
    pub fn can_decide(&self) -> bool {
        self.roles.operator
    }

    /// Whether they see every request and the whole history.
    pub fn sees_all(&self) -> bool {
        self.roles.auditor || self.roles.admin
    }

    /// Whether deciding a call on this person's behalf would be signing for themselves.
    fn signs_for_themselves(&self, on_behalf_of: &str) -> bool {
        !self.sole_local && self.is(on_behalf_of)
    }
}

impl People {
    /// Everybody who is configured.
    pub fn new(callers: &[CallerConfig], operators: &[OperatorConfig]) -> People {
        let mut people = People::default();
        for config in callers {
            let known = |strength| {
                let (name, acts_for) = (config.name.clone(), config.acts_for.clone());
                Identity::Caller(Arc::new(Caller { name, acts_for, strength }))
            };
            people.trust(&config.tokens, &known(Strength::Token));
            people.vouched(&config.certificate_names, &known(Strength::Certificate));
        }
        for config in operators {
            let operator = Arc::new(Operator::configured(config));
            people.trust(&config.tokens, &Identity::Operator(operator.clone()));
            let certified = Operator { strength: Strength::Certificate, ..(*operator).clone() };
            people.vouched(&config.certificate_names, &Identity::Operator(Arc::new(certified)));
            people.operators.insert(operator.name.clone(), operator);
        }
        people
    }

    /// Local mode: one caller, `local`, and one person, who may do everything.
    pub fn local(caller_token: &str, operator_token: &str, user_name: &str) -> People {
        let token = |text| {
            let (expires, place) = (None, Default::default());
            [TokenConfig { sha256: TokenHash::of(text), expires, place }]
        };
        let mut people = People::default();
        let (name, strength) = ("local".to_owned(), Strength::Local);
        let caller = Caller { name, acts_for: Vec::new(), strength };
        people.trust(&token(caller_token), &Identity::Caller(Arc::new(caller)));
        let operator = Arc::new(Operator {
            name: user_name.to_owned(),
            email: None,
            time_zone: None,
            aliases: Vec::new(),
            groups: BTreeSet::new(),
            roles: Roles { operator: true, auditor: true, admin: true },
            wants: Wants::default(),
            quiet_hours: None,
            strength: Strength::Local,
            sole_local: true,
            known_as: BTreeSet::from([fold(user_name)]),
        });
        people.trust(&token(operator_token), &Identity::Operator(operator.clone()));
        people.operators.insert(operator.name.clone(), operator);
        people
    }

    /// The first identity that a token is listed for keeps it. Callers come
    /// first, so that a token listed twice by mistake (which the check of the
    /// configuration refuses) could at least never decide.
    fn trust(&mut self, tokens: &[TokenConfig], identity: &Identity) {
        for token in tokens {
            let bucket = self.credentials.entry(index(&token.sha256)).or_default();
            if !bucket.iter().any(|known| known.hash == token.sha256) {
                let (hash, expires) = (token.sha256, token.expires);
                bucket.push(Credential { hash, expires, identity: identity.clone() });
            }
        }
    }

    /// As with tokens, the first keeps a name.
    fn vouched(&mut self, names: &[String], identity: &Identity) {
        for name in names {
            self.certificates.entry(name.clone()).or_insert_with(|| identity.clone());
        }
    }

    /// Who a verified client certificate with these names belongs to. More than
    /// one identity is an error: it would not say who it was.
    pub fn certified(&self, names: &[String]) -> Result<Option<Identity>, SeveralIdentities> {
        let mut found = names.iter().filter_map(|name| self.certificates.get(name));
        let Some(first) = found.next() else { return Ok(None) };
        match found.find(|other| !other.is_same(first)) {
            None => Ok(Some(first.clone())),
            Some(other) => Err(SeveralIdentities(first.name().to_owned(), other.name().to_owned())),
        }
    }

    /// Who a token belongs to, if it is valid now.
    pub fn authenticate(&self, token: &str, now: Time) -> Option<Identity> {
        self.known(&TokenHash::of(token), now)
    }

    /// The same by the token's hash.
    pub fn known(&self, token: &TokenHash, now: Time) -> Option<Identity> {
        let bucket = self.credentials.get(&index(token))?;
        let found = bucket.iter().find(|known| known.hash == *token)?;
        (!found.expired(now)).then(|| found.identity.clone())
    }

    /// How many tokens' time has run out.
    pub fn expired(&self, now: Time) -> usize {
        self.credentials.values().flatten().filter(|token| token.expired(now)).count()
    }

    /// The operator with exactly this configured name.
    pub fn operator(&self, name: &str) -> Option<&Arc<Operator>> {
        self.operators.get(name)
    }

    /// All operators, by name; also those who may only look.
    pub fn operators(&self) -> impl Iterator<Item = &Arc<Operator>> {
        self.operators.values()
    }

    /// Whether this operator's decision counts now: they still exist, have the
    /// role operator, are asked, and the call is not their own.
    pub fn entitled(
        &self,
        operator: &str,
        requirement: &Requirement,
        on_behalf_of: &str,
    ) -> Result<(), NotEntitled> {
        let operator = self.operator(operator).ok_or(NotEntitled::Unknown)?;
        if !operator.can_decide() {
            Err(NotEntitled::WrongRole)
        } else if operator.signs_for_themselves(on_behalf_of) {
            Err(NotEntitled::OwnCall)
        } else if !requirement.asks(&operator.groups) {
            Err(NotEntitled::NotAsked)
        } else {
            Ok(())
        }
    }

    /// For each clause of a request's requirement, how many of those who approved it
    /// are still entitled.
    pub fn counted(&self, request: &Request) -> Vec<u32> {
        let (requirement, on_behalf_of) = (&request.requirement, &request.call.agent.on_behalf_of);
        let approved = request.decisions.iter().filter(|d| d.verdict == Verdict::Approve);
        let names: BTreeSet<&str> = approved.map(|d| d.operator.as_str()).collect();
        let counts = |name: &&str| self.entitled(name, requirement, on_behalf_of).is_ok();
        let entitled: Vec<_> =
            names.into_iter().filter(counts).filter_map(|name| self.operator(name)).collect();
        requirement.counted(entitled.iter().map(|operator| &operator.groups))
    }

    /// Everybody whose decision would count now.
    pub fn asked(&self, requirement: &Requirement, on_behalf_of: &str) -> Vec<Arc<Operator>> {
        let counts = |o: &&Arc<Operator>| self.entitled(&o.name, requirement, on_behalf_of).is_ok();
        self.operators().filter(counts).cloned().collect()
    }

    /// Whether those who may decide are enough for every clause. If not: which
    /// route asks for more, and how many more.
    pub fn can_be_satisfied(
        &self,
        requirement: &Requirement,
        on_behalf_of: &str,
    ) -> Result<(), String> {
        let asked = self.asked(requirement, on_behalf_of);
        let counted = requirement.counted(asked.iter().map(|operator| &operator.groups));
        let lacking = |(clause, count): (&Clause, u32)| {
            (count < clause.approvals).then(|| self.lack(clause, count, on_behalf_of))
        };
        match requirement.clauses.iter().zip(counted).find_map(lacking) {
            Some(lack) => Err(lack),
            None => Ok(()),
        }
    }

    /// What a clause lacks, in words.
    fn lack(&self, clause: &Clause, count: u32, on_behalf_of: &str) -> String {
        let own = |o: &&Arc<Operator>| {
            o.can_decide() && clause.counts(&o.groups) && o.signs_for_themselves(on_behalf_of)
        };
        let without = match self.operators().find(own) {
            Some(own) => format!(" besides \"{}\", for whom the call is made", own.name),
            None => String::new(),
        };
        let plural = |n: u32, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        format!(
            "route \"{}\" asks {} for {}, but {} could give one{without}: {} more needed",
            clause.route,
            who_is_asked(clause),
            plural(clause.approvals, "approval"),
            plural(count, "operator"),
            clause.approvals - count,
        )
    }
}

/// Whom a clause asks, in words: `ops or security`, `any operator`.
pub fn who_is_asked(clause: &Clause) -> String {
    if clause.groups.is_empty() {
        return "any operator".to_owned();
    }
    clause.groups.iter().map(String::as_str).collect::<Vec<_>>().join(" or ")
}

fn index(hash: &TokenHash) -> [u8; 8] {
    let mut index = [0; 8];
    index.copy_from_slice(&hash.as_bytes()[..8]);
    index
}

#[cfg(test)]
pub(super) mod tests;
