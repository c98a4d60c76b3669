//! What the heap sees: nothing for each message, little for an idle connection, nothing for what
//! a header merely claims or a bomb would become. One test, since the counters are those of the whole process.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::raw_peer::{BINARY, FINAL, RawPeer};
#[cfg(feature = "deflate")]
use talkws::DeflateOptions;
use talkws::{Connection, Deadline, DialOptions, Error, ListenOptions, Message, UpgradeOptions};

struct Counting;

thread_local! {
    /// Of this thread: the one that runs the tests prints while they run.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed to the system's allocator as it came; only counting is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        let live = LIVE.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        PEAK.fetch_max(live, Ordering::SeqCst);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_heap_sees_little() {
    steady_reading_and_writing_does_not_allocate(support::pair());
    an_idle_connection_costs_less_than_a_kilobyte();
    #[cfg(feature = "tls")]
    an_idle_connection_over_tls_costs_less_than_6_kilobytes();
    #[cfg(feature = "deflate")]
    {
        steady_compressing_does_not_allocate();
        an_idle_connection_that_compresses_costs_what_is_documented();
        a_bomb_costs_no_more_than_the_limit();
        a_bomb_that_is_read_in_parts_costs_less();
    }
    memory_grows_with_bytes_received_not_with_claims();
}

fn steady_reading_and_writing_does_not_allocate((client, server): (Connection, Connection)) {
    let (mut at_server, mut at_client) = (Message::default(), Message::default());
    let small = "x".repeat(1000);
    let mut exchange = || {
        client.write_text(&small).unwrap();
        server.read_into(&mut at_server, Deadline::NEVER).unwrap();
        server.write(&at_server).unwrap();
        client.read_into(&mut at_client, Deadline::NEVER).unwrap();
    };
    // The first messages give the buffers, and the locks of this thread, their memory.
    (0..10).for_each(|_| exchange());
    let before = ALLOCATIONS.get();
    (0..1000).for_each(|_| exchange());
    let count = ALLOCATIONS.get() - before;
    assert_eq!(count, 0, "allocations in 1000 exchanges");
}

fn an_idle_connection_costs_less_than_a_kilobyte() {
    let (listen, dial) = (ListenOptions::new(), DialOptions::new());
    #[cfg(feature = "deflate")]
    let (listen, dial) = (listen.deflate(None), dial.deflate(None));
    let each = cost_of_an_idle_connection("ws://127.0.0.1:0", &listen, &dial);
    assert!(each < 1024, "{each} bytes of heap for each idle connection");
}

#[cfg(feature = "tls")]
fn an_idle_connection_over_tls_costs_less_than_6_kilobytes() {
    let ca = support::certificates::Authority::new();
    let identity = ca.issue(&["127.0.0.1"]);
    let server = talkws::ServerTls::new()
        .certificate_pem(&identity.chain, &identity.key)
        .unwrap();
    let client = talkws::ClientTls::new().ca_pem(ca.pem()).unwrap();
    let listen = ListenOptions::new().tls(server);
    let dial = DialOptions::new().tls(client);
    #[cfg(feature = "deflate")]
    let (listen, dial) = (listen.deflate(None), dial.deflate(None));
    let each = cost_of_an_idle_connection("wss://127.0.0.1:0", &listen, &dial);
    assert!(each < 6 * 1024, "{each} bytes of heap for each of them");
}

/// How much of the heap each end of a connection takes that has been in use, and is idle now.
fn cost_of_an_idle_connection(url: &str, listen: &ListenOptions, dial: &DialOptions) -> usize {
    const COUNT: usize = 100;
    let listener = listen.listen(url).unwrap();
    let url = listener.url().to_owned();
    let mut clients = Vec::with_capacity(COUNT);
    let mut servers = Vec::with_capacity(COUNT);
    let mut open = |message: &mut Message| {
        let (url, dial) = (url.clone(), dial.clone());
        let dialing = std::thread::spawn(move || dial.dial(&url).unwrap());
        let server = listener
            .accept()
            .unwrap()
            .upgrade(UpgradeOptions::default())
            .unwrap();
        let client = dialing.join().unwrap();
        client.write_binary(&[1; 10_000]).unwrap();
        server.read_into(message, Deadline::NEVER).unwrap();
        server.write(&*message).unwrap();
        client.read_into(message, Deadline::NEVER).unwrap();
        assert!(matches!(
            client.read_within(Duration::ZERO),
            Err(Error::TimedOut { .. })
        ));
        clients.push(client);
        servers.push(server);
    };
    let mut message = Message::default();
    open(&mut message);
    let before = LIVE.load(Ordering::SeqCst);
    (1..COUNT).for_each(|_| open(&mut message));
    let each = (LIVE.load(Ordering::SeqCst) - before) / (2 * (COUNT - 1));
    println!("{each} bytes of heap for each idle connection");
    each
}

#[cfg(feature = "deflate")]
fn steady_compressing_does_not_allocate() {
    for takeover in [true, false] {
        let deflate = without_takeover(!takeover);
        let listen = ListenOptions::new().deflate(deflate);
        let dial = DialOptions::new().deflate(deflate);
        let pair = support::pair_with(&listen, &dial);
        assert!(pair.0.deflate_parameters().is_some());
        steady_reading_and_writing_does_not_allocate(pair);
    }
}

#[cfg(feature = "deflate")]
fn without_takeover(without: bool) -> DeflateOptions {
    DeflateOptions::new()
        .own_no_context_takeover(without)
        .peer_no_context_takeover(without)
}

/// As `DeflateOptions` says.
#[cfg(feature = "deflate")]
fn an_idle_connection_that_compresses_costs_what_is_documented() {
    let cost = |deflate: DeflateOptions| {
        let listen = ListenOptions::new().deflate(deflate);
        let dial = DialOptions::new().deflate(deflate);
        cost_of_an_idle_connection("ws://127.0.0.1:0", &listen, &dial)
    };
    let each = cost(without_takeover(true));
    // The headers that agree upon it are kept, too.
    assert!(each < 1024 + 256, "{each} bytes without takeover");
    let kib = |range: std::ops::Range<usize>| range.start * 1024..range.end * 1024;
    let each = cost(DeflateOptions::new());
    assert!(kib(400..430).contains(&each), "{each} bytes by default");
    let small = DeflateOptions::new()
        .own_max_window_bits(12)
        .and_then(|small| small.peer_max_window_bits(12))
        .and_then(|small| small.memory_level(5))
        .unwrap();
    let each = cost(small);
    assert!(kib(195..220).contains(&each), "{each} bytes with 12 bits");
}

#[cfg(feature = "deflate")]
fn a_bomb_costs_no_more_than_the_limit() {
    use talkws::protocol::deflate::Deflater;

    const LIMIT: usize = 1 << 20;
    let mut mebibyte = Vec::new();
    let mut deflater = Deflater::new(&DeflateOptions::new(), true, 15);
    let zeros = vec![0; 1 << 20];
    deflater.deflate(&zeros, false, &mut mebibyte).unwrap();
    let options = ListenOptions::new()
        .max_message_size(LIMIT)
        .close_timeout(Duration::from_millis(50));
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (mut peer, ws) = RawPeer::client_with(&options, offer);
    let header = peer.frame(0x40 | FINAL | BINARY, &vec![0; mebibyte.len() * 10 * 1024]);
    let (header, size) = (header[..14].to_vec(), header.len());
    assert!(size > 10 << 20, "10 GiB in {size} bytes");
    let before = LIVE.load(Ordering::SeqCst);
    PEAK.store(before, Ordering::SeqCst);
    let sending = std::thread::spawn(move || {
        use std::io::Write;

        // Masked with nothing. The peer hangs up in the middle of it.
        peer.stream.write_all(&header[..10]).unwrap();
        peer.stream.write_all(&[0; 4]).unwrap();
        while peer.stream.write_all(&mebibyte).is_ok() {}
    });
    assert!(matches!(ws.read(), Err(Error::TooBig(_))));
    drop(ws);
    sending.join().unwrap();
    let growth = PEAK.load(Ordering::SeqCst) - before;
    println!("{growth} bytes for a bomb, with a limit of {LIMIT}");
    // While it grows, the message is there twice, once with half of its size.
    assert!(growth < LIMIT * 3 / 2 + 256 * 1024, "{growth} bytes");
}

#[cfg(feature = "deflate")]
fn a_bomb_that_is_read_in_parts_costs_less() {
    use talkws::protocol::deflate::Deflater;

    const SIZE: usize = 32 << 20;
    let mut bomb = Vec::new();
    let mut deflater = Deflater::new(&DeflateOptions::new(), true, 15);
    deflater.deflate(&vec![0; SIZE], true, &mut bomb).unwrap();
    let options = ListenOptions::new().max_message_size(usize::MAX);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (mut peer, ws) = RawPeer::client_with(&options, offer);
    let frame = peer.frame(0x40 | FINAL | BINARY, &bomb);
    let before = LIVE.load(Ordering::SeqCst);
    PEAK.store(before, Ordering::SeqCst);
    peer.send(&frame);
    let (mut buffer, mut size) = ([0; 4096], 0);
    loop {
        let part = ws.read_some(&mut buffer, Deadline::NEVER).unwrap();
        size += part.len;
        if part.is_last {
            break;
        }
    }
    assert_eq!(size, SIZE);
    let growth = PEAK.load(Ordering::SeqCst) - before;
    println!("{growth} bytes for a bomb of {SIZE} that is read in parts");
    assert!(growth < 256 * 1024, "{growth} bytes");
}

fn memory_grows_with_bytes_received_not_with_claims() {
    let options = ListenOptions::new().max_message_size(usize::MAX);
    let (mut peer, ws) = RawPeer::client_of(&options);
    let before = LIVE.load(Ordering::SeqCst);
    PEAK.store(before, Ordering::SeqCst);
    let mut header = vec![FINAL | BINARY, 0xFF];
    header.extend_from_slice(&(1u64 << 62).to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    peer.send(&header);
    for _ in 0..20 {
        peer.send(&[0; 1000]);
        assert!(matches!(
            ws.read_within(Duration::from_millis(1)),
            Err(Error::TimedOut { .. })
        ));
    }
    let growth = PEAK.load(Ordering::SeqCst) - before;
    assert!(
        growth < 256 * 1024,
        "{growth} bytes for a message of which 20,000 have come"
    );
}
