//! Looks at every request before it answers: refuses it, or upgrades it and sends back what comes.
//!
//!     cargo run --release --example inspect_server [URL]
//!
//! `/chat` wants a token (`Authorization: Bearer secret`, or `?token=secret`), speaks the subprotocols
//! `v2.chat` and `v1.chat`, and lets pages of https://example.org in.

use std::thread;

use talkws::{ListenOptions, RefuseOptions, Request, UpgradeOptions};

const SUBPROTOCOLS: [&str; 2] = ["v2.chat", "v1.chat"];

fn main() {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("ws://localhost:8080");
    if let Err(error) = serve(url) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn serve(url: &str) -> talkws::Result<()> {
    // Pages of other origins get 403 from the listener.
    let options = ListenOptions::new().allow_origin("https://example.org")?;
    let listener = options.listen(url)?;
    println!("Listening on {}", listener.url());
    loop {
        let request = listener.accept()?;
        thread::spawn(move || {
            if let Err(error) = answer(request) {
                println!("{error}");
            }
        });
    }
}

fn has_token(request: &Request) -> bool {
    request.header("authorization") == Some("Bearer secret")
        || request.query() == Some("token=secret")
}

/// The one that this server likes best of those that the client offers.
fn choose(request: &Request) -> Option<&'static str> {
    let is_offered = |name: &&str| request.subprotocols().any(|offered| offered == *name);
    SUBPROTOCOLS.into_iter().find(is_offered)
}

fn answer(request: Request) -> talkws::Result<()> {
    println!(
        "{} asks for {}",
        request.header("origin").unwrap_or("-"),
        request.path()
    );
    if request.path() != "/chat" {
        return request.refuse(404, "There is only /chat.\n");
    }
    if !has_token(&request) {
        let options = RefuseOptions::new().header("WWW-Authenticate", "Bearer")?;
        return request.refuse_with(401, "Bring the token.\n", options);
    }
    let Some(subprotocol) = choose(&request) else {
        return request.refuse(400, "This server speaks v2.chat and v1.chat.\n");
    };
    let options = UpgradeOptions::new()
        .subprotocol(subprotocol)?
        .header("X-Served-By", "inspect_server")?;
    let ws = request.upgrade(options)?;
    loop {
        ws.write(ws.read()?)?;
    }
}
