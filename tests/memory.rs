//! What the heap sees: nothing for each message, little for an idle connection, nothing for what
//! a header merely claims. One test, since the counters are those of the whole process.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::raw_peer::{BINARY, FINAL, RawPeer};
use talkws::{Deadline, DialOptions, Error, ListenOptions, Listener, Message, UpgradeOptions};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed to the system's allocator as it came; only counting is added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
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
    steady_reading_and_writing_does_not_allocate();
    an_idle_connection_costs_less_than_a_kilobyte();
    #[cfg(feature = "tls")]
    an_idle_connection_over_tls_costs_less_than_6_kilobytes();
    memory_grows_with_bytes_received_not_with_claims();
}

fn steady_reading_and_writing_does_not_allocate() {
    let (client, server) = support::pair();
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
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    (0..1000).for_each(|_| exchange());
    assert_eq!(
        ALLOCATIONS.load(Ordering::SeqCst) - before,
        0,
        "allocations in 1000 exchanges"
    );
}

fn an_idle_connection_costs_less_than_a_kilobyte() {
    let listener = ListenOptions::new().listen("ws://127.0.0.1:0").unwrap();
    let each = idle_connection(&listener, &DialOptions::new());
    println!("{each} bytes of heap for each idle connection");
    assert!(each < 1024, "{each} bytes of heap for each idle connection");
}

#[cfg(feature = "tls")]
fn an_idle_connection_over_tls_costs_less_than_6_kilobytes() {
    let ca = support::certificates::Authority::new();
    let identity = ca.issue(&["127.0.0.1"]);
    let server = talkws::ServerTls::new()
        .certificate_pem(&identity.chain, &identity.key)
        .unwrap();
    let listener = ListenOptions::new()
        .tls(server)
        .listen("wss://127.0.0.1:0")
        .unwrap();
    let client = talkws::ClientTls::new().ca_pem(ca.pem()).unwrap();
    let each = idle_connection(&listener, &DialOptions::new().tls(client));
    println!("{each} bytes of heap for each idle connection over TLS");
    assert!(each < 6 * 1024, "{each} bytes of heap for each of them");
}

/// The heap that an idle connection costs, on average of both ends.
fn idle_connection(listener: &Listener, dial: &DialOptions) -> usize {
    const COUNT: usize = 100;
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
        // A connection that has been in use, and is idle now.
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
    (LIVE.load(Ordering::SeqCst) - before) / (2 * (COUNT - 1))
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
