//! What is said of each mistake, kept as files: `tests/golden/policy/NAME.yaml`
//! is the mistake, `NAME.txt` what is said. `UPDATE_GOLDEN=1` writes the latter.

use std::fs;
use std::path::Path;

use super::*;

#[test]
fn golden_mistakes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/policy");
    let mut checked = 0;
    for file in fs::read_dir(&folder).expect("there").map(|file| file.expect("readable").path()) {
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read(&file).expect("readable");
        let said = Policy::read(&text).expect_err(&file.display().to_string()).to_string() + "\n";
        let golden = file.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &said).expect("written");
        }
        assert_eq!(said, fs::read_to_string(&golden).unwrap_or_default(), "{}", file.display());
        checked += 1;
    }
    assert!(checked > 10, "{checked}");
}
