//! Where letters lead.

use super::kinds::{FOLLOW_UPS, ended, mixed};
use super::reading::{Read, read, value};
use super::*;
use crate::mail::letter::{FollowUp, Summary, sample};

const HOME: &str = "https://approve.example.com/";

fn written(matter: &Matter<'_>, about: &About) -> Read {
    read(&compose(matter, &to(), about).expect("a letter").bytes)
}

/// What stands alone on a line, as readers make links of it.
fn plain_links(plain: &str) -> Vec<&str> {
    plain.lines().filter(|line| line.starts_with("http")).collect()
}

/// Each link's address and words.
fn html_links(html: &str) -> Vec<(&str, &str)> {
    let link = |tag: &'static str| html.split(tag).skip(1);
    link("<a href=\"")
        .map(|rest| {
            let (url, rest) = rest.split_once('"').expect("it ends");
            let words = rest.split_once('>').expect("it ends").1;
            (url, words.split_once('<').expect("it ends").0)
        })
        .collect()
}

#[test]
fn a_letter_that_asks_has_one_link_which_decides() {
    let request = request();
    for matter in [Matter::Asked(&request), Matter::Reminder(&request)] {
        let Read { plain, html, .. } = written(&matter, &with_pages());
        let links = with_pages().links.expect("pages");
        let review = links.review(&to().name, &to().email, &request, at(NOW));
        assert!(review.starts_with("https://approve.example.com/l/"), "{review}");
        assert_eq!(plain_links(&plain), [&review]);
        assert_eq!(html_links(&html), [(review.as_str(), "Review")]);
        // Before the facts, and the commands still stand below.
        let place = |words: &str| plain.find(words).unwrap_or_else(|| panic!("{words}\n{plain}"));
        let places = ["Run delete_broker", &review, "WHO ASKS", "holdpoint approve"].map(place);
        assert!(places.is_sorted(), "{places:?}");
        assert!(plain.contains("do not forward"), "{plain}");
    }
}

#[test]
fn where_a_route_demands_a_sign_in_a_mail_carries_no_authority() {
    let mut request = request();
    request.requirement.clauses[0].sign_in = true;
    let page = format!("{HOME}requests/{}", request.id);
    for matter in [Matter::Asked(&request), Matter::Reminder(&request)] {
        let Read { plain, html, .. } = written(&matter, &with_pages());
        assert_eq!(plain_links(&plain), [&page]);
        assert_eq!(html_links(&html), [(page.as_str(), "Review")]);
        for text in [plain.replace('\n', " "), text_of(&html)] {
            assert!(text.contains("Deciding this one needs a sign-in"), "{text}");
        }
    }
    let items = mixed().items.into_iter().map(|mut item| {
        item.request.requirement.clauses[0].sign_in = true;
        item
    });
    let summary = Summary { items: items.collect(), ..mixed() };
    let Read { plain, html, .. } = written(&Matter::Summary(&summary), &with_pages());
    assert!(!plain.contains("/l/") && !html.contains("/l/"), "{plain}");
}

#[test]
fn a_follow_up_leads_to_the_page_and_decides_nothing() {
    for how in FOLLOW_UPS {
        let request = ended(how);
        let Read { plain, html, .. } = written(&Matter::FollowUp(how, &request), &with_pages());
        let page = format!("{HOME}requests/{}", request.id);
        assert_eq!(plain_links(&plain), [&page], "{how:?}");
        assert_eq!(html_links(&html), [(page.as_str(), "See it")], "{how:?}");
    }
}

#[test]
fn a_summary_has_a_link_for_each_call_that_waits_and_both_parts_have_the_same() {
    let summary = mixed();
    let Read { headers, plain, html } = written(&Matter::Summary(&summary), &with_pages());
    let in_html: Vec<&str> = html_links(&html).into_iter().map(|(url, _)| url).collect();
    assert_eq!(plain_links(&plain), in_html);
    let (first, last) = (in_html[0], in_html[in_html.len() - 1]);
    assert_eq!(first, HOME);
    assert!(last.starts_with("https://approve.example.com/u/"), "{last}");
    let reviews: BTreeSet<&str> = in_html[1..in_html.len() - 1].iter().copied().collect();
    assert_eq!(reviews.len(), 12);
    let links = with_pages().links.expect("pages");
    for item in &summary.items {
        let review = links.review(&to().name, &to().email, &item.request, at(NOW));
        let waits = item.request.status == Status::Pending;
        assert_eq!(reviews.contains(review.as_str()), waits, "{:?}", item.request.id);
    }
    assert_eq!(value(&headers, "List-Unsubscribe"), format!("<{last}>"));
}

#[test]
fn only_summaries_are_left_and_by_one_click_only_over_https() {
    let summary = mixed();
    let names = |matter: &Matter<'_>, about: &About| -> Vec<(String, String)> {
        let headers = written(matter, about).headers;
        headers.into_iter().filter(|(name, _)| name.starts_with("List-Unsub")).collect()
    };
    let both = names(&Matter::Summary(&summary), &with_pages());
    let [(_, first), (post, one_click)] = both.as_slice() else { panic!("{both:?}") };
    assert!(first.starts_with("<https://approve.example.com/u/"), "{first}");
    assert_eq!(
        (post.as_str(), one_click.as_str()),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
    );
    let url = PublicUrl::parse("http://127.0.0.1:4654").expect("an origin");
    let plain = About { links: Some(Links::new(Seal::new([7; 32]), url)), ..about() };
    let only = names(&Matter::Summary(&summary), &plain);
    assert!(matches!(only.as_slice(), [(name, _)] if name == "List-Unsubscribe"), "{only:?}");
    assert_eq!(names(&Matter::Summary(&summary), &about()), []);
    for matter in [Matter::Asked(&request()), Matter::FollowUp(FollowUp::Denied, &request())] {
        assert_eq!(names(&matter, &with_pages()), []);
    }
}

/// What one part says, the other says: the same words in the same order, but for
/// what belongs to each as a form.
#[test]
fn both_parts_say_the_same() {
    let summary = mixed();
    let request = request();
    let denied = ended(FollowUp::Denied);
    for matter in [
        Matter::Asked(&request),
        Matter::Reminder(&request),
        Matter::FollowUp(FollowUp::Denied, &denied),
        Matter::Summary(&summary),
    ] {
        for about in [about(), with_pages()] {
            let Read { plain, html, .. } = written(&matter, &about);
            let words = |text: &str| -> Vec<String> {
                let marks: &[_] = &['!', '>', '↳', '\\', '-', ':'];
                let lower = text.to_lowercase();
                let words = lower.split_whitespace().filter(|word| !word.starts_with("http"));
                let words = words.map(|word| word.trim_matches(marks).to_owned());
                words.filter(|word| !word.is_empty()).collect()
            };
            let plain = plain.lines().filter(|line| !line.starts_with("http"));
            let (plain, html) =
                (words(&plain.collect::<Vec<_>>().join("\n")), words(&text_of(&html)));
            assert_eq!(plain, html, "{matter:?}");
        }
    }
}

#[test]
fn without_pages_there_is_no_link_and_the_letter_says_so() {
    let (summary, request) = (mixed(), request());
    let letters = [Matter::Asked(&request), Matter::Reminder(&request), Matter::Summary(&summary)];
    for matter in letters {
        let Read { plain, html, .. } = written(&matter, &about());
        assert!(!html.contains("href") && plain_links(&plain).is_empty(), "{matter:?}");
        assert!(plain.replace('\n', " ").contains("mails hold no links"), "{plain}");
    }
    let test = sample(&to(), &about()).expect("a letter");
    assert!(!read(&test.bytes).html.contains("href"));
}

#[test]
fn a_letter_says_where_its_own_links_lead() {
    let Read { plain, html, .. } = written(&Matter::Asked(&request()), &with_pages());
    for text in [plain.replace('\n', " "), text_of(&html)] {
        assert!(
            text.contains("own links lead to https://approve.example.com/ and nowhere else"),
            "{text}"
        );
    }
}
