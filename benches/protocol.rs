//! The protocol without sockets: masking, decoding, encoding, deflating and inflating, in GB/s.
//!
//!     cargo bench --bench protocol [-- [--quick] [NAME]]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use talkws::MessageKind;
use talkws::protocol::Role;
use talkws::protocol::decoder::{Decoder, Event};
use talkws::protocol::encoder::Encoder;
use talkws::protocol::mask::Mask;
use talkws::protocol::utf8::Utf8;

const LIMIT: usize = 16 << 20;

/// As many bytes as a connection receives at a time.
const CHUNK: usize = 16 * 1024;

fn sized(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{} KiB", size / 1024),
        _ => format!("{} MiB", size >> 20),
    }
}

/// Text with characters of every length.
fn text(size: usize) -> Vec<u8> {
    let mut text: String = "Hello, κόσμε, 世界 🦀! "
        .chars()
        .cycle()
        .take(size)
        .collect();
    while text.len() > size {
        text.pop();
    }
    let mut text = text.into_bytes();
    text.resize(size, b'.');
    text
}

fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for size in [32, 16 * 1024, 1 << 20] {
        let mut payload = text(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(sized(size)), |bencher| {
            bencher.iter(|| Mask::new([0x37, 0xFA, 0x21, 0x3D]).apply(black_box(&mut payload)));
        });
    }
}

fn utf8(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("utf8");
    for size in [32, 16 * 1024, 1 << 20] {
        let payload = text(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(sized(size)), |bencher| {
            bencher.iter(|| {
                let mut utf8 = Utf8::default();
                utf8.feed(black_box(&payload)).unwrap();
                utf8.finish().unwrap();
            });
        });
    }
}

/// What a peer of `role` receives: as many whole messages as there are in `count`.
fn wire(role: Role, kind: MessageKind, size: usize, count: usize) -> Vec<u8> {
    let peer = match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    };
    let (encoder, payload) = (Encoder::new(peer), text(size));
    let mut wire = Vec::new();
    for _ in 0..count {
        let header = encoder.data_header(kind, true, size).unwrap();
        wire.extend(header.as_bytes());
        let start = wire.len();
        wire.extend(&payload);
        if let Some(mut mask) = header.mask {
            mask.apply(&mut wire[start..]);
        }
    }
    wire
}

/// Decodes `wire` as a connection does, but that what is received lies there already: small
/// frames out of a chunk, the payload of large ones in place. Gives the number of messages.
fn decode(role: Role, wire: &mut [u8], payload: &mut Vec<u8>) -> usize {
    let mut decoder = Decoder::new(role, LIMIT);
    let mut messages = 0;
    let mut rest = wire;
    while !rest.is_empty() {
        let missing = decoder.missing_payload() as usize;
        let (used, event) = if missing >= CHUNK {
            let used = missing.min(rest.len()).min(256 * 1024);
            let start = payload.len();
            // Stands for the system's copy out of the socket.
            payload.extend_from_slice(&rest[..used]);
            (
                used,
                decoder.decode_in_place(&mut payload[start..]).unwrap(),
            )
        } else {
            let length = rest.len().min(CHUNK);
            decoder.decode(&mut rest[..length], payload).unwrap()
        };
        if let Some(Event::Message(_)) = event {
            messages += 1;
            black_box(&*payload);
            payload.clear();
        }
        rest = &mut rest[used..];
    }
    messages
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for role in [Role::Server, Role::Client] {
        for kind in [MessageKind::Text, MessageKind::Binary] {
            for (size, count) in [(32, 512), (16 * 1024, 4), (1 << 20, 1)] {
                let wire = wire(role, kind, size, count);
                let mut payload = Vec::with_capacity(size);
                let name = format!("{role:?}, {kind:?}");
                group.throughput(Throughput::Bytes((size * count) as u64));
                group.bench_function(BenchmarkId::new(name, sized(size)), |bencher| {
                    bencher.iter_batched_ref(
                        || wire.clone(),
                        |wire| assert_eq!(decode(role, wire, &mut payload), count),
                        BatchSize::LargeInput,
                    );
                });
            }
        }
    }
}

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for role in [Role::Server, Role::Client] {
        let encoder = Encoder::new(role);
        for size in [32, 16 * 1024, 1 << 20] {
            group.throughput(Throughput::Elements(1));
            let name = format!("{role:?}, header");
            group.bench_function(BenchmarkId::new(name, sized(size)), |bencher| {
                bencher.iter(|| encoder.data_header(MessageKind::Binary, true, black_box(size)));
            });
            let payload = text(size);
            let mut frame = Vec::with_capacity(size + 14);
            group.throughput(Throughput::Bytes(size as u64));
            let name = format!("{role:?}, frame");
            group.bench_function(BenchmarkId::new(name, sized(size)), |bencher| {
                bencher.iter(|| {
                    let header = encoder
                        .data_header(MessageKind::Binary, true, size)
                        .unwrap();
                    frame.clear();
                    frame.extend_from_slice(header.as_bytes());
                    frame.extend_from_slice(black_box(&payload));
                    if let Some(mut mask) = header.mask {
                        mask.apply(&mut frame[header.as_bytes().len()..]);
                    }
                    black_box(&frame);
                });
            });
        }
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{role:?}, ping"), |bencher| {
            bencher.iter(|| encoder.ping(black_box(b"are you there?")));
        });
    }
}

/// Objects as a program of today sends them, about six times as large as they need be.
#[cfg(feature = "deflate")]
fn json(size: usize) -> Vec<u8> {
    let object = |id: u64| {
        let noise = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        format!(
            "{{\"id\":{id},\"user\":\"user-{noise}\",\"price\":{}.{:02},\"active\":true}},",
            noise % 997,
            noise % 100
        )
    };
    let mut text: Vec<u8> = (0..)
        .flat_map(|id| object(id).into_bytes())
        .take(size)
        .collect();
    text.truncate(size);
    text
}

#[cfg(feature = "deflate")]
fn noise(size: usize) -> Vec<u8> {
    let byte = |i: u64| {
        (i.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(17)
            .wrapping_mul(i | 1)
            >> 32) as u8
    };
    (0..size as u64).map(byte).collect()
}

#[cfg(feature = "deflate")]
fn deflating(criterion: &mut Criterion) {
    use talkws::DeflateOptions;
    use talkws::protocol::deflate::{Deflater, Inflater};

    let mut group = criterion.benchmark_group("deflate");
    for (name, make) in [("JSON", json as fn(usize) -> Vec<u8>), ("noise", noise)] {
        for size in [1024, 16 * 1024, 256 * 1024] {
            let data = make(size);
            for (takeover, levels) in [(true, &[1, 6][..]), (false, &[6])] {
                let kept = if takeover { "takeover" } else { "no takeover" };
                let mut frame = Vec::with_capacity(2 * size);
                for level in levels {
                    let options = DeflateOptions::new().level(*level).unwrap();
                    let mut deflater = Deflater::new(&options, takeover, 15);
                    let mut deflate = |frame: &mut Vec<u8>| {
                        frame.clear();
                        deflater.deflate(black_box(&data), true, frame).unwrap();
                        deflater.sent(true);
                    };
                    deflate(&mut frame);
                    let name =
                        format!("deflate, {name}, {kept}, level {level}, to {}", frame.len());
                    group.throughput(Throughput::Bytes(size as u64));
                    group.bench_function(BenchmarkId::new(name, sized(size)), |bencher| {
                        bencher.iter(|| deflate(&mut frame));
                    });
                }
                // Each by itself, so that one can be inflated again and again.
                let mut deflater = Deflater::new(&DeflateOptions::new(), false, 15);
                frame.clear();
                deflater.deflate(&data, true, &mut frame).unwrap();
                let mut inflater = Inflater::new(takeover);
                let mut output = Vec::with_capacity(2 * size);
                group.bench_function(
                    BenchmarkId::new(format!("inflate, {name}, {kept}"), sized(size)),
                    |bencher| {
                        bencher.iter(|| {
                            output.clear();
                            inflater.get_ready().unwrap();
                            let room = usize::MAX;
                            inflater
                                .inflate(black_box(&frame), true, &mut output, room)
                                .unwrap();
                            inflater.end();
                            assert_eq!(output.len(), size);
                        });
                    },
                );
            }
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    mask(&mut criterion);
    utf8(&mut criterion);
    decoding(&mut criterion);
    encoding(&mut criterion);
    #[cfg(feature = "deflate")]
    deflating(&mut criterion);
    criterion.final_summary();
}
