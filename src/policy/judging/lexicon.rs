//! What words say that stand in names and texts of tools.
//!
//! Verbs and nouns of English and of the crafts (Unix, HTTP, SQL, key-value stores,
//! payments), and never the name of a tool: a list of names would know yesterday's
//! servers. A word is listed with the most dangerous thing that it usually means.
//!
//! Promises: looking a word up is one hash. Must never: call a word a read that
//! names an act in any usual sense.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::call::model::{Category, Risk};

/// What a verb says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verb {
    /// What is done.
    pub category: Category,
    /// How bad a mistake would be.
    pub risk: Risk,
    /// When the word is a verb at all.
    pub when: When,
}

/// When a word is a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Wherever it stands: create, delete.
    Always,
    /// But not behind a verb that reads: `get_post`.
    Leading,
    /// Nor where it is something that has a state or a record: `build_status`.
    Event,
    /// Only as the first word of a name without another verb: `email_customer`.
    Alone,
}

use Category::{Destructive, Execute, Financial, Read, Write};
use Risk::{High, Low, Medium};
use When::{Alone, Always, Event, Leading};

/// Groups of verbs. A word stands in one.
const VERBS: &[(Category, Risk, When, &str)] = &[
    // Looks, and changes nothing.
    (
        Read,
        Low,
        Always,
        "get fetch retrieve list enumerate show display describe read find search lookup look \
         locate discover query count view browse inspect examine check compare diff peek poll \
         preview explain analyze analyse summarize summarise detect ping grep scrape crawl \
         extract introspect decompile disassemble estimate calculate recommend suggest whoami \
         exists audit paginate ls is has parse aggregate",
    ),
    // Changes data.
    (
        Write,
        Medium,
        Always,
        "create add insert update upsert modify edit alter amend revise write save append \
         prepend assign unassign attach upload download rename clone duplicate configure enable \
         disable toggle activate deactivate register provision make generate submit publish send \
         mark subscribe unsubscribe invite join leave accept approve reject restore unarchive \
         unlock unpin replace apply adjust increment decrement incr decr expire persist bind \
         connect disconnect mount unmount reserve define declare initialize initialise init \
         bootstrap seed migrate synchronize rotate renew extend resize encrypt decrypt \
         click hover manage compose remember ingest embed vote react suspend mute unmute \
         transition finalize finish deliver notify broadcast ensure put set customize redirect \
         override emit acknowledge ack enqueue dequeue consume fix import enroll \
         install upgrade downgrade onboard offboard snooze allocate associate disassociate \
         introduce establish authenticate login logout",
    ),
    // Changes data, and the word has another sense.
    (
        Write,
        Medium,
        Leading,
        "change move copy fork merge commit push post reply forward star follow like share swap \
         open close archive lock pin book record track log draft block new press type fill drag \
         scroll tap swipe handle control sign capture stage stash checkout link store patch \
         reorder sort format transform complete resume pause select switch request render tweet \
         resolve bookmark favorite refresh align input emulate touch echo say perform use \
         process operate act load stream setup convert correct scale transmit relay",
    ),
    // Changes who may do what.
    (Write, High, Always, "authorize authorise promote demote impersonate elevate delegate permit"),
    (Write, High, Leading, "grant assume"),
    // Changes data, or the name of what is kept.
    (Write, Medium, Event, "export backup sync schedule release review index"),
    (
        Write,
        Medium,
        Alone,
        "message email mail text sms dm comment tag label note task alert event issue ticket page \
         chat voice fax contact remind quote annotate",
    ),
    // Runs code, commands, machines.
    (
        Execute,
        High,
        Always,
        "execute exec eval evaluate invoke launch start stop restart rollback compile spawn \
         navigate goto simulate train benchmark dispatch bash powershell sudo chmod chown",
    ),
    (Execute, High, Leading, "play shell command go drive solve wake boot ssh curl"),
    (Execute, High, Event, "run call trigger deploy build test scan fire"),
    // Removes, or ends what cannot easily be had back.
    (
        Destructive,
        High,
        Always,
        "delete del remove rm rmdir drop destroy purge erase wipe truncate clear prune flush \
         flushall flushdb terminate kill uninstall revoke reset expunge unlink discard nuke \
         shred overwrite evict deregister unregister decommission obliterate zap scrub cleanup \
         clean dispose abort cancel shutdown halt reboot unpublish detach expel kick deprovision \
         invalidate revert undo pop trim unset teardown eliminate annihilate eradicate sweep \
         vacate dissolve redact void retire sunset hangup unfriend excise strip ditch scrap cull \
         dismantle",
    ),
    (Destructive, High, Leading, "empty trash ban force crush cut lose end"),
    // Moves money, or commits to pay.
    (
        Financial,
        High,
        Always,
        "pay repay refund payout remit withdraw purchase buy sell donate stake unstake reimburse \
         disburse liquidate prepay redeem mint burn airdrop",
    ),
    (
        Financial,
        High,
        Leading,
        "wire trade bill deposit tip bid lend borrow spend invest hedge debit exercise",
    ),
    (Financial, High, Event, "charge transfer settle"),
    (Financial, High, Alone, "invoice order credit payment"),
];

/// Commands of Redis and its like that are no words of English. They are looked for
/// last, one group after the other.
const STORE: &[(Category, Risk, &str)] = &[
    (
        Read,
        Low,
        "mget hget hmget hgetall hkeys hvals hlen hexists llen lrange lindex scard smembers \
         sismember smismember srandmember sinter sunion sdiff zrange zrevrange zscore zmscore \
         zrank zrevrank zcard zcount zrangebyscore strlen getrange getbit bitcount pttl dbsize \
         hscan sscan zscan xrange xrevrange xlen xinfo xread geopos geodist geohash geosearch \
         pfcount randomkey lastsave",
    ),
    (
        Write,
        Medium,
        "mset setex setnx psetex hset hmset hsetnx hincrby hincrbyfloat lpush rpush lset linsert \
         sadd smove zadd zincrby incrby incrbyfloat decrby getset getex msetnx setrange setbit \
         bitop expireat pexpire pexpireat geoadd pfadd pfmerge xadd xgroup xack xreadgroup \
         renamenx rpoplpush lmove blmove sinterstore sunionstore sdiffstore zunionstore \
         zinterstore psubscribe",
    ),
    (
        Destructive,
        High,
        "getdel hdel hgetdel lpop rpop blpop brpop lrem ltrim srem spop zrem zremrangebyrank \
         zremrangebyscore zremrangebylex zpopmin zpopmax bzpopmin bzpopmax xdel xtrim swapdb \
         lmpop zmpop",
    ),
];

/// What has a state, a record or a number that is looked at: as the last word of a
/// name in which nothing is done, it tells of a read.
const LOOKED_AT: &str = "status statuses info information details detail logs log metrics stats \
    statistics version versions health summary overview history schema schemas docs \
    documentation help count counts insights tree usage inventory catalog changelog metadata \
    spec specs specification diagnostics capabilities quota quotas weather forecast results \
    result data tables report reports list listing screenshot balance balances time news";

/// Joins two acts: what stands behind is a verb again. `get_or_create`.
const JOINS: &str = "and or then n plus also but";

/// Words that are read as one thing although one of them looks like a verb.
const COMPOUNDS: &[(&str, &str)] = &[
    ("access", "control"),
    ("add", "ons"),
    ("call", "graph"),
    ("call", "stack"),
    ("change", "log"),
    ("change", "set"),
    ("change", "sets"),
    ("data", "set"),
    ("data", "sets"),
    ("data", "store"),
    ("daemon", "set"),
    ("daemon", "sets"),
    ("feature", "set"),
    ("feature", "store"),
    ("ip", "set"),
    ("ip", "sets"),
    ("item", "set"),
    ("key", "set"),
    ("merge", "request"),
    ("merge", "requests"),
    ("object", "store"),
    ("parameter", "set"),
    ("parameter", "store"),
    ("patch", "set"),
    ("permission", "set"),
    ("permission", "sets"),
    ("pull", "request"),
    ("pull", "requests"),
    ("query", "set"),
    ("record", "set"),
    ("record", "sets"),
    ("replica", "set"),
    ("replica", "sets"),
    ("result", "set"),
    ("result", "sets"),
    ("rule", "set"),
    ("rule", "sets"),
    ("scale", "set"),
    ("scale", "sets"),
    ("stack", "set"),
    ("stack", "sets"),
    ("stateful", "set"),
    ("stateful", "sets"),
    ("store", "front"),
    ("time", "series"),
    ("value", "set"),
    ("value", "sets"),
    ("vector", "store"),
    ("vector", "stores"),
];

/// Pairs that only look although the verb alone would say more: resolving a host's
/// address is no resolving of a complaint. And the other way round.
const PAIRS: &[(&str, &str, Category, Risk)] = &[
    ("resolve", "address", Read, Low),
    ("resolve", "dns", Read, Low),
    ("resolve", "domain", Read, Low),
    ("resolve", "host", Read, Low),
    ("resolve", "hostname", Read, Low),
    ("resolve", "id", Read, Low),
    ("resolve", "library", Read, Low),
    ("resolve", "package", Read, Low),
    ("resolve", "path", Read, Low),
    ("resolve", "url", Read, Low),
    ("take", "screenshot", Read, Low),
    ("capture", "screenshot", Read, Low),
    ("convert", "currency", Read, Low),
    ("convert", "time", Read, Low),
    ("convert", "timezone", Read, Low),
    ("convert", "unit", Read, Low),
    ("convert", "units", Read, Low),
    ("check", "in", Write, Medium),
    ("check", "out", Write, Medium),
    ("check", "off", Write, Medium),
    ("check", "box", Write, Medium),
    ("check", "checkbox", Write, Medium),
    ("look", "up", Read, Low),
    ("pick", "up", Write, Medium),
    ("shut", "down", Destructive, High),
    ("tear", "down", Destructive, High),
    ("take", "down", Destructive, High),
    ("hang", "up", Destructive, High),
    ("clean", "up", Destructive, High),
    ("turn", "off", Execute, High),
    ("turn", "on", Execute, High),
    ("power", "off", Execute, High),
    ("power", "on", Execute, High),
    ("roll", "back", Execute, High),
    ("pay", "out", Financial, High),
    ("place", "order", Financial, High),
    ("place", "bid", Financial, High),
    ("place", "trade", Financial, High),
    ("scan", "for", Read, Low),
    // Of a store; to scan a machine or a repository is to run something.
    ("scan", "all", Read, Low),
    ("scan", "items", Read, Low),
    ("scan", "keys", Read, Low),
    ("scan", "rows", Read, Low),
    ("scan", "table", Read, Low),
    // What a page is, where a snapshot of a disk is made.
    ("browser", "snapshot", Read, Low),
    ("page", "snapshot", Read, Low),
    ("extract", "archive", Write, Medium),
    ("extract", "file", Write, Medium),
    ("extract", "files", Write, Medium),
    ("extract", "zip", Write, Medium),
    ("read", "write", Write, Medium),
];

/// What is paid with or for: to change it is to move money.
const MONEY: &str = "payment payments payout payouts invoice invoices refund refunds charge \
    charges subscription subscriptions money fund funds wallet wallets order orders purchase \
    purchases bill bills loan loans donation donations credit credits cart carts payroll salary \
    transaction transactions deposit withdrawal withdrawals transfer transfers giftcard crypto \
    expense expenses reimbursement stock stocks trade trades usd btc eth iban escrow position positions";

/// Who may do what: to change it opens doors.
const RIGHTS: &str = "role roles permission permissions policy policies admin admins \
    administrator acl acls firewall iam password passwords mfa owner owners ownership sudoer \
    privilege privileges scope scopes collaborator collaborators visibility public ingress egress";

/// What takes much with it when it goes.
const WHOLE: &str = "all everything database databases db cluster clusters account accounts \
    project projects bucket buckets repository repositories repo repos organization organisation \
    org orgs schema keyspace server servers instance instances volume volumes disk disks backup \
    backups snapshot snapshots tenant tenants vault vaults environment namespace workspace \
    workspaces domain zone key keys user users broker brokers stack system";

/// What may be looked at and still should not be seen by everybody.
const SECRET: &str = "secret secrets credential credentials password passwords token tokens \
    apikey apikeys passphrase certificate env environment vault ssn keychain";

/// Code of some language, or what runs it.
const CODE: &str = "code script scripts command commands shell javascript js python bash sql \
    program macro notebook snippet powershell terminal subprocess";

/// Databases and their languages: beside `query` these say that the statement decides.
const STATEMENTS: &str = "sql db database databases postgres postgresql pg mysql mariadb sqlite \
    mssql oracle snowflake bigquery clickhouse duckdb redshift athena trino presto cypher neo \
    cockroachdb chdb warehouse raw a the select statement query queries run execute exec perform \
    on my";

/// Things: no verb hides in them. They are also written together with verbs:
/// deletefile, kvset, sendmail.
const THINGS: &str = "file files dir directory directories folder folders user users account \
    accounts record records row rows table tables db database databases key keys kv item items \
    object objects message messages mail email emails page pages post posts task tasks job jobs \
    note notes issue issues ticket tickets event events node nodes entity entities data doc docs \
    document documents image images url urls link links command cmd code script sql query value \
    values member members group groups role roles branch branches repo repos order orders invoice \
    invoices payment payments money contact contacts env arr list all many one function functions \
    service services server servers system cluster clusters queue queues topic topics pipeline \
    pipelines project projects team teams workspace workspaces session sessions host hosts network \
    disk memory cpu process package packages module container containers pod pods deployment \
    deployments git docker api app device devices agent agents client customer customers product \
    products ticket search shipment tracking calendar meeting channel channels thread threads \
    console browser tab tabs window model models dataset datasets knowledge graph resource \
    resources tag tags label labels webhook webhooks alert alerts incident incidents monitor cost \
    costs price prices usage rate rates market stock currency exchange license site";
/// Where words that stand on their own are written together and are not two.
const NOT_FUSED: &str = "dataset datasets ruleset rulesets asset assets subset offset preset \
    charset keyset runtime runbook playlist callback postcode bookmark makefile readme checklist \
    showcase output outputs input inputs address newsletter newline datastore testcase buildpack \
    getter setter loader blocklist allowlist whitelist watchlist wishlist backlog catalog dialog \
    sendgrid mailbox linkedin playbook";

/// A word alone that another would turn round: `undelete`, `resend`, `bulkdelete`.
const PREFIXES: &[&str] =
    &["re", "un", "auto", "bulk", "batch", "mass", "multi", "soft", "hard", "force"];

struct Lexicon {
    verbs: HashMap<&'static str, Verb>,
    looked_at: HashSet<&'static str>,
    joins: HashSet<&'static str>,
    compounds: HashSet<(&'static str, &'static str)>,
    pairs: HashMap<(&'static str, &'static str), Verb>,
    money: HashSet<&'static str>,
    rights: HashSet<&'static str>,
    whole: HashSet<&'static str>,
    secret: HashSet<&'static str>,
    code: HashSet<&'static str>,
    statements: HashSet<&'static str>,
    things: HashSet<&'static str>,
    not_fused: HashSet<&'static str>,
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let set = |text: &'static str| text.split_whitespace().collect::<HashSet<_>>();
    let mut verbs = HashMap::new();
    for &(category, risk, when, words) in VERBS {
        for word in words.split_whitespace() {
            // Of two groups the first stands: it is the surer one.
            verbs.entry(word).or_insert(Verb { category, risk, when });
        }
    }
    let pairs = PAIRS.iter().map(|&(first, second, category, risk)| {
        ((first, second), Verb { category, risk, when: When::Always })
    });
    Lexicon {
        verbs,
        looked_at: set(LOOKED_AT),
        joins: set(JOINS),
        compounds: COMPOUNDS.iter().copied().collect(),
        pairs: pairs.collect(),
        money: set(MONEY),
        rights: set(RIGHTS),
        whole: set(WHOLE),
        secret: set(SECRET),
        code: set(CODE),
        statements: set(STATEMENTS),
        things: set(THINGS),
        not_fused: set(NOT_FUSED),
    }
});

/// A command of a key-value store that is no English verb.
pub fn store_command(word: &str) -> Option<Verb> {
    let group = STORE.iter().find(|(_, _, words)| words.split(' ').any(|known| known == word));
    group.map(|&(category, risk, _)| Verb { category, risk, when: Always })
}

/// The longest word that is taken apart: longer ones are no two words.
const LONGEST_FUSED: usize = 24;

/// What a word says as a verb: as it stands, in the third person, with a prefix, or
/// written together with a noun.
pub fn verb(word: &str) -> Option<Verb> {
    let known = &LEXICON.verbs;
    if let Some(verb) = known.get(word) {
        return Some(*verb);
    }
    third_person(word)
        .or_else(|| gerund(word))
        .or_else(|| store_command(word))
        .or_else(|| prefixed(word))
        .or_else(|| fused(word))
}

/// What a word says that is listed as it stands.
pub fn verb_as_it_stands(word: &str) -> Option<Verb> {
    LEXICON.verbs.get(word).copied()
}

/// A verb as sentences have it: as it stands, or in the third person.
pub fn verb_of_a_text(word: &str) -> Option<Verb> {
    let known = &LEXICON.verbs;
    let stem = word.strip_suffix('s');
    let found = known.get(word).or_else(|| known.get(stem?));
    found.or_else(|| known.get(stem?.strip_suffix('e')?)).copied()
}

/// Creates, pushes, applies. Such a word may be a plural: `updates`.
fn third_person(word: &str) -> Option<Verb> {
    let known = &LEXICON.verbs;
    if is_looked_at(word) {
        return None;
    }
    let stem = word.strip_suffix('s')?;
    let mut found = known.get(stem).or_else(|| known.get(stem.strip_suffix('e')?)).copied();
    if found.is_none()
        && let Some(stem) = word.strip_suffix("ies")
    {
        found = known.get(format!("{stem}y").as_str()).copied();
    }
    found.map(|verb| match verb.when {
        Always => Verb { when: Leading, ..verb },
        _ => verb,
    })
}

/// Deleting, purging: of what does harm only. Other words of this kind are mostly
/// names: setting, listing, billing.
fn gerund(word: &str) -> Option<Verb> {
    let known = &LEXICON.verbs;
    let stem = word.strip_suffix("ing").filter(|stem| stem.len() > 2)?;
    let found = known.get(stem).or_else(|| known.get(format!("{stem}e").as_str()));
    let found = found.or_else(|| {
        // Dropping.
        let end = stem.as_bytes().last()?;
        let shorter = stem.strip_suffix(char::from(*end))?;
        known.get(shorter).filter(|_| shorter.as_bytes().last() == Some(end))
    });
    let dangerous = |verb: &&Verb| verb.category == Destructive && verb.when == Always;
    found.filter(dangerous).map(|verb| Verb { when: Leading, ..*verb })
}

fn prefixed(word: &str) -> Option<Verb> {
    let known = &LEXICON.verbs;
    PREFIXES.iter().find_map(|prefix| {
        let stem = word.strip_prefix(prefix).filter(|stem| stem.len() > 2)?;
        let verb = *known.get(stem).filter(|verb| verb.when != Alone)?;
        Some(match (*prefix, verb.category) {
            // What is done again or undone is done to data.
            ("re" | "un", Read) => return None,
            ("un", Destructive) => Verb { category: Write, risk: Medium, ..verb },
            _ => verb,
        })
    })
}

/// The most dangerous reading of a word as a verb and a noun.
fn fused(word: &str) -> Option<Verb> {
    let lexicon = &*LEXICON;
    if word.len() > LONGEST_FUSED || lexicon.not_fused.contains(word) {
        return None;
    }
    let mut found: Option<Verb> = None;
    for at in 2..word.len().saturating_sub(1) {
        let (left, right) = word.split_at(at);
        let (first, last) = (lexicon.verbs.get(left), lexicon.verbs.get(right));
        let here = match (first, last) {
            // Two verbs are one word in names of products, and in commands that are listed.
            (Some(_), Some(_)) => None,
            (Some(verb), None) if lexicon.things.contains(right) => Some(*verb),
            (None, Some(verb)) if lexicon.things.contains(left) => Some(*verb),
            _ => None,
        };
        found = match (found, here) {
            (Some(found), Some(here)) => Some(more_dangerous(found, here)),
            (found, here) => found.or(here),
        };
    }
    found
}

fn more_dangerous(a: Verb, b: Verb) -> Verb {
    if b.category.number() > a.category.number() { b } else { a }
}

/// What two words say together, where that is something else than each.
pub fn pair(first: &str, second: &str) -> Option<Verb> {
    LEXICON.pairs.get(&(first, second)).copied()
}

/// Whether two words are one noun.
pub fn compound(first: &str, second: &str) -> bool {
    LEXICON.compounds.contains(&(first, second))
}

/// Whether it is a thing, and certainly no act.
pub fn is_a_thing(word: &str) -> bool {
    LEXICON.things.contains(word) || is_looked_at(word)
}

/// Whether it is something that is looked at.
pub fn is_looked_at(word: &str) -> bool {
    LEXICON.looked_at.contains(word)
}

/// Whether a verb may stand behind it although another stood before.
pub fn joins(word: &str) -> bool {
    LEXICON.joins.contains(word)
}

/// Whether it is money, or what is paid for.
pub fn is_money(word: &str) -> bool {
    LEXICON.money.contains(word)
}

/// Whether it is about who may do what.
pub fn is_a_right(word: &str) -> bool {
    LEXICON.rights.contains(word)
}

/// Whether much goes with it.
pub fn is_a_whole(word: &str) -> bool {
    LEXICON.whole.contains(word)
}

/// Whether not everybody should see it.
pub fn is_secret(word: &str) -> bool {
    LEXICON.secret.contains(word)
}

/// Whether it is code, or what runs it.
pub fn is_code(word: &str) -> bool {
    LEXICON.code.contains(word)
}

/// Whether, beside `query`, it leaves it to the statement what is done.
pub fn is_of_statements(word: &str) -> bool {
    LEXICON.statements.contains(word)
}
