//! What was said once is said again: on another connection, and after a reconnect.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use phasegate::{Timeouts, connect::PostgresConnector};
use postgres::config::Host;
use postgres::{Client, Config, NoTls};

use crate::cases::{Answer, Case};
use crate::page;
use crate::proxy::{At, Fault, Message, Proxy, Script, Side, What};
use crate::rule::{before_again, committed, judge, runs_again};
use crate::server::{Database, database_on};
use crate::wire::server;

/// Says it in a new session, all at once, and answers the SQLSTATE of each error that came back.
fn said_again(config: &Config, messages: &[Message]) -> Vec<String> {
    let Host::Unix(directory) = &config.get_hosts()[0] else {
        panic!("the server is on the network")
    };
    let mut stream = UnixStream::connect(directory.join(".s.PGSQL.5432")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    for message in messages {
        stream.write_all(&message.bytes).unwrap();
    }
    stream.write_all(b"X\0\0\0\x04").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let mut codes = Vec::new();
    let mut rest = answer.as_slice();
    while let [kind, a, b, c, d, ..] = *rest {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let body = &rest[5..=length];
        if kind == b'E' {
            let fields = body.split(|byte| *byte == 0);
            let code = fields.filter_map(|field| field.strip_prefix(b"C"));
            codes.extend(code.map(|code| String::from_utf8_lossy(code).into_owned()));
        }
        rest = &rest[length + 1..];
    }
    codes
}

/// The closing message alone, in a session of the runner's.
fn closed_again(config: &Config, closing: &Message) -> String {
    let sql = &closing.bytes[5..closing.bytes.len() - 1];
    let mut client = config.connect(NoTls).unwrap();
    let refused = client.simple_query(std::str::from_utf8(sql).unwrap());
    refused.unwrap_err().code().unwrap().code().to_owned()
}

struct Replay {
    database: Database,
    direct: Config,
    proxy: Proxy,
    client: Client,
    closing: At,
    lines: Vec<String>,
}

impl Replay {
    fn new() -> Self {
        let database = database_on(server());
        let direct = database.runner.config();
        let (proxy, client) = (Proxy::new(&direct), database.admin());
        let case = Case::admitted(&database, "a dry pass");
        let closing = proxy.close_of(&case).asked;
        let lines = page::head(&[
            "repeated",
            "when",
            "the server's response",
            "the run returns, journal",
        ]);
        Replay {
            database,
            direct,
            proxy,
            client,
            closing,
            lines,
        }
    }

    /// A case whose closing message meets this fault.
    fn case(&self, name: &str, what: What) -> (Case, std::sync::Arc<Script>) {
        let case = Case::admitted(&self.database, name);
        let script = self.proxy.play(Some(Fault {
            side: Side::Client,
            at: self.closing,
            what,
        }));
        (case, script)
    }

    fn perform(&self, case: &Case) -> Answer {
        let runner = case.live(PostgresConnector::no_tls(self.proxy.config.clone()));
        case.perform(runner.timeouts(Timeouts::default().resolve(Duration::ZERO)))
    }

    fn line(&mut self, what: &str, when: &str, codes: &[String], judged: &str) {
        // What comes after the first error says only that the transaction is aborted.
        let said = codes.first().map_or("nothing", String::as_str);
        self.lines.push(page::row(&[what, when, said, judged]));
    }
}

/// What the client of the first connection said, up to the closing message.
fn conversation(script: &Script) -> Vec<Message> {
    let heard = script.heard().into_iter();
    let mut said: Vec<_> = heard
        .filter(|one| one.side == Side::Client && one.connection == 0)
        .collect();
    let closing = said.iter().position(Message::is_closing).unwrap();
    said.truncate(closing + 1);
    said
}

#[test]
fn what_is_said_again_changes_nothing() {
    const CLOSING: &str = "the closing message";
    const ALL: &str = "the whole conversation";
    let mut replay = Replay::new();

    let (case, script) = replay.case("beside", What::Hold);
    let (answer, code) = thread::scope(|scope| {
        let again = scope.spawn(|| {
            script.until_held();
            let code = closed_again(&replay.direct, &script.message(Message::is_closing));
            script.release();
            code
        });
        (replay.perform(&case), again.join().unwrap())
    });
    let judged = judge(&mut replay.client, &replay.direct, &case, answer);
    assert_eq!(code, "ZG001");
    let when = "on a second connection, before the server has it";
    replay.line(CLOSING, when, &[code], &judged.to_string());

    let (case, script) = replay.case("twice", What::Twice);
    let answer = replay.perform(&case);
    let judged = judge(&mut replay.client, &replay.direct, &case, answer).to_string();
    // The answer to the first races with what the second one breaks.
    let either = ["performed, 1", "in doubt, committed, 1"];
    assert!(either.contains(&&*judged), "{judged}");
    let judged = either.join(" *or* ");
    let when = "on the same connection, at once";
    replay.line(CLOSING, when, &["(the client is gone)".to_owned()], &judged);

    let code = closed_again(&replay.direct, &script.message(Message::is_closing));
    assert_eq!(code, "ZG001");
    assert_eq!(committed(&mut replay.client, &case), 1);
    let when = "on a second connection, after the commit";
    replay.line(CLOSING, when, &[code], &judged);

    let codes = said_again(&replay.direct, &conversation(&script));
    assert_eq!(committed(&mut replay.client, &case), 1);
    // The opening answers that the phase is committed, and opens nothing: the guard refuses the rows.
    assert_eq!(codes[0], "ZG007");
    replay.line(ALL, "after the commit", &codes, &judged);

    let (case, script) = replay.case("lost", What::CutBefore);
    let answer = replay.perform(&case);
    let code = closed_again(&replay.direct, &script.message(Message::is_closing));
    assert_eq!(code, "ZG001");
    let judged = before_again(&mut replay.client, &replay.direct, &case, answer);
    let when = "after a reconnect; the first was lost on its way";
    replay.line(CLOSING, when, &[code], &judged.to_string());

    let codes = said_again(&replay.direct, &conversation(&script));
    assert_eq!(codes[0], "ZG019", "the nonce is claimed");
    assert_eq!(committed(&mut replay.client, &case), 0);
    let when = "after a reconnect, when the doubt is resolved";
    replay.line(ALL, when, &codes, &judged.to_string());
    runs_again(&mut replay.client, &replay.direct, &case, judged.journalled);

    let (case, script) = replay.case("lost and found", What::CutBefore);
    let answer = replay.perform(&case);
    let mut said = conversation(&script);
    said.push(said[said.len() - 1].clone());
    let codes = said_again(&replay.direct, &said);
    assert_eq!(codes, ["ZG001"], "of the second closing message");
    let judged = judge(&mut replay.client, &replay.direct, &case, answer);
    let when = "after a reconnect, before the doubt is resolved, with its closing message twice";
    replay.line(ALL, when, &codes, &judged.to_string());

    page::has("repeated", &replay.lines);
}
