//! A bundle is written into a directory of its own: all of it, or nothing.

use std::fs;
use std::path::Path;
use std::sync::Barrier;

use phasegate::audit::{BundleNotWritten, EvidenceBundle};

use super::Signed;

fn bundle() -> EvidenceBundle {
    Signed::planned().collect()
}

/// What is in a directory, and what was left beside it.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_there_already_is_kept() {
    let (bundle, place) = (bundle(), tempfile::tempdir().unwrap());
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/mine"), "mine").unwrap();
    fs::write(at("file"), "mine").unwrap();
    fs::create_dir(at("empty")).unwrap();
    std::os::unix::fs::symlink("empty", at("link")).unwrap();
    for taken in ["full", "file", "link"] {
        let error = bundle.write_to(&at(taken)).unwrap_err();
        assert!(
            matches!(&error, BundleNotWritten::NotEmpty(path) if *path == at(taken)),
            "{error}"
        );
    }
    for nowhere in ["file/new", "none/new", "..", "/"] {
        let error = bundle.write_to(&at(nowhere)).unwrap_err();
        assert!(!error.to_string().is_empty(), "{nowhere}");
    }
    assert_eq!(names(place.path()), ["empty", "file", "full", "link"]);
    assert_eq!(names(&at("full")), ["mine"]);
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "mine");
    assert_eq!(names(&at("empty")), Vec::<String>::new());
}

#[test]
fn an_empty_directory_is_filled_by_one_of_several_writers() {
    let (bundle, place) = (bundle(), tempfile::tempdir().unwrap());
    let at = place.path().join("evidence");
    fs::create_dir(&at).unwrap();
    let barrier = Barrier::new(4);
    let written = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    bundle.write_to(&at)
                })
            })
            .collect();
        let written = writers.into_iter().map(|writer| writer.join().unwrap());
        written.flatten().count()
    });
    assert_eq!(written, 1);
    assert_eq!(names(place.path()), ["evidence"]);
    let all = [
        "SHA256SUMS",
        "VERIFY.md",
        "journal",
        "plan.json",
        "run.intoto.json",
        "verify.sh",
    ];
    assert_eq!(names(&at), all);
}
