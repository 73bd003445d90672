//! The commands themselves: their definition, and those that the flow does not need.

use std::fs;

use closing::{Bank, CloseAccounts, Predict, pipeline};
use phasegate::program::CapturedIo;

use crate::schemas::validated;
use crate::site::{Site, prepared};

/// Every command, with those below it.
fn all(command: &clap::Command) -> Vec<clap::Command> {
    let below = command.get_subcommands().flat_map(all);
    std::iter::once(command.clone()).chain(below).collect()
}

fn definition() -> clap::Command {
    phasegate::program("closing")
        .input(|given: CloseAccounts| Ok(given))
        .simulator(|_| Ok(Predict))
        .adapter(|_| Ok(Bank))
        .dry(pipeline)
        .rehearsed(pipeline)
        .live(pipeline)
        .command()
}

#[test]
fn the_definition_is_sound_also_below_another_command() {
    definition().debug_assert();
    phasegate::program::standalone().command().debug_assert();
    let bank = clap::Command::new("bank").subcommand(definition());
    let matches = bank.try_get_matches_from(["bank", "closing", "switch", "status", "--json"]);
    let matches = matches.unwrap();
    let (name, of_it) = matches.subcommand().unwrap();
    assert_eq!((name, of_it.subcommand_name()), ("closing", Some("switch")));
}

#[test]
fn no_option_weakens_anything() {
    let allowed = [
        "as",
        "author",
        "by-rehearsal",
        "check",
        "comment",
        "commit-input",
        "for",
        "format",
        "gate",
        "guard",
        "head",
        "json",
        "key",
        "label",
        "last-editor",
        "once",
        "open",
        "out",
        "performed-by",
        "plan",
        "policy",
        "policy-from",
        "print-sql",
        "quiet",
        "revoked",
        "signers",
        "signers-from",
        "statement-only",
        "valid-for",
        "why",
    ];
    for command in all(&definition()) {
        for argument in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(
                allowed.contains(&argument),
                "`{} --{argument}` is new: does it leave out a check?",
                command.get_name()
            );
        }
    }
    let run = definition();
    let run = run.find_subcommand("run").unwrap();
    let options = run.get_arguments().filter_map(clap::Arg::get_long);
    assert_eq!(
        options.collect::<Vec<_>>(),
        Vec::<&str>::new(),
        "`run` has no option of its own"
    );
}

#[test]
fn the_users_arguments_do_not_describe_the_command() {
    for name in ["plan", "run", "rehearse"] {
        let command = definition();
        let about = command
            .find_subcommand(name)
            .unwrap()
            .get_about()
            .unwrap()
            .to_string();
        assert!(
            !about.contains("numbers") && !about.is_empty(),
            "{name}: {about}"
        );
    }
    let mut command = definition();
    assert!(
        command
            .render_help()
            .to_string()
            .contains("30  run the same command again")
    );
}

#[test]
fn completions_and_manual_are_written() {
    let io = CapturedIo::new();
    let run = |args: &[&str]| phasegate::program::standalone().run(args.iter().copied(), &io);
    assert_eq!(run(&["phasegate", "completions", "bash"]), 0);
    assert!(io.answer().contains("_phasegate()"));
    assert_eq!(run(&["phasegate", "man"]), 0);
    assert!(io.answer().contains(".TH phasegate"));
    let io = CapturedIo::new();
    assert_eq!(
        phasegate::program::standalone().run(["phasegate", "init", "--print-sql"], &io),
        0
    );
    assert!(
        io.answer().contains("CREATE ROLE phasegate_owner")
            && io.answer().contains("phasegate.interlock")
    );
}

#[test]
fn without_a_simulator_a_rehearsal_makes_the_plan() {
    let site = prepared();
    let program = phasegate::program("closing")
        .input(|given: CloseAccounts| Ok(given))
        .adapter(|_| Ok(Bank))
        .rehearsed(pipeline)
        .live(pipeline);
    let change = site.dir.path().join("change");
    let dir = change.to_str().unwrap();
    let run = |args: &[&str]| {
        let io = site.io();
        let code = program.run(std::iter::once("closing").chain(args.iter().copied()), &io);
        crate::site::Ran {
            code: i32::from(code),
            out: io.answer(),
            err: io.messages(),
        }
    };
    let made = run(&["plan", "A1", "--out", dir, "--author", "grace", "--json"]).expect(0);
    assert_eq!(validated(&made.json())["result"]["made_by"], "rehearsal");
    assert!(
        made.err.contains("a rehearsal makes the plan"),
        "{}",
        made.err
    );
    assert_eq!(site.closed(), 0);
    validated(&run(&["replan", dir, "--json"]).expect(0).json());
    // An account that does not exist: no plan, and no directory.
    let other = site.dir.path().join("other");
    let failed = run(&[
        "plan",
        "A1",
        "nobody",
        "--out",
        other.to_str().unwrap(),
        "--author",
        "grace",
        "--json",
    ]);
    let failed = validated(&failed.expect(20).json());
    assert_eq!(failed["error"]["row"]["key"], "nobody");
    assert!(!other.exists());
}

/// A table that is guarded by contents: the plan is that of two rehearsals, and has the values.
#[test]
fn two_rehearsals_bind_the_values_of_a_table_guarded_by_contents() {
    let site = prepared();
    site.phasegate("", ["init", "bank.account", "--guard", "contents"])
        .expect(0);
    let change = site.dir.path().join("change");
    let dir = change.to_str().unwrap();
    let made = site.closing([
        "plan",
        "A1",
        "--out",
        dir,
        "--author",
        "grace",
        "--by-rehearsal",
    ]);
    let made = made.expect(0).out;
    assert!(
        made.contains("updated: closed, to the rehearsed values"),
        "{made}"
    );
    site.closing(["replan", dir]).expect(0);
    assert_eq!(site.closed(), 0);
}

#[test]
fn differences_of_plans_and_gate_tables_are_found() {
    let site = prepared();
    let (one, two) = (site.dir.path().join("one"), site.dir.path().join("two"));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    site.closing(["plan", "A1", "--out", one, "--author", "grace"])
        .expect(0);
    site.closing(["plan", "A1", "A2", "--out", two, "--author", "grace"])
        .expect(0);
    let diff = validated(
        &site
            .phasegate("", ["diff", one, two, "--json"])
            .expect(4)
            .json(),
    );
    let found = diff["result"]["differences"].to_string();
    assert!(found.contains("close_accounts: bank.account"), "{found}");
    validated(
        &site
            .phasegate("", ["diff", one, one, "--json"])
            .expect(0)
            .json(),
    );

    let table = site.dir.path().join("gates.md");
    let written = site.closing(["gates", one, "--format", "md"]).expect(0).out;
    fs::write(&table, written).unwrap();
    let table = table.to_str().unwrap();
    validated(
        &site
            .closing(["gates", one, "--check", table, "--json"])
            .expect(0)
            .json(),
    );
    fs::write(table, "stale").unwrap();
    validated(
        &site
            .closing(["gates", one, "--check", table, "--json"])
            .expect(4)
            .json(),
    );

    // A rehearsal on data that the simulator did not know of.
    site.sql("CREATE TRIGGER also BEFORE UPDATE ON bank.account FOR EACH ROW EXECUTE FUNCTION bank.also()");
    let rehearsed = validated(&site.closing(["rehearse", one, "--json"]).expect(4).json());
    let found = rehearsed["result"]["differences"].to_string();
    assert!(found.contains("close_accounts: bank.report"), "{found}");
    validated(&site.phasegate("", ["doctor", "--json"]).expect(0).json());

    // Nobody takes a directory with other files for a new change.
    let kept = site.dir.path().join("kept");
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join(".gitignore"), "target\n").unwrap();
    site.closing([
        "plan",
        "A1",
        "--out",
        kept.to_str().unwrap(),
        "--author",
        "grace",
    ])
    .expect(10);
    assert_eq!(
        fs::read_to_string(kept.join(".gitignore")).unwrap(),
        "target\n"
    );
}

/// What a page for reviewers has is shown as it is, whatever the summary says.
#[test]
fn a_page_for_reviewers_cannot_be_forged() {
    let site: Site = prepared();
    let change = site.dir.path().join("change");
    let dir = change.to_str().unwrap();
    site.closing(["plan", "A1", "--out", dir, "--author", "<b>|grace|"])
        .expect(0);
    let page = fs::read_to_string(change.join("plan.md")).unwrap();
    assert!(!page.contains("<b>"), "{page}");
    fs::write(change.join("plan.md"), "nothing to see").unwrap();
    let check = site.closing(["check", dir, "--json"]).expect(3).json();
    assert_eq!(check["result"]["findings"][0]["about"], "page");
}
