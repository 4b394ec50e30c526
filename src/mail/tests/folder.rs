//! Letters as files.

use std::os::unix::fs::PermissionsExt;

use super::{letter, request};
use crate::mail::folder::Folder;
use crate::mail::transport::{Fault, Transport};

#[tokio::test]
async fn a_folder_holds_one_whole_private_file_for_each_letter() {
    let outside = tempfile::tempdir().expect("a folder");
    let folder = outside.path().join("state/mail");
    let transport = Transport::Folder(Folder::new(folder.clone(), 100));
    let letter = letter(&request());
    // What an attempt that was killed left behind is in nobody's way.
    std::fs::create_dir_all(&folder).expect("writable");
    std::fs::remove_dir(&folder).expect("empty");
    for _ in 0..2 {
        let delivered = transport.deliver(&letter).await.expect("written");
        assert!(delivered.answer.contains(&letter.file_name), "{delivered:?}");
        std::fs::write(folder.join(format!(".{}.part", letter.file_name)), "half")
            .expect("writable");
    }
    transport.deliver(&letter).await.expect("written");
    let names: Vec<_> = std::fs::read_dir(&folder).expect("there").collect();
    assert_eq!(names.len(), 1);
    let path = folder.join(&letter.file_name);
    assert_eq!(std::fs::read(&path).expect("there"), letter.bytes);
    let mode = |path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&folder)), (0o600, 0o700));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_tried_again() {
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("file");
    std::fs::write(&file, "").expect("writable");
    let transport = Transport::Folder(Folder::new(file.join("mail"), 100));
    let failure = transport.deliver(&letter(&request())).await.expect_err("not a folder");
    assert_eq!(failure.fault, Fault::Passing);
    assert!(failure.text.contains("cannot write a mail into"), "{failure:?}");
}

/// The folder knows its files by the names that letters get.
#[tokio::test]
async fn a_letter_that_is_one_too_many_takes_the_place_of_the_oldest() {
    let outside = tempfile::tempdir().expect("a folder");
    let transport = Transport::Folder(Folder::new(outside.path().to_owned(), 1));
    let (first, mut second) = (letter(&request()), request());
    second.created = super::at("2026-11-23T00:00:00.000Z");
    let second = letter(&second);
    for letter in [&first, &second] {
        transport.deliver(letter).await.expect("written");
    }
    let names: Vec<_> = std::fs::read_dir(outside.path()).expect("there").collect();
    assert_eq!(names.len(), 1);
    assert!(outside.path().join(&second.file_name).exists());
}
