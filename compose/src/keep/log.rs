//! A container's log: Docker's json-file lines, in files of bounded size.
//!
//! Whole lines go out in one write, so a keeper that is killed leaves nothing torn. What a full disk tears is cut off.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::settings;
use crate::error::{Context, Result};
use crate::time;

/// Longer lines become several, of which only the last has its newline.
const LINE_MAX: usize = 16 << 10;

/// The log's name in the container's directory. Older files have `.1`, `.2`, … behind it.
pub fn path(container: &Path) -> PathBuf {
    container.join("log.json")
}

/// One of the container's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// Makes lines of the log from what comes by one stream.
pub struct Lines {
    stream: Stream,
    unfinished: Vec<u8>,
}

impl Lines {
    /// Nothing has come yet.
    pub fn of(stream: Stream) -> Lines {
        Lines { stream, unfinished: Vec::new() }
    }

    /// Appends to `log` each line that is whole now.
    pub fn take(&mut self, bytes: &[u8], time: &str, log: &mut Vec<u8>) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(part);
            while self.unfinished.len() > LINE_MAX {
                let rest = self.unfinished.split_off(boundary(&self.unfinished, LINE_MAX));
                self.end_line(time, log);
                self.unfinished = rest;
            }
            if part.ends_with(b"\n") {
                self.end_line(time, log);
            }
        }
    }

    /// Appends what is left without a newline.
    pub fn finish(&mut self, time: &str, log: &mut Vec<u8>) {
        if !self.unfinished.is_empty() {
            self.end_line(time, log);
        }
    }

    fn end_line(&mut self, time: &str, log: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(&self.unfinished);
        let quoted = serde_json::to_string(&*text).unwrap_or_default();
        let stream = self.stream.name();
        log.extend_from_slice(
            format!("{{\"log\":{quoted},\"stream\":\"{stream}\",\"time\":\"{time}\"}}\n").as_bytes(),
        );
        self.unfinished.clear();
    }
}

/// The last place up to `max` where a character of UTF-8 begins.
fn boundary(bytes: &[u8], max: usize) -> usize {
    let begins = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (max.saturating_sub(3)..=max).rev().find(begins).unwrap_or(max)
}

/// A place in a container's log.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Which file; none: there was no log.
    inode: Option<u64>,
    length: u64,
}

impl Mark {
    /// The end of the log of the container whose directory this is, as it is now.
    pub fn of(container: &Path) -> Mark {
        let found = fs::metadata(path(container)).ok();
        Mark { inode: found.as_ref().map(MetadataExt::ino), length: found.map_or(0, |found| found.len()) }
    }

    /// Cuts off what has come since. Of a log that has begun a new file since, nothing goes.
    pub fn cut(self, container: &Path) -> Result<()> {
        let path = path(container);
        let now = Mark::of(container);
        if now.length <= self.length || self.inode.is_some() && self.inode != now.inode {
            return Ok(());
        }
        let file = File::options().write(true).open(&path).at(path.display())?;
        file.set_len(self.length).at(path.display())
    }
}

/// The files.
pub struct Log {
    path: PathBuf,
    settings: settings::Log,
    file: File,
    size: u64,
}

impl Log {
    /// Opens the log to go on where an earlier keeper has ended.
    pub fn open(path: PathBuf, settings: settings::Log) -> Result<Log> {
        let mut file = open(&path)?;
        let mut size = file.metadata().at(path.display())?.len();
        if !ends_with_newline(&mut file, size).at(path.display())? {
            file.write_all(b"\n").at(path.display())?;
            size += 1;
        }
        Ok(Log { path, settings, file, size })
    }

    /// Appends whole lines. A file that is full makes room first.
    ///
    /// Errors: those lines are lost, and nothing else.
    pub fn append(&mut self, lines: &[u8]) -> Result<()> {
        if !self.settings.kept {
            return Ok(());
        }
        let mut rest = lines;
        while !rest.is_empty() {
            let room = self.settings.bytes_max.saturating_sub(self.size);
            let mut now = whole_lines(rest, room);
            if now == 0 && self.size > 0 {
                self.rotate()?;
                continue;
            }
            if now == 0 {
                // A line that is longer than a file may be is in a file of its own.
                now = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
            }
            self.write(&rest[..now])?;
            rest = &rest[now..];
        }
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> Result<()> {
        let written = self.file.write_all(lines);
        if written.is_err() {
            // Half a line would spoil the next one.
            drop(self.file.set_len(self.size));
        } else {
            self.size += lines.len() as u64;
        }
        written.at(self.path.display())
    }

    fn rotate(&mut self) -> Result<()> {
        let older = |number: u32| match number {
            0 => self.path.clone(),
            number => PathBuf::from(format!("{}.{number}", self.path.display())),
        };
        if self.settings.files_max <= 1 {
            fs::remove_file(&self.path).at(self.path.display())?;
        }
        for number in (1..self.settings.files_max).rev() {
            let renamed = fs::rename(older(number - 1), older(number));
            // Not all of them are there from the beginning.
            drop(renamed);
        }
        self.file = open(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.create(true).append(true).read(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640).open(path).at(path.display())
}

fn ends_with_newline(file: &mut File, size: u64) -> std::io::Result<bool> {
    if size == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// How many bytes of whole lines fit into the room.
fn whole_lines(lines: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(lines.len());
    lines[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// The time of a line that has come now.
pub fn now() -> String {
    let now = time::now();
    time::rfc3339(now.as_secs() as i64, now.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-26T10:00:00.000000001Z";

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::of(Stream::Stdout);
        let mut log = Vec::new();
        chunks.iter().for_each(|chunk| lines.take(chunk, TIME, &mut log));
        lines.finish(TIME, &mut log);
        let text = String::from_utf8(log).unwrap();
        let parsed = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        parsed.map(|line| line["log"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_line_reads_as_dockers() {
        let mut log = Vec::new();
        Lines::of(Stream::Stderr).take(b"a \"b\"\n", TIME, &mut log);
        let expected = format!("{{\"log\":\"a \\\"b\\\"\\n\",\"stream\":\"stderr\",\"time\":\"{TIME}\"}}\n");
        assert_eq!(String::from_utf8(log).unwrap(), expected);
    }

    #[test]
    fn lines_are_put_together_from_chunks_and_the_last_needs_no_newline() {
        assert_eq!(lines(&[b"one\ntw", b"o\n", b"\nthree"]), ["one\n", "two\n", "\n", "three"]);
        assert_eq!(lines(&[b"bad \xff\n"]), ["bad \u{fffd}\n"]);
        assert_eq!(lines(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_long_line_is_split_between_characters() {
        let long = "ä".repeat(LINE_MAX / 2) + "xä" + "\n";
        let parts = lines(&[&long.as_bytes()[..7], &long.as_bytes()[7..]]);
        assert_eq!(parts.concat(), long);
        assert_eq!(parts.len(), 2);
        let odd = "x".to_owned() + &"ä".repeat(LINE_MAX);
        assert_eq!(lines(&[odd.as_bytes()]).concat(), odd);
        assert_eq!(lines(&[&[0x80; LINE_MAX + 1]]).len(), 2, "what is no text ends too");
    }

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let dir = std::env::temp_dir().join(format!("corten-compose-log-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Dir(dir)
        }

        fn files(&self) -> Vec<(String, String)> {
            let mut files = fs::read_dir(&self.0)
                .unwrap()
                .map(|file| file.unwrap())
                .map(|file| {
                    (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap())
                })
                .collect::<Vec<_>>();
            files.sort();
            files
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn limits(bytes_max: u64, files_max: u32) -> settings::Log {
        settings::Log { kept: true, bytes_max, files_max }
    }

    #[test]
    fn full_files_move_on_and_the_oldest_goes() {
        let dir = Dir::new("rotate");
        let mut log = Log::open(path(&dir.0), limits(6, 3)).unwrap();
        log.append(b"1\n2\n3\n4\n5\n6\n7\n").unwrap();
        log.append(b"8\n9\n").unwrap();
        log.append(b"longer than six\n0\n").unwrap();
        let expected =
            [("log.json", "0\n"), ("log.json.1", "longer than six\n"), ("log.json.2", "7\n8\n9\n")];
        assert_eq!(dir.files(), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn a_single_file_begins_anew() {
        let dir = Dir::new("single");
        let mut log = Log::open(path(&dir.0), limits(4, 1)).unwrap();
        log.append(b"1\n2\n3\n").unwrap();
        assert_eq!(dir.files(), [("log.json".to_owned(), "3\n".to_owned())]);
    }

    #[test]
    fn what_has_come_since_a_mark_is_cut_off_unless_a_new_file_has_begun() {
        let dir = Dir::new("mark");
        Mark::of(&dir.0).cut(&dir.0).unwrap();
        let mut log = Log::open(path(&dir.0), limits(6, 2)).unwrap();
        log.append(b"1\n").unwrap();
        let mark = Mark::of(&dir.0);
        log.append(b"2\n").unwrap();
        mark.cut(&dir.0).unwrap();
        assert_eq!(dir.files(), [("log.json".to_owned(), "1\n".to_owned())]);
        log.append(b"3\n4\n5\n").unwrap();
        mark.cut(&dir.0).unwrap();
        assert_eq!(dir.files().len(), 2);
    }

    #[test]
    fn a_torn_line_is_ended_by_the_next_keeper() {
        let dir = Dir::new("torn");
        fs::write(path(&dir.0), "{\"log\":\"a").unwrap();
        Log::open(path(&dir.0), limits(100, 3)).unwrap().append(b"b\n").unwrap();
        assert_eq!(dir.files()[0].1, "{\"log\":\"a\nb\n");
    }
}
