//! The expression that `oci-spec` has for `execCPUAffinity` means the same by `regex-lite`.

use oci_spec::runtime::ExecCPUAffinity;

#[test]
fn lists_of_processors_are_taken() {
    for list in ["0", "7", "0-3", "0-3,7", "1,3,5", "10-19,128,200-255"] {
        assert!(is_taken(list), "{list:?}");
    }
}

// The last of these is a digit to the full `regex`, but to no parser of numbers.
#[test]
fn whatever_else_is_refused() {
    for text in
        ["", " ", "a", "0-", "-3", "0,", ",0", "0--3", "0-3-5", "0 3", "0-3,x", "0\n", "\n0", "0x1", "٣"]
    {
        assert!(!is_taken(text), "{text:?}");
    }
}

fn is_taken(list: &str) -> bool {
    let config = serde_json::json!({"initial": list, "final": list});
    serde_json::from_value::<ExecCPUAffinity>(config).is_ok()
}
