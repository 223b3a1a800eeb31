//! The plain form of a message, for programs. Fields may be added; none is renamed and none changes its meaning without another
//! [`VERSION`].

use serde_json::{Value, json};

use super::message::Message;

/// Of the format.
pub const VERSION: u32 = 1;

pub(super) fn render(message: &Message<'_>) -> Value {
    let alerts = message.entries.iter().map(|entry| {
        let mut alert = json!(entry.alert);
        alert["late_too"] = json!(entry.late);
        alert
    });
    json!({
        "version": VERSION,
        "kind": if message.is_test() { "test" } else { "alerts" },
        "title": message.title(),
        "project": message.project,
        "environment": message.environment,
        "run_id": message.run,
        "date": message.date(),
        "alerts": alerts.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{failed, late, message, project};
    use super::*;

    #[test]
    fn a_late_table_is_told_with_its_promise() {
        let alerts = [late(&project(), "visits")];
        let told = render(&message(&alerts));
        assert_eq!(told["title"], "prod: shop.visits late for 2026-11-20");
        assert_eq!(
            told["alerts"][0]["promise"],
            json!({
                "promise": "ready by 06:00 UTC",
                "deadline": "2026-11-21T06:00:00Z",
                "late_by_seconds": 5_400,
                "ready": false,
            })
        );
        assert_eq!(told["alerts"][0]["error"], Value::Null);
    }

    #[test]
    fn what_the_engine_said_of_a_row_stays_here() {
        let project = project();
        let mut alert = failed(&project, "people");
        let error = crate::error::Error::new(crate::error::ErrorKind::InputBroken, "a value cannot be computed")
            .with("table", "shop.people")
            .with(crate::engine::ENGINE, "Cannot cast string 'ada@example.com' to Int64")
            .source(std::io::Error::other("ada@example.com"));
        alert.error = Some(super::super::ErrorFacts::of(&error));
        let alerts = [alert];
        let message = message(&alerts);
        let texts = render(&message).to_string() + &super::super::slack::render(&message).to_string();
        assert!(texts.contains("a value cannot be computed") && texts.contains("shop.people"));
        assert!(!texts.contains("ada@example.com"), "{texts}");
    }
}
