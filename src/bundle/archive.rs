//! Files into one tar.gz in memory, in the order of their names. Pure: the time comes in.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Files;

/// The folder in the archive, so that unpacking makes one and not many files.
pub const ROOT: &str = "platctl-support";

/// `time`: seconds since 1970, for all files.
pub fn archive(files: &Files, time: u64) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(time);
        archive.append_data(&mut header, format!("{ROOT}/{path}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let long = format!("namespaces/{}/x.log", "a".repeat(150));
        let files = Files::from([("a.txt".to_owned(), "one\n".to_owned()), (long.clone(), String::new())]);
        let bytes = archive(&files, 1_700_000_000).unwrap();
        assert_eq!(bytes, archive(&files, 1_700_000_000).unwrap());
        let mut unpacked = Vec::new();
        for entry in tar::Archive::new(GzDecoder::new(bytes.as_slice())).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!((entry.header().mode().unwrap(), entry.header().mtime().unwrap()), (0o600, 1_700_000_000));
            unpacked.push((entry.path().unwrap().display().to_string(), text));
        }
        let expected =
            [("platctl-support/a.txt".to_owned(), "one\n".to_owned()), (format!("{ROOT}/{long}"), String::new())];
        assert_eq!(unpacked, expected);
    }
}
