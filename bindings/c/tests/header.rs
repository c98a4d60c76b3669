//! `include/talkws.h` is what the sources say, and says all that a manual must.

use std::path::{Path, PathBuf};

const HEADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../include/talkws.h");
const RENEW: &str = "TALKWS_WRITE_HEADER=1 cargo test -p talkws-c --test header";

/// In the order in which a program meets what they declare.
const SOURCES: [&str; 27] = [
    "arguments",
    "version",
    "client",
    "server",
    "serving",
    "connection",
    "look",
    "session",
    "reading",
    "writing",
    "backlog",
    "broadcast",
    "topics",
    "closing",
    "events",
    "counters",
    "message",
    "status",
    "error",
    "options",
    "options/handshake",
    "options/limits",
    "options/deflate",
    "options/reach",
    "options/sockets",
    "options/tls",
    "log",
];

fn source(name: &str) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources.join(name).with_extension("rs")
}

/// What cbindgen makes of the sources.
fn generated() -> String {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("cbindgen.toml");
    let config = cbindgen::Config::from_file(config).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in SOURCES {
        builder = builder.with_src(source(name));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    String::from_utf8(header).unwrap().trim_start().to_owned()
}

/// The functions: their names, and the text from the blank line before them.
fn functions(header: &str) -> Vec<(&str, &str)> {
    let blocks = header.split("\n\n");
    let functions = blocks.filter_map(|block| {
        let code = block.lines().find(|line| !line.starts_with('/'))?;
        let (before, _) = code.split_once('(')?;
        let name = before.rsplit([' ', '*']).next()?;
        name.starts_with("ws_").then_some((name, block))
    });
    functions.collect()
}

#[test]
fn the_committed_header_is_fresh() {
    let generated = generated();
    if std::env::var_os("TALKWS_WRITE_HEADER").is_some() {
        std::fs::write(HEADER, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(HEADER).unwrap_or_default();
    assert!(
        committed == generated,
        "include/talkws.h is stale; renew it with `{RENEW}`"
    );
}

#[test]
fn the_version_macros_are_the_packages() {
    let header = generated();
    let [major, minor, patch] = [
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ];
    let number = |part: &str| part.parse::<u32>().unwrap();
    let number = number(major) << 16 | number(minor) << 8 | number(patch);
    for line in [
        format!("#define TALKWS_VERSION \"{}\"\n", env!("CARGO_PKG_VERSION")),
        format!("#define TALKWS_VERSION_MAJOR {major}\n"),
        format!("#define TALKWS_VERSION_MINOR {minor}\n"),
        format!("#define TALKWS_VERSION_PATCH {patch}\n"),
        format!("#define TALKWS_VERSION_NUMBER {number:#08x}\n"),
    ] {
        assert!(header.contains(&line), "{line}");
    }
}

#[test]
fn every_exported_function_is_declared() {
    let folder = source("lib").with_file_name("");
    let files = [folder.clone(), folder.join("options")]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("testing.rs"));
    let exported: usize = files
        .map(|file| std::fs::read_to_string(file).unwrap())
        .map(|text| text.matches("#[unsafe(no_mangle)]").count())
        .sum();
    let header = generated();
    assert_eq!(functions(&header).len(), exported, "is SOURCES complete?");
}

#[test]
fn every_function_tells_its_arguments_threads_and_age() {
    let header = generated();
    for (name, text) in functions(&header) {
        assert!(text.contains("/// Threads: "), "{name}");
        assert!(text.contains(" Since 0."), "{name}");
        let declaration = text.rsplit_once("///").unwrap().1;
        let (_, arguments) = declaration.split_once('(').unwrap();
        for argument in arguments.split([',', ')']) {
            let argument = argument.rsplit([' ', '*']).next().unwrap_or_default();
            if !["", "void", ";"].contains(&argument) {
                let described = format!("/// @param {argument} ");
                assert!(text.contains(&described), "{name}: {argument}");
            }
        }
    }
}

#[test]
fn every_type_and_constant_has_a_text() {
    let header = generated();
    let lines: Vec<_> = header.lines().collect();
    for pair in lines.windows(2) {
        let is_ours = pair[1].starts_with("typedef ") || pair[1].starts_with("#define WS_");
        assert!(!is_ours || pair[0].starts_with("///"), "{}", pair[1]);
    }
}
