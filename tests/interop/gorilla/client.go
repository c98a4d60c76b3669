package main

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

type message struct {
	kind    int
	payload []byte
}

// refusal is the HTTP status with which a server refused a dial.
type refusal int

func (status refusal) Error() string {
	return fmt.Sprintf("refused with %d", int(status))
}

// session reads a connection in the background, so that control frames are seen as they come.
type session struct {
	*websocket.Conn
	messages chan message
	pings    chan string
	pongs    chan string
	end      chan error
}

func dial(url string, dialer websocket.Dialer) (*session, error) {
	dialer.HandshakeTimeout = timeout()
	dialer.EnableCompression = compresses()
	conn, response, err := dialer.Dial(url, nil)
	if err == websocket.ErrBadHandshake {
		return nil, refusal(response.StatusCode)
	}
	if err != nil {
		return nil, err
	}
	const backlog = 1024
	s := &session{conn, make(chan message, backlog), make(chan string, backlog), make(chan string, backlog), make(chan error, 1)}
	pong := conn.PingHandler()
	conn.SetPingHandler(func(payload string) error {
		s.pings <- payload
		return pong(payload)
	})
	conn.SetPongHandler(func(payload string) error {
		s.pongs <- payload
		return nil
	})
	conn.SetReadDeadline(time.Now().Add(timeout()))
	go func() {
		for {
			kind, payload, err := conn.ReadMessage()
			if err != nil {
				s.end <- err
				close(s.messages)
				return
			}
			s.messages <- message{kind, payload}
		}
	}()
	return s, nil
}

func (s *session) expect(kind int, payload []byte) error {
	got, ok := <-s.messages
	switch {
	case !ok:
		return fmt.Errorf("no message: %v", <-s.end)
	case got.kind != kind:
		return fmt.Errorf("message of type %d, not %d", got.kind, kind)
	case !bytes.Equal(got.payload, payload):
		return fmt.Errorf("wrong payload: %s, not %s", brief(got.payload), brief(payload))
	}
	return nil
}

func expectControl(name string, from chan string, payload string) error {
	select {
	case got := <-from:
		if got != payload {
			return fmt.Errorf("%s with %q, not %q", name, got, payload)
		}
		return nil
	case <-time.After(timeout()):
		return fmt.Errorf("no %s", name)
	}
}

// expectClosed waits for the peer's Close frame; any reason will do if none is given.
func (s *session) expectClosed(code int, reason *string) error {
	for range s.messages {
		return fmt.Errorf("a message instead of a close")
	}
	err := <-s.end
	closed, ok := err.(*websocket.CloseError)
	switch {
	case !ok:
		return fmt.Errorf("not closed: %v", err)
	case closed.Code != code:
		return fmt.Errorf("closed with %d, not %d", closed.Code, code)
	case reason != nil && closed.Text != *reason:
		return fmt.Errorf("closed with the reason %q, not %q", closed.Text, *reason)
	}
	return nil
}

func (s *session) leave() error {
	if err := s.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")); err != nil {
		return err
	}
	return s.expectClosed(websocket.CloseNormalClosure, nil)
}

func brief(payload []byte) string {
	if len(payload) > 60 {
		return fmt.Sprintf("%q... of %d bytes", payload[:60], len(payload))
	}
	return fmt.Sprintf("%q", payload)
}

// withSession runs talk on a connection of its own and closes that in good order.
func withSession(url string, dialer websocket.Dialer, talk func(*session) error) error {
	s, err := dial(url, dialer)
	if err != nil {
		return err
	}
	defer s.Close()
	if err = talk(s); err != nil {
		return err
	}
	return s.leave()
}

func echo(base string, kind int, payloads ...[]byte) error {
	return withSession(base, websocket.Dialer{}, func(s *session) error {
		for _, payload := range payloads {
			if err := s.WriteMessage(kind, payload); err != nil {
				return err
			}
		}
		for _, payload := range payloads {
			if err := s.expect(kind, payload); err != nil {
				return err
			}
		}
		return nil
	})
}

func echoFragments(base string, kind int, payload []byte, ping string) error {
	small := websocket.Dialer{WriteBufferSize: fragmentSize}
	return withSession(base, small, func(s *session) error {
		if err := inFragments(s.Conn, kind, payload, ping); err != nil {
			return err
		}
		if err := s.expect(kind, payload); err != nil {
			return err
		}
		if ping == "" {
			return nil
		}
		return expectControl("pong", s.pongs, ping)
	})
}

func fragmentsFromServer(base string) error {
	return withSession(base+"/fragments", websocket.Dialer{}, func(s *session) error {
		if err := s.expect(websocket.TextMessage, []byte(fragmented)); err != nil {
			return err
		}
		if err := expectControl("ping", s.pings, "between"); err != nil {
			return err
		}
		if err := s.expect(websocket.BinaryMessage, fragmentedBinary); err != nil {
			return err
		}
		return s.expect(websocket.TextMessage, []byte("pong between"))
	})
}

func ping(base string) error {
	return withSession(base, websocket.Dialer{}, func(s *session) error {
		for _, payload := range []string{"ping", "", strings.Repeat("p", 125)} {
			if err := s.WriteControl(websocket.PingMessage, []byte(payload), time.Now().Add(timeout())); err != nil {
				return err
			}
			if err := expectControl("pong", s.pongs, payload); err != nil {
				return err
			}
		}
		return nil
	})
}

func pingFromServer(base string) error {
	return withSession(base+"/ping?payload=are+you+there", websocket.Dialer{}, func(s *session) error {
		if err := expectControl("ping", s.pings, "are you there"); err != nil {
			return err
		}
		return s.expect(websocket.TextMessage, []byte("pong are you there"))
	})
}

// expectOutcome asks the server how the connection with that id ended.
func expectOutcome(base, id, outcome string, whole bool) error {
	return withSession(base+"/outcome?id="+id, websocket.Dialer{}, func(s *session) error {
		got, ok := <-s.messages
		if !ok {
			return fmt.Errorf("no outcome: %v", <-s.end)
		}
		if got.kind != websocket.TextMessage {
			return fmt.Errorf("the outcome is not text")
		}
		if text := string(got.payload); text != outcome && (whole || !strings.HasPrefix(text, outcome)) {
			return fmt.Errorf("the server saw %q, not %q", text, outcome)
		}
		return nil
	})
}

var lastID int

func newID(name string) string {
	lastID++
	return fmt.Sprintf("gorilla-%s-%d", name, lastID)
}

func closeWith(base string, code int, reason string) error {
	id := newID("close")
	s, err := dial(base+"/?id="+id, websocket.Dialer{})
	if err != nil {
		return err
	}
	if err = s.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason)); err == nil {
		err = s.expectClosed(code, nil)
	}
	s.Close() // Now: some servers wait for it before they say how it ended.
	if err != nil {
		return err
	}
	return expectOutcome(base, id, fmt.Sprintf("%d %s", code, reason), true)
}

func closedWith(base string, code int, reason string) error {
	id := newID("closed")
	query := url.Values{"id": {id}}
	if code != websocket.CloseNoStatusReceived {
		query.Set("code", fmt.Sprint(code))
		query.Set("reason", reason)
	}
	s, err := dial(base+"/close?"+query.Encode(), websocket.Dialer{})
	if err != nil {
		return err
	}
	err = s.expectClosed(code, &reason)
	s.Close()
	if err != nil {
		return err
	}
	return expectOutcome(base, id, fmt.Sprintf("%d ", code), false)
}

func subprotocol(base string, offered []string, chosen string) error {
	offering := websocket.Dialer{Subprotocols: offered}
	s, err := dial(base+"/subprotocol", offering)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Subprotocol() != chosen {
		return fmt.Errorf("the server chose %q, not %q", s.Subprotocol(), chosen)
	}
	return s.expect(websocket.TextMessage, []byte(strings.Join(offered, ",")))
}

func refused(url string, status int) error {
	s, err := dial(url, websocket.Dialer{})
	if err == nil {
		s.Close()
		return fmt.Errorf("not refused")
	}
	if err != refusal(status) {
		return fmt.Errorf("%v, not refused with %d", err, status)
	}
	return nil
}

func runChecks(base string) int {
	text, binary := websocket.TextMessage, websocket.BinaryMessage
	var many, lengths [][]byte
	for i := 0; i < 100; i++ {
		many = append(many, []byte(fmt.Sprintf("message %d", i)))
	}
	for _, length := range []int{1, 125, 126, 127, 65535, 65536} {
		lengths = append(lengths, bytes.Repeat([]byte{'l'}, length))
	}
	checks := []struct {
		name string
		run  func() error
	}{
		{"text", func() error { return echo(base, text, []byte("Hello")) }},
		{"empty text", func() error { return echo(base, text, nil) }},
		{"non-ASCII text", func() error { return echo(base, text, []byte(nonASCII)) }},
		{"1 MiB text", func() error { return echo(base, text, []byte(mebibyte())) }},
		{"binary", func() error { return echo(base, binary, []byte{0, 1, 0x80, 0xfe, 0xff}) }},
		{"empty binary", func() error { return echo(base, binary, nil) }},
		{"1 MiB binary", func() error { return echo(base, binary, bytes.Repeat([]byte{0xff, 0, 0x80, 7}, 1<<18)) }},
		{"frame length boundaries", func() error { return echo(base, binary, lengths...) }},
		{"many messages in order", func() error { return echo(base, text, many...) }},
		{"fragmented text", func() error { return echoFragments(base, text, []byte(fragmented), "") }},
		{"fragmented binary", func() error { return echoFragments(base, binary, fragmentedBinary, "") }},
		{"ping between fragments", func() error { return echoFragments(base, text, []byte(fragmented), "between") }},
		{"fragments from the server", func() error { return fragmentsFromServer(base) }},
		{"ping", func() error { return ping(base) }},
		{"ping from the server", func() error { return pingFromServer(base) }},
		{"close with 1000", func() error { return closeWith(base, 1000, "") }},
		{"close with 4001", func() error { return closeWith(base, 4001, "some reason ✓") }},
		{"close without a code", func() error { return closeWith(base, 1005, "") }},
		{"closed by the server with 1000", func() error { return closedWith(base, 1000, "") }},
		{"closed by the server with 4001", func() error { return closedWith(base, 4001, "some reason ✓") }},
		{"closed by the server without a code", func() error { return closedWith(base, 1005, "") }},
		{"subprotocol chosen", func() error {
			return subprotocol(base, []string{subprotocolV1, subprotocolV2}, subprotocolV2)
		}},
		{"subprotocol declined", func() error { return subprotocol(base, []string{subprotocolV1}, "") }},
		{"no subprotocol offered", func() error { return subprotocol(base, nil, "") }},
		{"refused with 403", func() error { return refused(base+"/refuse", http.StatusForbidden) }},
		{"refused with 404", func() error { return refused(base+"/nothing-here", http.StatusNotFound) }},
	}
	exit := 0
	for _, check := range checks {
		if err := check.run(); err != nil {
			fmt.Printf("not ok %s: %v\n", check.name, err)
			exit = 1
		} else {
			fmt.Printf("ok %s\n", check.name)
		}
	}
	return exit
}

// hello is the exchange that this library was born from.
func hello(url string) {
	conn, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if err = conn.WriteMessage(websocket.TextMessage, []byte("Hello from client!")); err != nil {
		log.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(timeout()))
	_, answer, err := conn.ReadMessage()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Received: %s\n", answer)
	conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
	if _, _, err = conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		log.Fatal(err)
	}
}
