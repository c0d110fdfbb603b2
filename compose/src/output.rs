//! Files that people ask for: there whole, or as they were before.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::disk;
use crate::error::{Context, Error, Result};

/// A file on its way, beside the one that is meant. It is removed if it isn't finished.
#[derive(Debug)]
pub struct Output {
    unfinished: PathBuf,
    to: PathBuf,
}

impl Output {
    /// A name beside the file that is meant.
    ///
    /// Errors: what is no file and no name of one, in Docker's words.
    pub fn beside(to: &Path) -> Result<Output> {
        let wrong = |why: &str| Error::new(format!("invalid output path: {why}: {}", to.display()));
        let name = to.file_name().ok_or_else(|| wrong("not a file"))?.to_string_lossy();
        // A device would be replaced by a file.
        if to.exists() && !to.is_file() {
            return Err(wrong("must be a regular file"));
        }
        let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !dir.is_dir() {
            return Err(wrong("its directory does not exist"));
        }
        Ok(Output { unfinished: dir.join(format!(".{name}.{}", std::process::id())), to: to.to_owned() })
    }

    /// Where the file is as long as it isn't finished.
    pub fn path(&self) -> &Path {
        &self.unfinished
    }

    /// Makes the file, with the mask of the user.
    pub fn create(&self) -> Result<File> {
        File::create(&self.unfinished).at(self.to.display())
    }

    /// Puts the file in its place.
    pub fn finish(self) -> Result<()> {
        fs::rename(&self.unfinished, &self.to).at(self.to.display())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        drop(disk::remove_file(&self.unfinished));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finished_leaves_the_file_as_it_was() {
        let dir = std::env::temp_dir().join(format!("corten-compose-output-{}", std::process::id()));
        disk::make_dir(&dir).expect("a directory");
        let to = dir.join("file");
        fs::write(&to, "old").expect("a file");
        let content = || (fs::read_to_string(&to).expect("a file"), fs::read_dir(&dir).expect("it").count());
        let output = Output::beside(&to).expect("a name");
        drop(output.create().expect("a file"));
        drop(output);
        assert_eq!(content(), ("old".to_owned(), 1));
        let output = Output::beside(&to).expect("a name");
        drop(output.create().expect("a file"));
        output.finish().expect("in its place");
        assert_eq!(content(), (String::new(), 1));
        assert!(Output::beside(&dir).is_err() && Output::beside(&to.join("x")).is_err());
        disk::remove_dir(&dir).expect("gone");
    }
}
