//! The report as a browser shows it: on a phone and a desk, light, dark and printed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use phasegate::audit::Report;

use super::Signed;

/// A browser of this machine; `None`, with a line that says so, where there is none.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "google-chrome", "chromium-browser"];
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).find_map(|directory| {
        let candidates = names.map(|name| directory.join(name));
        candidates.into_iter().find(|file| file.is_file())
    });
    if found.is_none() {
        eprintln!(
            "SKIPPED: the report in a browser: neither {} is there",
            names.join(" nor ")
        );
    }
    found
}

fn run(browser: &Path, directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("timeout")
        .args(["60"])
        .arg(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .arg(format!(
            "--user-data-dir={}",
            directory.join("profile").display()
        ))
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A page that shows the report in frames of these widths, and writes into its title how wide each became, whether a
/// script of the report has run, and the colour behind it.
fn frames(report: &str, widths: &[u32]) -> String {
    let report = report.replace('&', "&amp;").replace('"', "&quot;");
    let frame = |width: &u32| {
        format!(
            "<iframe width=\"{width}\" height=\"900\" style=\"border:0\" srcdoc=\"{report}\"></iframe>"
        )
    };
    let frames = widths.iter().map(frame).collect::<Vec<_>>().concat();
    format!(
        "<!doctype html><meta charset=utf-8><meta name=color-scheme content=\"light dark\"><title>none</title>\
         <script>window.ran = false; function pwned() {{ window.ran = true; }}</script>{frames}\
         <script>onload = () => {{ document.title = [...document.querySelectorAll('iframe')].map(f => {{ \
           const d = f.contentDocument.documentElement; \
           return d.scrollWidth + ' ' + getComputedStyle(f.contentDocument.body).backgroundColor; }})\
           .concat('ran ' + window.ran).join('; '); }};</script>"
    )
}

fn title(dom: &str) -> String {
    let after = dom.split("<title>").nth(1).unwrap();
    after.split("</title>").next().unwrap().to_owned()
}

#[test]
fn the_report_fits_a_phone_a_desk_and_a_page() {
    let Some(browser) = browser() else {
        return;
    };
    let signed = Signed::performed();
    let hostile = "<script>parent.pwned()</script><img src=x onerror='parent.pwned()'>";
    signed.database.sql(&format!(
        "ALTER TABLE phasegate.approval DISABLE TRIGGER never_changed; UPDATE phasegate.approval SET comment = $c${hostile}{}$c$",
        "x".repeat(10_000)
    ));
    let html = Report::of(&signed.collect()).to_html();
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    // Without its policy, so that the escapes alone keep scripts from running.
    let bare = html.replace("Content-Security-Policy", "x-none");
    assert_ne!(bare, html);
    let page = place.join("frames.html");
    fs::write(&page, frames(&bare, &[360, 1280])).unwrap();
    let page = format!("file://{}", page.display());
    let mut seen = Vec::new();
    for scheme in ["1", "0"] {
        let setting = format!("--blink-settings=preferredColorScheme={scheme}");
        let said = title(&run(&browser, place, &[&setting, "--dump-dom", &page]));
        let parts: Vec<&str> = said.split("; ").collect();
        assert_eq!(parts.len(), 3, "{said}");
        assert!(
            parts[0].starts_with("360 ") && parts[1].starts_with("1280 "),
            "{said}"
        );
        assert_eq!(parts[2], "ran false", "{said}");
        seen.push(parts[0].to_owned());
    }
    assert_eq!(seen, ["360 rgb(255, 255, 255)", "360 rgb(15, 19, 24)"]);
    let file = place.join("report.html");
    fs::write(&file, &html).unwrap();
    let pdf = place.join("report.pdf");
    let print = format!("--print-to-pdf={}", pdf.display());
    run(
        &browser,
        place,
        &[&print, &format!("file://{}", file.display())],
    );
    let pdf = fs::read(pdf).unwrap();
    assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 5_000);
}

#[test]
fn a_script_that_is_not_escaped_would_be_seen() {
    let Some(browser) = browser() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("frames.html");
    let bad = "<!doctype html><body><p style='width:500px'>x</p><script>parent.pwned()</script>";
    fs::write(&page, frames(bad, &[360])).unwrap();
    let page = format!("file://{}", page.display());
    let said = title(&run(&browser, directory.path(), &["--dump-dom", &page]));
    assert!(
        said.ends_with("ran true") && !said.starts_with("360 "),
        "{said}"
    );
}
