use spec_tests::engine::case::Case;

pub fn cases() -> Vec<Case> {
    vec![]
}
