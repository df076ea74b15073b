//! What a file is by its own bytes, whatever its name and its sender say. A hint for people, no verdict: nothing is refused for it, and
//! nothing is run, shown or taken apart to find it out.
//!
//! The beginning of a file is compared with known signatures ([`infer`]). In the containers of office programs the name of the part that
//! holds macros is looked for: names in them are neither compressed nor encrypted, so nobody has to unpack anything.

use std::io::{self, Read};
use std::path::Path;

use memchr::memmem;
use serde::Serialize;

/// Bytes at the beginning of a file that are compared with signatures.
const HEAD_BYTES: usize = 64 * 1024;
/// How far a container is looked through for macros, in bytes; beyond that, that is said.
pub const LOOKED_THROUGH_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What office programs call the part with the macros: in a ZIP container, and in the older form (MS-OVBA 2.2.1; UTF-16).
const MACRO_PARTS: [&[u8]; 3] =
    [b"vbaProject.bin", b"Basic/script-lc.xml", b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0"];
/// The older container of office programs, which installers use too.
const OLE: &str = "application/x-ole-storage";
const ZIP: &str = "application/zip";

/// Endings of files that systems run, or hand to a program that runs what is in them.
const RUN: [&str; 37] = [
    "apk", "app", "appimage", "bat", "chm", "cmd", "com", "cpl", "deb", "dll", "exe", "gadget", "hta", "htm",
    "html", "jar", "jnlp", "js", "jse", "lnk", "msi", "msp", "pif", "ps1", "py", "reg", "rpm", "scr", "sct",
    "sh", "svg", "url", "vb", "vbe", "vbs", "wsf", "wsh",
];
/// Endings of office files that are made to hold macros.
const MACRO_ENDINGS: [&str; 8] = ["docm", "dotm", "xlsm", "xltm", "xlam", "pptm", "potm", "ppsm"];
/// What else a file of this type may be called.
const ALSO_CALLED: [(&str, &[&str]); 12] = [
    ("docx", &["docm", "dotx", "dotm"]),
    ("xlsx", &["xlsm", "xltx", "xltm", "xlam"]),
    ("pptx", &["pptm", "potx", "potm", "ppsx", "ppsm"]),
    ("jpg", &["jpeg", "jpe", "jfif"]),
    ("tif", &["tiff"]),
    ("html", &["htm", "xhtml"]),
    ("xml", &["edxml", "gml", "kml", "svg", "xhtml", "xsd", "xsl", "xlf", "rels"]),
    ("gz", &["tgz"]),
    ("mp4", &["m4v", "m4a", "mov"]),
    ("pem", &["crt", "cer", "key"]),
    ("der", &["crt", "cer"]),
    (
        "zip",
        &[
            "docx", "docm", "dotx", "dotm", "xlsx", "xlsm", "xltx", "pptx", "pptm", "ppsx", "odt", "ods",
            "odp", "odg", "epub", "kmz", "asice", "bdoc", "jar", "apk", "xps", "vsdx",
        ],
    ),
];
/// What the older container is called.
const OLE_ENDINGS: [&str; 13] =
    ["doc", "dot", "xls", "xlt", "ppt", "pps", "msg", "msi", "msp", "mpp", "vsd", "pub", "hwp"];
/// Endings whose files always begin with a signature: without one they are something else.
const SIGNED: [&str; 17] = [
    "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "zip", "rar", "7z", "png",
    "jpg", "jpeg", "gif",
];

/// What a file is by its own bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// The type that its signature is of; none for one without a known signature, such as plain text.
    pub media_type: Option<&'static str>,
    /// How such a file is usually called.
    ending: Option<&'static str>,
    /// A processor, or a virtual machine, runs it.
    runs: bool,
    /// A program that interprets it runs what is in it.
    is_script: bool,
    /// It holds macros.
    has_macros: bool,
    /// Nobody looked whether macros stand at its end.
    cut: bool,
}

/// What is to be known before somebody opens a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Warning {
    /// It is a program, or is called like one.
    Runs,
    /// It is a script, or is called like one.
    Script,
    /// It holds macros, or is called like a file that does.
    Macros,
    /// It is something else than its name says.
    OtherThanNamed,
    /// It is so large that nobody looked whether it holds macros.
    NotLookedThrough,
}

impl Warning {
    /// How programs, and the tables of words, name it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Script => "script",
            Self::Macros => "macros",
            Self::OtherThanNamed => "other-than-named",
            Self::NotLookedThrough => "not-looked-through",
        }
    }
}

impl Kind {
    /// Looks at a file, to its end only when it is a container of office programs.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(file: &mut dyn Read) -> io::Result<Self> {
        let mut head = Vec::new();
        (&mut *file).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let mut kind = Self::by_head(&head);
        let is_office = kind.media_type.is_some_and(|found| {
            found == OLE || found == ZIP || found.contains("officedocument") || found.contains("opendocument")
        });
        if is_office {
            (kind.has_macros, kind.cut) = look_through(head, file)?;
        }
        Ok(kind)
    }

    fn by_head(head: &[u8]) -> Self {
        // Two letters are no signature: a text may begin with them.
        let found = infer::get(head).filter(|found| !matches!(found.extension(), "bc" | "obj"));
        let (media_type, ending) = match found.map(|found| (found.mime_type(), found.extension())) {
            // One signature for everything that was made in this form.
            Some(("application/msword", _)) => (Some(OLE), Some("doc")),
            Some((media_type, ending)) => (Some(media_type), Some(ending)),
            None => (None, None),
        };
        let is = |endings: &[&str]| ending.is_some_and(|ending| endings.contains(&ending));
        Self {
            media_type,
            ending,
            runs: is(&[
                "wasm", "elf", "exe", "dll", "class", "mach", "dex", "dey", "msi", "deb", "rpm", "crx", "swf",
            ]),
            is_script: is(&["sh", "html"]),
            has_macros: false,
            cut: false,
        }
    }

    /// What is to be known before a file of this name is opened.
    pub fn warnings(&self, name: &str) -> Vec<Warning> {
        let named = Path::new(name).extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let named = named.as_deref();
        let named_so = |endings: &[&str]| named.is_some_and(|named| endings.contains(&named));
        let mut warnings = Vec::new();
        let mut warn = |warning, holds| {
            if holds {
                warnings.push(warning);
            }
        };
        warn(Warning::Runs, self.runs || named_so(&RUN) && !self.is_script);
        warn(Warning::Script, self.is_script);
        warn(Warning::Macros, self.has_macros || named_so(&MACRO_ENDINGS));
        warn(Warning::OtherThanNamed, named.is_some_and(|named| !self.may_be_called(named)));
        warn(Warning::NotLookedThrough, self.cut && !self.has_macros);
        warnings
    }

    fn may_be_called(&self, named: &str) -> bool {
        let Some(ending) = self.ending else { return !SIGNED.contains(&named) };
        if self.media_type == Some(OLE) {
            return OLE_ENDINGS.contains(&named);
        }
        let others = ALSO_CALLED.iter().find(|(usual, _)| *usual == ending);
        named == ending || others.is_some_and(|(_, others)| others.contains(&named))
    }
}

/// Looks for the parts that hold macros; also says whether the file went on where nobody looked.
fn look_through(mut window: Vec<u8>, file: &mut dyn Read) -> io::Result<(bool, bool)> {
    let longest = MACRO_PARTS.iter().map(|part| part.len()).max().unwrap_or_default();
    let mut looked = window.len() as u64;
    loop {
        if MACRO_PARTS.iter().any(|part| memmem::find(&window, part).is_some()) {
            return Ok((true, false));
        }
        if looked >= LOOKED_THROUGH_BYTES_MAX {
            let more = file.read(&mut [0; 1])? > 0;
            return Ok((false, more));
        }
        // A name may stand across two pieces.
        window.drain(..window.len().saturating_sub(longest));
        let read = (&mut *file).take(HEAD_BYTES as u64).read_to_end(&mut window)?;
        if read == 0 {
            return Ok((false, false));
        }
        looked += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(bytes: &[u8]) -> Kind {
        Kind::of(&mut &bytes[..]).expect("readable")
    }

    fn warned(name: &str, bytes: &[u8]) -> Vec<Warning> {
        kind(bytes).warnings(name)
    }

    /// A local header of a ZIP file (APPNOTE 4.3.7) with this name, as far as signatures look.
    fn zip(names: &[&str], filling: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in names {
            bytes.extend(b"PK\x03\x04\x14\0");
            bytes.extend([0; 20]);
            bytes.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
            bytes.extend([0, 0]);
            bytes.extend(name.as_bytes());
            bytes.extend(vec![b'x'; filling]);
        }
        bytes
    }

    const OLE_HEAD: &[u8] = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";

    #[test]
    fn file_that_is_what_it_is_called_is_not_warned_about() {
        let docx = zip(&["[Content_Types].xml", "_rels/.rels", "word/document.xml", "word/styles.xml"], 40);
        for (name, bytes) in [
            ("Công văn.pdf", &b"%PDF-1.7\n"[..]),
            ("CONG VAN.PDF", b"%PDF-1.7\n"),
            ("Tờ trình.docx", &docx),
            ("ảnh.jpeg", b"\xFF\xD8\xFF\xE0\0\x10JFIF"),
            ("Báo cáo.doc", OLE_HEAD),
            ("Bảng.xls", OLE_HEAD),
            ("ghi chú.txt", "Kính gửi: Ủy ban nhân dân".as_bytes()),
            ("ghi chú.txt", b"BC-UBND: hai chu cai dau"),
            ("số liệu.csv", b"a,b\n1,2\n"),
            ("gói.edxml", b"<?xml version=\"1.0\"?><edXML/>"),
            ("không có đuôi", b"%PDF-1.7\n"),
        ] {
            assert_eq!(warned(name, bytes), [], "{name}: {:?}", kind(bytes));
        }
        assert_eq!(kind(b"%PDF-1.7\n").media_type, Some("application/pdf"));
        assert_eq!(kind(b"a,b\n").media_type, None);
    }

    #[test]
    fn program_is_told_by_its_bytes_and_by_its_name() {
        use Warning::{OtherThanNamed, Runs, Script};
        let elf = [b"\x7FELF\x02\x01\x01".as_slice(), &[0; 60]].concat();
        assert_eq!(warned("vanban.pdf", b"MZ\x90\0\x03"), [Runs, OtherThanNamed]);
        assert_eq!(warned("vanban.pdf.exe", b"MZ\x90\0\x03"), [Runs]);
        assert_eq!(warned("vanban.pdf", &elf), [Runs, OtherThanNamed]);
        assert_eq!(warned("vanban.pdf.js", b"var x = 1;"), [Runs]);
        assert_eq!(warned("vanban.bat", b"@echo off"), [Runs]);
        assert_eq!(warned("vanban.txt", b"#!/bin/sh\nrm"), [Script, OtherThanNamed]);
        assert_eq!(warned("vanban.html", b"<html><body>"), [Script]);
        assert_eq!(warned("setup.msi", OLE_HEAD), [Runs]);
    }

    #[test]
    fn name_and_content_that_disagree_are_told() {
        use Warning::OtherThanNamed;
        assert_eq!(warned("vanban.pdf", b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR"), [OtherThanNamed]);
        assert_eq!(warned("vanban.pdf", b"chi la chu"), [OtherThanNamed]);
        assert_eq!(warned("vanban.docx", OLE_HEAD), [OtherThanNamed]);
    }

    #[test]
    fn macros_are_found_wherever_their_part_stands() {
        use Warning::{Macros, OtherThanNamed};
        let plain = ["[Content_Types].xml", "_rels/.rels", "word/document.xml", "word/styles.xml"];
        let with = [&plain[..], &["word/vbaProject.bin"]].concat();
        for filling in [0, 40, 30_000, HEAD_BYTES - 9] {
            assert_eq!(warned("a.docm", &zip(&with, filling)), [Macros], "{filling}");
        }
        assert_eq!(warned("a.docx", &zip(&with, 40)), [Macros]);
        assert_eq!(warned("a.docx", &zip(&plain, 40)), []);
        let project: Vec<u8> = "_VBA_PROJECT".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(warned("a.xls", &[OLE_HEAD, &[0; 70_000], &project].concat()), [Macros]);
        assert_eq!(warned("a.pdf", &[OLE_HEAD, &project].concat()), [Macros, OtherThanNamed]);
    }

    /// The end of a container that is larger than is looked through is not read, and that is said.
    #[test]
    fn large_container_is_looked_through_up_to_a_limit() {
        struct Endless(u64);
        impl Read for Endless {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.0 += into.len() as u64;
                into.fill(b'x');
                Ok(into.len())
            }
        }
        let mut rest = Endless(0);
        let head = zip(&["[Content_Types].xml"], 10);
        let kind = Kind::of(&mut head.as_slice().chain(&mut rest)).expect("readable");
        assert_eq!(kind.warnings("a.zip"), [Warning::NotLookedThrough]);
        assert!(rest.0 <= 2 * LOOKED_THROUGH_BYTES_MAX, "{} bytes were read", rest.0);
    }

    #[test]
    fn no_beginning_of_a_file_is_too_short_or_too_odd() {
        let samples = [
            zip(&["[Content_Types].xml", "word/"], 3),
            OLE_HEAD.to_vec(),
            b"\xCA\xFE\xBA\xBE\0\0\0\x40".to_vec(),
        ];
        for sample in samples {
            for length in 0..sample.len() {
                kind(&sample[..length]);
                let mut odd = sample.clone();
                odd[length] ^= 0xff;
                kind(&odd);
            }
        }
    }
}
