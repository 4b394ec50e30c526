//! Who has to agree to a call: fixed when the request is submitted.

use std::collections::BTreeSet;

/// One group of people that has to agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// The route that brought it, or `built-in`.
    pub route: String,
    /// Members of any of these count. Empty: every operator.
    pub groups: BTreeSet<String>,
    /// How many distinct people; at least 1.
    pub approvals: u32,
    /// The link of a mail is not enough to decide: people have to sign in.
    pub sign_in: bool,
}

impl Clause {
    /// Whether an operator with these groups counts here.
    pub fn counts(&self, groups: &BTreeSet<String>) -> bool {
        self.groups.is_empty() || !self.groups.is_disjoint(groups)
    }

    /// Whether whoever satisfies `self` satisfies `other` too.
    fn implies(&self, other: &Clause) -> bool {
        let within = other.groups.is_empty()
            || (!self.groups.is_empty() && self.groups.is_subset(&other.groups));
        within && self.approvals >= other.approvals && self.sign_in >= other.sign_in
    }
}

/// All clauses must hold. One person may count in several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requirement {
    /// At least one.
    pub clauses: Vec<Clause>,
}

impl Requirement {
    /// Whether an operator with these groups is asked at all.
    pub fn asks(&self, groups: &BTreeSet<String>) -> bool {
        self.clauses.iter().any(|clause| clause.counts(groups))
    }

    /// For each clause, how many of these distinct people (their groups) count.
    pub fn counted<'a>(
        &self,
        people: impl Iterator<Item = &'a BTreeSet<String>> + Clone,
    ) -> Vec<u32> {
        let count = |clause: &Clause| people.clone().filter(|g| clause.counts(g)).count();
        self.clauses.iter().map(|c| count(c) as u32).collect()
    }

    /// Whether these distinct people together satisfy every clause.
    pub fn satisfied_by<'a>(
        &self,
        people: impl Iterator<Item = &'a BTreeSet<String>> + Clone,
    ) -> bool {
        !self.clauses.is_empty()
            && (self.clauses.iter().zip(self.counted(people))).all(|(c, n)| n >= c.approvals)
    }

    /// How many people have to agree at least, where one is not enough. One person may
    /// count in several clauses.
    pub fn several(&self) -> Option<u32> {
        self.clauses.iter().map(|clause| clause.approvals).max().filter(|most| *most > 1)
    }

    /// The first route that demands a sign-in, if one does.
    pub fn sign_in_for(&self) -> Option<&str> {
        self.clauses.iter().find(|clause| clause.sign_in).map(|clause| clause.route.as_str())
    }

    /// Whether `newer` asks for something that `self` did not.
    pub fn is_weaker_than(&self, newer: &Requirement) -> bool {
        !(newer.clauses.iter()).all(|new| self.clauses.iter().any(|old| old.implies(new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    fn clause(names: &[&str], approvals: u32) -> Clause {
        Clause { route: "r".to_owned(), groups: groups(names), approvals, sign_in: false }
    }

    #[test]
    fn every_clause_counts_distinct_people_of_its_own_groups() {
        let both = Requirement { clauses: vec![clause(&["ops"], 1), clause(&["sec"], 2)] };
        let (ops, sec, two) = (groups(&["ops"]), groups(&["sec"]), groups(&["ops", "sec"]));
        assert!(!both.satisfied_by([&ops, &sec].into_iter()));
        assert!(both.satisfied_by([&two, &sec].into_iter()));
        assert!(!both.satisfied_by([&sec, &sec].into_iter()));
        assert!(!Requirement::default().satisfied_by([&ops].into_iter()));
    }

    #[test]
    fn a_stricter_requirement_is_recognised() {
        let one = |c: Clause| Requirement { clauses: vec![c] };
        let any = one(clause(&[], 1));
        let ops = one(clause(&["ops"], 1));
        let ops_or_sec = one(clause(&["ops", "sec"], 1));
        let two = one(clause(&["ops"], 2));
        assert!(!any.is_weaker_than(&any));
        assert!(any.is_weaker_than(&ops));
        assert!(!ops.is_weaker_than(&any));
        assert!(ops_or_sec.is_weaker_than(&ops));
        assert!(!ops.is_weaker_than(&ops_or_sec));
        assert!(ops.is_weaker_than(&two));
        let signed_in = one(Clause { sign_in: true, ..clause(&["ops"], 1) });
        assert!(ops.is_weaker_than(&signed_in));
        assert!(!signed_in.is_weaker_than(&ops));
        let both = Requirement { clauses: vec![clause(&["ops"], 1), clause(&["sec"], 1)] };
        assert!(ops.is_weaker_than(&both));
        assert!(!both.is_weaker_than(&ops));
    }
}
