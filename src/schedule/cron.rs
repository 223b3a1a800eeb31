//! A crontab: one line that runs the schedule. Leases keep two runs apart, so that nothing else has to.

use std::path::{Path, PathBuf};

use super::Schedule;
use super::render::{Target, head};

/// The crontab of a schedule; none when it names no machine in `[crontab]`.
pub fn render(schedule: &Schedule) -> Option<(PathBuf, String)> {
    let crontab = schedule.crontab.as_ref()?;
    let path = Path::new(Target::Cron.folder()).join(format!("{}.cron", schedule.name));
    let text = format!(
        "{head}\n# {description} {owner}\nCRON_TZ={zone}\n{cron} {program} {command} --project {project}\n",
        head = head(&schedule.file.display().to_string(), Target::Cron),
        description = one_line(&schedule.description),
        owner = one_line(&schedule.owner),
        zone = schedule.time_zone.name(),
        cron = schedule.cron,
        program = crontab.program,
        command = schedule.command(&schedule.env).join(" "),
        project = crontab.project,
    );
    Some((path, text))
}

/// A comment ends with its line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::edited_own;

    #[test]
    fn a_crontab_is_one_line_that_names_everything() {
        let with = "[crontab]\nproject = '/srv/gatefold'\n\n[kubernetes]";
        let schedule = edited_own(&[("\n[kubernetes]", with), ("\"UTC\"", "\"Europe/Oslo\"")]);
        let (path, text) = super::render(&schedule).unwrap();
        assert_eq!(path.to_str(), Some("schedules/cron/daily.cron"));
        assert_eq!(
            text,
            "# Generated from schedules/daily.toml by `gatefold schedule render cron`: edit that file and render again.\n\
             # All tables of a day, once its snapshots are there. data-platform@example.com\n\
             CRON_TZ=Europe/Oslo\n\
             30 3 * * * /usr/local/bin/gatefold schedule run daily --env local --project /srv/gatefold\n"
        );
    }
}
