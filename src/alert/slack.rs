//! Slack's form of a message: blocks, within Slack's limits.
//!
//! https://docs.slack.dev/reference/block-kit/blocks, https://docs.slack.dev/messaging/formatting-message-text

use serde_json::{Value, json};

use super::message::{Entry, Line, Message};

/// Characters of a header.
const HEADER: usize = 150;
/// Characters of a section's text and of a context's element.
const SECTION: usize = 3_000;
/// Alerts that get a section of their own; a message takes 50 blocks, and a person far fewer.
const SECTIONS: usize = 12;
/// Characters of the text that stands where blocks cannot be shown; what is longer than 4,000 is not for people.
const FALLBACK: usize = 1_500;

pub(super) fn render(message: &Message<'_>) -> Value {
    let title = message.title();
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": bounded(&escaped(&title), HEADER) },
    })];
    if message.is_test() {
        blocks.push(section("This channel hears of alerts. Nothing is wrong."));
    }
    blocks.extend(message.entries.iter().take(SECTIONS).map(|entry| section(&entry_text(entry))));
    if message.entries.len() > SECTIONS {
        let rest: Vec<String> = message.entries[SECTIONS..].iter().map(head).collect();
        blocks.push(section(&format!("and {} more:\n{}", rest.len(), rest.join("\n"))));
    }
    blocks.push(
        json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": bounded(&origin(message), SECTION) }] }),
    );
    json!({ "text": bounded(&escaped(&fallback(message, title)), FALLBACK), "blocks": blocks })
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": bounded(text, SECTION) } })
}

fn entry_text(entry: &Entry<'_>) -> String {
    let lines = entry.lines();
    std::iter::once(head(entry)).chain(lines.iter().map(line_text)).collect::<Vec<_>>().join("\n")
}

fn head(entry: &Entry<'_>) -> String {
    let alert = entry.alert;
    format!("*{}* of {}: {}", code(&alert.subject.to_string()), alert.date, alert.kind.as_str())
}

fn line_text(line: &Line) -> String {
    match (line.command, line.label) {
        (true, _) => code(&line.text),
        (false, label) => format!("*{label}:* {}", escaped(&line.text)),
    }
}

fn origin(message: &Message<'_>) -> String {
    let run = message.run.map(|run| format!(", run {}", code(run.as_str()))).unwrap_or_default();
    format!("gatefold, project {}, environment {}{run}", escaped(message.project), escaped(message.environment))
}

/// What a notification shows.
fn fallback(message: &Message<'_>, title: String) -> String {
    let errors = message.entries.iter().filter_map(|entry| entry.alert.error.as_ref());
    errors.fold(title, |text, error| format!("{text}\n{}", error.message))
}

/// Slack's three characters that are not text, as it asks for them.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn code(text: &str) -> String {
    format!("`{}`", escaped(text).replace('`', "'"))
}

/// Cut to so many characters, as JavaScript counts them, and never within an escape.
fn bounded(text: &str, limit: usize) -> String {
    if text.encode_utf16().count() <= limit {
        return text.to_owned();
    }
    let (mut kept, mut length) = (0, 0);
    for (at, character) in text.char_indices() {
        length += character.len_utf16();
        if length >= limit {
            break;
        }
        kept = at + character.len_utf8();
    }
    let open = text[..kept].rfind('&').filter(|at| !text[*at..kept].contains(';'));
    format!("{}…", &text[..open.unwrap_or(kept)])
}

#[cfg(test)]
mod tests {
    use super::super::facts::Alert;
    use super::super::testing::{failed, late, message, project, refusals};
    use super::*;

    #[test]
    fn a_failure_reads_well() {
        let project = project();
        let alerts = [failed(&project, "people")];
        let slack = render(&message(&alerts));
        assert_eq!(refusals(&slack), [""; 0]);
        let lines = [
            "*`shop.people`* of 2026-11-20: failed",
            "*error:* a check blocks: range(visits): 1 of 2 rows (exit 12)",
            "*table:* shop.people",
            "*hint:* nothing was published",
            "*finding:* range(visits): 1 of 2 rows is outside 0 to 9 (snapshot_date=2026-11-20, person_id=p-1)",
            "*skipped:* visits",
            "*read by:* shop.visits",
            "*views:* shop.visitors",
            "*owner:* people@example.com",
            "*next:* see the findings, mend the source or the model; trying again as it is changes nothing",
            "`gatefold show 20261121t072000000z-0000beef --env prod`",
            "`gatefold run people+ --date 2026-11-20 --env prod`",
        ];
        assert_eq!(slack["blocks"][1]["text"]["text"], lines.join("\n"));
    }

    #[test]
    fn control_characters_are_escaped_and_code_cannot_end_early() {
        let mut alert = failed(&project(), "people");
        alert.error.as_mut().unwrap().message = "<!channel> a & b `c` </section>".to_owned();
        alert.next.commands = vec!["gatefold run `x` <y>".to_owned()];
        let slack = render(&message(&[alert]));
        assert_eq!(refusals(&slack), [""; 0]);
        let text = slack["blocks"][1]["text"]["text"].as_str().unwrap();
        assert!(text.contains("&lt;!channel&gt; a &amp; b"), "{text}");
        assert!(text.contains("`gatefold run 'x' &lt;y&gt;`"), "{text}");
        assert!(slack["text"].as_str().unwrap().contains("&lt;!channel&gt;"));
    }

    #[test]
    fn the_largest_message_is_within_the_limits() {
        let project = project();
        let big = |alert: Alert| {
            let mut alert = alert;
            let error = alert.error.as_mut().unwrap();
            error.message = "&<𝄞>".repeat(5_000);
            error.context.iter_mut().for_each(|context| context.value = "<&>".repeat(9_000));
            error.hint = Some("é&".repeat(10_000));
            alert.cause = "x".to_owned();
            alert
        };
        let alerts: Vec<Alert> = (0..200).map(|_| big(failed(&project, "people"))).collect();
        let slack = render(&message(&alerts));
        assert_eq!(refusals(&slack), [""; 0]);
        let last = &slack["blocks"].as_array().unwrap()[SECTIONS + 1]["text"]["text"];
        assert!(last.as_str().unwrap().starts_with("and 188 more:"), "{last}");
    }

    #[test]
    fn a_text_is_never_cut_within_an_escape() {
        let text = "aaaa&amp;bbbb";
        for limit in 2..14 {
            let cut = bounded(text, limit);
            assert!(cut.encode_utf16().count() <= limit, "{cut}");
            assert!(!cut.contains('&') || cut.contains("&amp;"), "{cut}");
        }
        assert_eq!(bounded("𝄞𝄞𝄞", 4), "𝄞…");
        assert_eq!(bounded(text, 13), text);
    }

    #[test]
    fn a_test_message_says_so() {
        let slack = render(&Message::test("shop", "prod"));
        assert_eq!(refusals(&slack), [""; 0]);
        assert_eq!(slack["text"], "prod: a test of the alerts of shop");
    }

    #[test]
    fn what_is_late_for_a_failure_is_told_with_it_and_else_alone() {
        let project = project();
        let mut follower = late(&project, "visits");
        follower.root = Some("people".parse().unwrap());
        let mut own = late(&project, "people");
        own.root = Some("people".parse().unwrap());
        let together = [failed(&project, "people"), own.clone(), follower.clone()];
        let slack = render(&message(&together));
        assert_eq!(slack["text"].as_str().unwrap().lines().next(), Some("prod: shop.people failed for 2026-11-20"));
        let text = slack["blocks"][1]["text"]["text"].as_str().unwrap();
        assert!(text.contains("*late too:* shop.people, shop.visits"), "{text}");

        let only_late = [own, follower];
        let slack = render(&message(&only_late));
        assert_eq!(slack["text"].as_str().unwrap().lines().next(), Some("prod: shop.people late for 2026-11-20"));
        assert!(slack["blocks"][1]["text"]["text"].as_str().unwrap().contains("*late too:* shop.visits"));
        let alone = &only_late[1..];
        assert_eq!(render(&message(alone))["text"], "prod: shop.visits late for 2026-11-20");
    }
}
