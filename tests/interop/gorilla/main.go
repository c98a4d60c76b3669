// A peer for the interoperability tests, made of gorilla/websocket and gin. The contract that
// its command line and its routes keep is in tests/interop/README.md.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	nonASCII      = "Grüße, 世界 🦀 مرحبا"
	fragmented    = "é世🦀 in pieces of three bytes, which split 🦀世é"
	fragmentSize  = 3
	subprotocolV1 = "talkws.v1"
	subprotocolV2 = "talkws.v2"
)

var fragmentedBinary = []byte{0, 0xff, 0x80, 0xc3, 0x28, 0, 0xf0, 0x9f}

// timeout bounds every wait for the other peer.
func timeout() time.Duration {
	if seconds, err := strconv.Atoi(os.Getenv("INTEROP_TIMEOUT")); err == nil {
		return time.Duration(seconds) * time.Second
	}
	return 10 * time.Second
}

// compresses tells whether messages are to be compressed. This library does so without takeover, and
// knows nothing of windows.
func compresses() bool {
	_, isSet := os.LookupEnv("INTEROP_DEFLATE")
	return isSet
}

// mebibyte is exactly 1 MiB of text with characters of one to four bytes.
func mebibyte() string {
	text := strings.Repeat("é世🦀.", 1<<20/10)
	return text + strings.Repeat("x", 1<<20-len(text))
}

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "server":
		serve()
	case len(os.Args) == 3 && os.Args[1] == "client":
		os.Exit(runChecks(os.Args[2]))
	case len(os.Args) == 3 && os.Args[1] == "hello":
		hello(os.Args[2])
	default:
		fmt.Fprintln(os.Stderr, "usage: peer server | client URL | hello URL")
		os.Exit(2)
	}
}
